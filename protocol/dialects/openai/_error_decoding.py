"""Errors of OpenAI-style servers, in whatever shape they come.

The same facts (message, code, type, field) hide in ``{"error": {...}}``, ``{"error": "text"}``,
FastAPI's ``{"detail": ...}``, a flat ``{"message": ...}``, plain text and HTML pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads, loads_object

_LONGEST_MESSAGE = 2000
_LONGEST_CODE = 200
_DEEPEST_WRAPPER = 4
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
_HEAD_OF_PAGE = 4096

_OVERFLOW_CODES = (
    "context_length_exceeded",
    "exceed_context_size_error",
    "context_window_exceeded",
    "model_context_window_exceeded",
)
_OVERFLOW_MESSAGE = re.compile(
    r"maximum context length|exceeds? the (?:available )?context|context window"
    r"|prompt is too long|context_length_exceeded"
    r"|`inputs` (?:tokens \+ `max_new_tokens` must be|must have less than)"  # TGI, Together
    r"|input token count.{0,40} exceeds the maximum"  # Gemini
    r"|maximum prompt length|exceeds model max length"  # xAI, OpenVINO
    r"|with a larger context length, or provide a shorter input"  # LM Studio
    r"|longer than the model's context length",  # SGLang
    re.IGNORECASE,
)
# llama.cpp says these with a 500.
_REQUESTS_FAULT = re.compile(
    r"(?:image|audio|video) input is not supported|failed to parse tool call arguments",
    re.IGNORECASE,
)
_STATUS_KINDS = {
    401: ErrorKind.UNAUTHENTICATED,
    402: ErrorKind.PAYMENT_REQUIRED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.MODEL_NOT_FOUND,
    405: ErrorKind.UPSTREAM_ERROR,  # a wrong base URL, nothing the client did
    408: ErrorKind.UPSTREAM_TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    424: ErrorKind.UPSTREAM_ERROR,  # TGI: generation failed
    429: ErrorKind.RATE_LIMITED,
    503: ErrorKind.UNAVAILABLE,
    504: ErrorKind.UPSTREAM_TIMEOUT,
    524: ErrorKind.UPSTREAM_TIMEOUT,  # Cloudflare
    529: ErrorKind.UNAVAILABLE,
}
# For errors that come without a status. Words of codes, types and class names, the telling first.
_WORD_KINDS = (
    (("ratelimit", "toomanyrequests", "resourceexhausted", "insufficientquota"), 429),
    (("overload", "unavailable", "nocapacity"), 503),
    (("timeout",), 504),
    (("authentication", "invalidapikey", "unauthorized"), 401),
    (("permission", "forbidden"), 403),
    (("notfound",), 404),
    (("invalidrequest", "badrequest", "invalidvalue"), 400),
)
_MESSAGE_KINDS = (("rate limit", 429), ("too many requests", 429), ("overloaded", 503))
_NOT_LETTERS = re.compile(r"[^a-z]")


@dataclass(frozen=True, slots=True)
class _Facts:
    message: str = ""
    code: str | None = None
    number: int | None = None
    """A code that is a number, which many servers make the HTTP status."""
    type: str | None = None
    param: str | None = None
    retry_after: float | None = None


def decode_error_body(status: int, body: bytes) -> ApiError:
    """The error that an answer with this status and body says."""
    try:
        value = loads(body)
    except InvalidJson:
        facts = _Facts(message=_message_of_text(body.decode("utf-8", "replace")))
    else:
        facts = _facts_of(value)
    return _error_of(status, facts)


def is_openais_error(body: bytes) -> bool:
    """Whether an error has OpenAI's own shape. Others have it but for a number as the code."""
    try:
        error = loads_object(body).get("error")
    except InvalidJson:
        return False
    return (
        isinstance(error, dict)
        and isinstance(error.get("message"), str)
        and isinstance(error.get("type"), str | None)
        and isinstance(error.get("code"), str | None)
    )


def decode_error_value(value: JsonValue) -> tuple[ApiError, int | None]:
    """The error inside an answer that itself said 200, and the status it would have had."""
    facts = _facts_of(value)
    status = _status_inside(facts)
    return _error_of(status, facts), status


def error_inside(answer: JsonObject) -> tuple[ApiError, int | None] | None:
    """As :func:`decode_error_value`, where ``answer`` is an error at all."""
    if answer.get("error") or answer.get("object") == "error":
        return decode_error_value(answer)
    return None


def _error_of(status: int | None, facts: _Facts) -> ApiError:
    kind = _kind_of(status, facts)
    may_retry = kind in (ErrorKind.RATE_LIMITED, ErrorKind.UNAVAILABLE)
    return ApiError(
        kind=kind,
        message=facts.message[:_LONGEST_MESSAGE] or _said_nothing(status),
        param=facts.param,
        code=facts.code or facts.type or (None if facts.number is None else str(facts.number)),
        retry_after=facts.retry_after if may_retry else None,
    )


def _said_nothing(status: int | None) -> str:
    if status is None:
        return "the upstream reported an error without a message"
    return f"the upstream answered with status {status} and no message"


def _kind_of(status: int | None, facts: _Facts) -> ErrorKind:
    if _is_overflow(status, facts):
        return ErrorKind.CONTEXT_OVERFLOW
    if status == 400 and facts.code == "model_not_found":
        return ErrorKind.MODEL_NOT_FOUND
    if status in _STATUS_KINDS:
        return _STATUS_KINDS[status]
    if status is not None and 400 <= status < 500:
        return ErrorKind.BAD_REQUEST
    if _REQUESTS_FAULT.search(facts.message):
        return ErrorKind.BAD_REQUEST
    return ErrorKind.UPSTREAM_ERROR


def _is_overflow(status: int | None, facts: _Facts) -> bool:
    if facts.code in _OVERFLOW_CODES or facts.type in _OVERFLOW_CODES:
        return True
    return status in (None, 400, 413, 422) and _OVERFLOW_MESSAGE.search(facts.message) is not None


def _status_inside(facts: _Facts) -> int | None:
    if facts.number is not None and 400 <= facts.number < 600:
        return facts.number
    words = _NOT_LETTERS.sub("", f"{facts.code} {facts.type}".lower())
    for known, status in _WORD_KINDS:
        if any(word in words for word in known):
            return status
    message = facts.message.lower()
    return next((status for phrase, status in _MESSAGE_KINDS if phrase in message), None)


def _facts_of(value: JsonValue) -> _Facts:
    outer: JsonObject = {}
    for _ in range(_DEEPEST_WRAPPER):
        if isinstance(value, list):  # Google wraps the error in an array
            value = next((item for item in value if isinstance(item, dict)), None)
        if not isinstance(value, dict):
            break
        inner = value.get("error") or value.get("detail")
        if not isinstance(inner, dict | list) or _is_validation(inner):
            return _facts_of_object(value, outer)
        outer, value = value, inner
    if isinstance(value, str):
        return _Facts(message=_message_of_text(value))
    return _Facts()


def _is_validation(value: JsonValue) -> bool:
    """FastAPI's list of faults: ``[{"loc": [...], "msg": ..., "type": ...}]``."""
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("msg"), str) for item in value
    )


def _facts_of_object(error: JsonObject, outer: JsonObject) -> _Facts:
    detail = error.get("detail")
    param = (_text(error, "param") or "").removeprefix("body.") or None
    message = _first_text(error, ("message", "error", "detail", "msg", "error_message"))
    if _is_validation(detail) and isinstance(detail, list) and detail:
        message = "; ".join(_validation_text(fault) for fault in detail)
        param = _validation_path(detail[0]) or None
    metadata = error.get("metadata")
    if isinstance(metadata, dict):  # OpenRouter: what the provider behind it said
        raw = _text(metadata, "raw")
        message = f"{message}: {raw}" if raw and message else raw or message
    code = error.get("code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else None
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        number = int(code)
    retry_after = error.get("retry_after")
    return _Facts(
        message=_message_of_text(message),
        code=code[:_LONGEST_CODE] if isinstance(code, str) and code else None,
        number=number,
        type=_first_text(error, ("type", "error_type", "status"), _LONGEST_CODE)
        or _first_text(outer, ("error_type",), _LONGEST_CODE)
        or None,
        param=param,
        retry_after=float(retry_after)
        if isinstance(retry_after, int | float) and 0 < retry_after < 1e9
        else None,
    )


def _validation_text(fault: JsonValue) -> str:
    path = _validation_path(fault)
    message = fault.get("msg") if isinstance(fault, dict) else None
    return f"{path}: {message}" if path else str(message)


def _validation_path(fault: JsonValue) -> str:
    place = fault.get("loc") if isinstance(fault, dict) else None
    if not isinstance(place, list):
        return ""
    return ".".join(str(step) for step in place if step != "body")


def _text(obj: JsonObject, name: str) -> str | None:
    value = obj.get(name)
    return value if isinstance(value, str) and value else None


def _first_text(obj: JsonObject, names: tuple[str, ...], limit: int | None = None) -> str:
    return next((text[:limit] for name in names if (text := _text(obj, name))), "")


def _message_of_text(text: str) -> str:
    head = text[:_HEAD_OF_PAGE].lstrip()
    if head[:1] == "<":
        title = _TITLE.search(head)
        return f"the upstream answered with a web page: {title[1].strip()}" if title else ""
    return text.strip()
