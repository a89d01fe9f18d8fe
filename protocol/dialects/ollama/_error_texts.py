"""What an upstream's error says, in whatever form it says it."""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.jsontext import InvalidJson, JsonValue, dumps_text

_LONGEST_MESSAGE = 2000
"""Characters; what is longer is a page meant for a browser, or the prompt itself."""
_DEEPEST_MESSAGE = 4
"""Objects around a message."""
_OVERFLOW_PHRASES = ("context length", "context window", "context size", "prompt too long")
_BUSY_PHRASES = ("server busy", "overloaded", "maximum pending requests exceeded")


def error_text(value: JsonValue) -> str:
    """The message inside an error of any form; "" where there is none."""
    for _ in range(_DEEPEST_MESSAGE):
        match value:
            case {"message": str(message)}:
                value = message
            case {"error": inner} | {"detail": inner}:
                value = inner
            case _:
                break
    return _as_text(value).strip()[:_LONGEST_MESSAGE]


def _as_text(value: JsonValue) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return dumps_text(value)
    except InvalidJson:
        # Nested too deeply to be written.
        return ""


def error_code(value: JsonValue) -> str | None:
    """The machine-readable code or type inside an error, where it has one (Ollama's have none)."""
    if not isinstance(value, dict):
        return None
    for name in ("code", "type"):
        code = value.get(name)
        if isinstance(code, str) and code:
            return code
        if isinstance(code, int) and not isinstance(code, bool):
            return str(code)
    return None


def says_context_overflow(message: str) -> bool:
    lowered = message.lower()
    return any(phrase in lowered for phrase in _OVERFLOW_PHRASES)


def stream_error(value: JsonValue) -> ApiError:
    """The error of a line, which has no status: its words have to tell its kind."""
    message = error_text(value) or "the upstream reported an error without a message"
    lowered = message.lower()
    if says_context_overflow(message):
        kind = ErrorKind.CONTEXT_OVERFLOW
    elif any(phrase in lowered for phrase in _BUSY_PHRASES):
        kind = ErrorKind.UNAVAILABLE
    else:
        kind = ErrorKind.UPSTREAM_ERROR
    return ApiError(kind=kind, message=message, code=error_code(value))
