"""Errors in this dialect: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

Reading is tolerant: servers that speak the Messages API beside another one answer errors in that
one's shape, and proxies in plain text or not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.base import SpokenError
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads, loads_object

_SPOKEN: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.BAD_REQUEST: (400, "invalid_request_error"),
    ErrorKind.CONTEXT_OVERFLOW: (400, "invalid_request_error"),
    ErrorKind.UNAUTHENTICATED: (401, "authentication_error"),
    ErrorKind.PAYMENT_REQUIRED: (402, "billing_error"),
    ErrorKind.FORBIDDEN: (403, "permission_error"),
    ErrorKind.PATH_NOT_FOUND: (404, "not_found_error"),
    ErrorKind.MODEL_NOT_FOUND: (404, "not_found_error"),
    ErrorKind.METHOD_NOT_ALLOWED: (405, "invalid_request_error"),
    ErrorKind.REQUEST_TIMEOUT: (408, "timeout_error"),
    ErrorKind.TOO_LARGE: (413, "request_too_large"),
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: (415, "invalid_request_error"),
    ErrorKind.RATE_LIMITED: (429, "rate_limit_error"),
    ErrorKind.UNAVAILABLE: (529, "overloaded_error"),
    ErrorKind.UPSTREAM_TIMEOUT: (504, "timeout_error"),
    ErrorKind.UPSTREAM_ERROR: (502, "api_error"),
    ErrorKind.INTERNAL: (500, "api_error"),
}

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_KIND_OF_STATUS = {
    401: ErrorKind.UNAUTHENTICATED,
    402: ErrorKind.PAYMENT_REQUIRED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.MODEL_NOT_FOUND,
    405: ErrorKind.METHOD_NOT_ALLOWED,
    # Here the upstream is the server: what it did not get in time was ours to send.
    408: ErrorKind.UPSTREAM_TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    415: ErrorKind.UNSUPPORTED_MEDIA_TYPE,
    429: ErrorKind.RATE_LIMITED,
    503: ErrorKind.UNAVAILABLE,
    504: ErrorKind.UPSTREAM_TIMEOUT,
    529: ErrorKind.UNAVAILABLE,
}

_OVERFLOW = re.compile(
    r"prompt is too long|input is too long|context[ _](?:length|size|window|limit)|"
    r"exceed_context|maximum context|maximum prompt length|exceeds? the context",
    re.IGNORECASE,
)
_OVERFLOW_STATUSES = frozenset({400, 413, 422, 500})
# llama.cpp says these with a 500.
_REQUESTS_FAULT = re.compile(
    r"(?:image|audio|video) input is not supported|failed to parse tool call arguments",
    re.IGNORECASE,
)
_CREDIT_SPENT = re.compile(r"credit balance is too low", re.IGNORECASE)

_CONTEXT_LIMIT = re.compile(
    r"(?:context (?:length|size|window)|maximum|limit)\D{0,24}?(\d{2,})|(\d{2,}) maximum",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{2,12}")

_MAX_MESSAGE = 2000
"""Characters of an upstream's text that are passed on."""


@dataclass(frozen=True, slots=True)
class ReadError:
    """An upstream's error and the status that belongs to it."""

    error: ApiError
    status: int


def encode_error(error: ApiError, request_id: str) -> SpokenError:
    status, _ = _SPOKEN[error.kind]
    return SpokenError(
        status=status,
        body={"type": "error", "error": error_object(error), "request_id": request_id},
    )


def error_object(error: ApiError) -> JsonObject:
    """The inner object; ``retry_after`` (seconds) is the gateway's own addition.

    The message names the field at fault, since the dialect has no place of its own for it. A
    prompt that is too long is said in Anthropic's words, with the numbers where they are known:
    agents read them and compact.
    """
    message = error.message
    if error.kind is ErrorKind.CONTEXT_OVERFLOW:
        message = _overflow_message(message)
    if error.param and error.param not in message:
        message = f"{error.param}: {message}"
    spoken: JsonObject = {"type": _SPOKEN[error.kind][1], "message": message}
    if error.retry_after is not None:
        spoken["retry_after"] = error.retry_after
    return spoken


def decode_error(status: int, body: bytes) -> ApiError:
    """Read an error answer; see :meth:`DialectSpeech.decode_error`."""
    try:
        value = loads(body)
    except InvalidJson:
        value = body.decode("utf-8", "replace")
    return read_error(value, status).error


def is_own_error(body: bytes) -> bool:
    """Whether an error answer has this dialect's shape; see :meth:`DialectSpeech.is_own_error`."""
    try:
        answer = loads_object(body)
    except InvalidJson:
        return False
    error = answer.get("error")
    return (
        answer.get("type") == "error"
        and isinstance(error, dict)
        and isinstance(error.get("type"), str)
        and isinstance(error.get("message"), str)
    )


def read_error(value: JsonValue, status: int | None) -> ReadError:
    """Read the JSON of an error answer, or of an error event.

    Args:
        value: Anthropic's or OpenAI's shape, ``{"detail": …}``, ``{"message": …}`` or plain text.
        status: The HTTP status; None where there was none, or one that says nothing (200). Then
            the status comes from the error itself.
    """
    found = _find(value)
    kind_name = _text(found.get("type"))
    message = _message(found)
    if status is None:
        status = _STATUS_OF_TYPE.get(kind_name or "") or _status_in(found)
    kind = _kind(status, kind_name, message, found)
    details = found.get("details")
    code = _text(details.get("error_code")) if isinstance(details, dict) else None
    retry_after = _seconds(found.get("retry_after"))
    waits = kind in {ErrorKind.RATE_LIMITED, ErrorKind.UNAVAILABLE}
    return ReadError(
        ApiError(
            kind=kind,
            message=message[:_MAX_MESSAGE] or f"the upstream answered with status {status}",
            param=_text(found.get("param")),
            code=code or kind_name or _text(found.get("code")),
            retry_after=retry_after if waits else None,
        ),
        status,
    )


def _find(value: JsonValue) -> JsonObject:
    """The object that holds type and message, whatever is wrapped around it."""
    if isinstance(value, str):
        return {"message": value}
    if not isinstance(value, dict):
        return {}
    inner = value.get("error")
    if isinstance(inner, dict):
        return inner
    if isinstance(inner, str):
        return {**value, "message": inner}
    # In Anthropic's shape the outer type is the word "error", which says nothing.
    return {name: field for name, field in value.items() if (name, field) != ("type", "error")}


def _message(found: JsonObject) -> str:
    said = found.get("message")
    if said is None:
        said = found.get("detail")
    if isinstance(said, list):
        # FastAPI's validation errors.
        said = "; ".join(
            text
            for item in said
            if isinstance(item, dict) and (text := _text(item.get("msg"))) is not None
        )
    said = said.strip() if isinstance(said, str) else ""
    # A proxy's page says less than its status.
    return "" if said.startswith("<") else said


def _kind(status: int, kind_name: str | None, message: str, found: JsonObject) -> ErrorKind:
    words = " ".join(filter(None, (kind_name, _text(found.get("code")), message)))
    if status in _OVERFLOW_STATUSES and _OVERFLOW.search(words):
        return ErrorKind.CONTEXT_OVERFLOW
    if status == 400 and _CREDIT_SPENT.search(message):
        return ErrorKind.PAYMENT_REQUIRED
    known = _KIND_OF_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500 and kind_name == "overloaded_error":
        return ErrorKind.UNAVAILABLE
    if status >= 500 and kind_name == "timeout_error":
        return ErrorKind.UPSTREAM_TIMEOUT
    if 400 <= status < 500 or _REQUESTS_FAULT.search(message):
        return ErrorKind.BAD_REQUEST
    return ErrorKind.UPSTREAM_ERROR


def _status_in(found: JsonObject) -> int:
    """The status that servers other than Anthropic's write into the error itself."""
    for name in ("status", "code"):
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return 500


def _overflow_message(message: str) -> str:
    if "prompt is too long" in message or "exceed context limit" in message:
        return message
    limit = _CONTEXT_LIMIT.search(message)
    if limit is not None:
        maximum = int(limit[1] or limit[2])
        tokens = max(int(number) for number in _NUMBER.findall(message))
        if tokens > maximum:
            return f"prompt is too long: {tokens} tokens > {maximum} maximum"
    return f"prompt is too long: {message}"


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return float(value)
