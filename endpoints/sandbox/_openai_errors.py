"""OpenAI's error bodies: four keys, always."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._failures import Failure, FailureKind
from forebay.endpoints.sandbox._fields import FieldFault, JsonType, Path
from forebay.endpoints.sandbox._http import Header
from forebay.endpoints.sandbox._limit_headers import go_duration
from forebay.endpoints.sandbox._limits import LimitScope
from forebay.protocol.jsontext import JsonObject, dumps, json_type_name

_INVALID = "invalid_request_error"
_SERVER = "server_error"

# Kind to status, type, code, message.
_SHAPES: dict[FailureKind, tuple[int, str, str | None, str]] = {
    FailureKind.BAD_JSON: (
        400,
        _INVALID,
        "invalid_json",
        "We could not parse the JSON body of your request.",
    ),
    FailureKind.MISSING_FIELD: (400, _INVALID, "missing_required_parameter", ""),
    FailureKind.WRONG_TYPE: (400, _INVALID, "invalid_type", ""),
    FailureKind.BAD_VALUE: (400, _INVALID, "invalid_value", "Invalid request."),
    FailureKind.UNSUPPORTED: (400, _INVALID, "unsupported_parameter", ""),
    FailureKind.CONTEXT: (
        400,
        _INVALID,
        "context_length_exceeded",
        "This model's maximum context length was exceeded. "
        "Please reduce the length of the messages.",
    ),
    FailureKind.UNAUTHORIZED: (
        401,
        _INVALID,
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key where this sandbox was started.",
    ),
    FailureKind.NO_CREDIT: (
        402,
        "insufficient_quota",
        "insufficient_quota",
        "Insufficient credits. Add more to go on.",
    ),
    FailureKind.QUOTA: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    FailureKind.NO_MODEL: (404, _INVALID, "model_not_found", ""),
    FailureKind.NO_PATH: (404, _INVALID, None, ""),
    FailureKind.NO_RESPONSE: (404, _INVALID, None, ""),
    FailureKind.WRONG_METHOD: (405, _INVALID, "method_not_supported", ""),
    FailureKind.TOO_LARGE: (413, _INVALID, "request_too_large", "Request body too large."),
    FailureKind.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded", ""),
    FailureKind.UNAVAILABLE: (
        503,
        _SERVER,
        "service_unavailable",
        "The server is currently overloaded. Please try again later.",
    ),
    FailureKind.OVERLOADED: (
        529,
        _SERVER,
        "overloaded",
        "The engine is currently overloaded, please try again later.",
    ),
    FailureKind.SERVER_ERROR: (
        500,
        _SERVER,
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
}

_EXPECTED = {
    JsonType.TEXT: "a string",
    JsonType.INTEGER: "an integer",
    JsonType.NUMBER: "a number",
    JsonType.FLAG: "a boolean",
    JsonType.LIST: "an array",
    JsonType.OBJECT: "an object",
}


class OpenAIErrors:
    """The error half of the OpenAI dialect."""

    json_type = b"application/json"

    def field_failure(self, fault: FieldFault) -> Failure:
        param = path_text(fault.path)
        if fault.missing:
            message = f"Missing required parameter: '{param}'."
            return Failure(FailureKind.MISSING_FIELD, message, param)
        expected = _EXPECTED[fault.expected]
        message = (
            f"Invalid type for '{param}': expected {expected}, "
            f"but got {json_type_name(fault.got)} instead."
        )
        return Failure(FailureKind.WRONG_TYPE, message, param)

    def failure(self, failure: Failure, identity: Identity) -> tuple[int, JsonObject]:
        status, kind, code, message = _SHAPES[failure.kind]
        if failure.kind is FailureKind.RATE_LIMITED:
            message = "Rate limit reached."
            if failure.retry_after is not None:
                message += f" Please try again in {go_duration(failure.retry_after)}."
            if failure.scope in (LimitScope.REQUESTS, LimitScope.TOKENS):
                kind = failure.scope.value
        if failure.kind is FailureKind.BAD_JSON and failure.message:
            message = f"{message} ({failure.message})"
        elif failure.message:
            message = failure.message
        error: JsonObject = {
            "message": message,
            "type": kind,
            "param": failure.param,
            "code": failure.code or code,
        }
        return status, {"error": error}

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        _, body = self.failure(failure, identity)
        return b"data: " + dumps(body) + b"\n\n"

    def headers(self, identity: Identity) -> list[Header]:
        return [
            (b"x-request-id", b"req_%032x" % identity.number),
            (b"openai-version", b"2020-10-01"),
        ]

    def json(self, body: JsonObject) -> bytes:
        return dumps(body)


def path_text(path: Path) -> str:
    """``messages[0].content``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
