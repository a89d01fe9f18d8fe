"""Errors as clients of each dialect must hear them: their classes in the SDKs, their bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping

import anthropic
import ollama
import openai

ERROR_CLASSES: Mapping[str, Mapping[int, type[Exception]]] = {
    "openai": {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        413: openai.APIStatusError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        502: openai.InternalServerError,
        503: openai.InternalServerError,
    },
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        413: anthropic.ContentTooLargeError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        502: anthropic.InternalServerError,
        529: anthropic.OverloadedError,
    },
    "ollama": dict.fromkeys((400, 401, 403, 404, 413, 429, 500, 502, 503), ollama.ResponseError),
}
"""What each SDK raises, by status."""

UNAVAILABLE = {"openai": 503, "anthropic": 529, "ollama": 503}
"""The status of each dialect for: nothing can serve this now."""

_OPENAI_TYPES = {
    401: "invalid_request_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    529: "overloaded_error",
}


def error_message(
    dialect: str, status: int, headers: Mapping[str, str], body: bytes | bytearray
) -> str:
    """Hold an error answer to its dialect's shape; what it says.

    Args:
        headers: names in lower case.
    """
    assert headers["content-type"].startswith("application/json")
    assert headers["x-request-id"] == headers["request-id"] != ""
    value = json.loads(body)
    match dialect:
        case "openai":
            error = value.pop("error")
            assert value == {}
            assert {"message", "type", "param", "code"} <= set(error)
            assert set(error) <= {"message", "type", "param", "code", "retry_after"}
            family = "server_error" if status >= 500 else "invalid_request_error"
            assert error["type"] == _OPENAI_TYPES.get(status, family)
            assert error["param"] is None or isinstance(error["param"], str)
            assert error["code"] is None or isinstance(error["code"], str)
        case "anthropic":
            assert value["type"] == "error"
            assert set(value) == {"type", "error", "request_id"}
            error = value["error"]
            assert set(error) - {"retry_after"} == {"type", "message"}
            assert error["type"] == _ANTHROPIC_TYPES[status]
        case _:
            assert set(value) - {"retry_after"} == {"error"}
            error = {**value, "message": value["error"]}
    message = error["message"]
    assert isinstance(message, str)
    assert message
    if status == 429:
        assert int(headers["retry-after"]) >= 1
        assert error["retry_after"] >= 1
    return message
