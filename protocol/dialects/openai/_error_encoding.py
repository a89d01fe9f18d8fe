"""The gateway's errors in OpenAI's words.

Every body has the four keys ``message``, ``type``, ``param`` and ``code``, with a ``type`` that is
never null: SDKs and their users read them without looking whether they are there.
"""

from __future__ import annotations

from dataclasses import dataclass

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.base import SpokenError
from forebay.protocol.jsontext import JsonObject


@dataclass(frozen=True, slots=True)
class _Form:
    status: int
    type: str
    code: str | None = None
    fixed: bool = False
    """The code is what clients look for: it stands whatever the error's own code is."""


_INVALID = "invalid_request_error"
_SERVER = "server_error"
_FORMS = {
    ErrorKind.BAD_REQUEST: _Form(400, _INVALID),
    ErrorKind.CONTEXT_OVERFLOW: _Form(400, _INVALID, "context_length_exceeded", fixed=True),
    ErrorKind.UNAUTHENTICATED: _Form(401, _INVALID, "invalid_api_key", fixed=True),
    ErrorKind.PAYMENT_REQUIRED: _Form(402, "insufficient_quota", "insufficient_quota"),
    ErrorKind.FORBIDDEN: _Form(403, "permission_error"),
    ErrorKind.PATH_NOT_FOUND: _Form(404, _INVALID, "unknown_url"),
    ErrorKind.MODEL_NOT_FOUND: _Form(404, _INVALID, "model_not_found", fixed=True),
    ErrorKind.METHOD_NOT_ALLOWED: _Form(405, _INVALID, "method_not_supported"),
    ErrorKind.REQUEST_TIMEOUT: _Form(408, _INVALID, "request_timeout"),
    ErrorKind.TOO_LARGE: _Form(413, _INVALID, "request_too_large"),
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: _Form(415, _INVALID, "unsupported_media_type"),
    ErrorKind.RATE_LIMITED: _Form(429, "rate_limit_error", "rate_limit_exceeded", fixed=True),
    ErrorKind.UNAVAILABLE: _Form(503, _SERVER, "overloaded"),
    ErrorKind.UPSTREAM_TIMEOUT: _Form(504, _SERVER, "upstream_timeout"),
    ErrorKind.UPSTREAM_ERROR: _Form(502, _SERVER, "upstream_error"),
    ErrorKind.INTERNAL: _Form(500, _SERVER, "internal_error"),
}


def encode_api_error(error: ApiError) -> SpokenError:
    """Status and body; the body alone is what a stream says of it."""
    form = _FORMS[error.kind]
    said: JsonObject = {
        "message": error.message,
        "type": form.type,
        "param": error.param,
        "code": form.code if form.fixed else error.code or form.code,
    }
    if error.retry_after is not None:
        said["retry_after"] = error.retry_after
    return SpokenError(status=form.status, body={"error": said})
