"""Errors: ``{"error": "message"}`` under a status, and nothing more than that."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import DialectSpeech, ModelCard, SpokenError
from forebay.protocol.dialects.listings import EntryReader, read_entry
from forebay.protocol.dialects.ollama._error_texts import (
    error_code,
    error_text,
    says_context_overflow,
)
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.ollama.models import (
    decode_model_list,
    encode_model_list,
    encode_show,
)
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads, loads_object

_STATUS_OF_KIND = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.CONTEXT_OVERFLOW: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.PAYMENT_REQUIRED: 402,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.PATH_NOT_FOUND: 404,
    ErrorKind.MODEL_NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.REQUEST_TIMEOUT: 408,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.UPSTREAM_TIMEOUT: 504,
    ErrorKind.UPSTREAM_ERROR: 502,
    ErrorKind.INTERNAL: 500,
}
_KIND_OF_STATUS = {
    401: ErrorKind.UNAUTHENTICATED,
    402: ErrorKind.PAYMENT_REQUIRED,
    403: ErrorKind.FORBIDDEN,
    404: ErrorKind.MODEL_NOT_FOUND,
    408: ErrorKind.UPSTREAM_TIMEOUT,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMITED,
    503: ErrorKind.UNAVAILABLE,
    504: ErrorKind.UPSTREAM_TIMEOUT,
    529: ErrorKind.UNAVAILABLE,
}


class OllamaSpeech(DialectSpeech):
    """What ``/api/chat``, ``/api/generate`` and ``/api/tags`` share."""

    dialect = OLLAMA
    path_prefixes: tuple[str, ...] = ("/api/",)
    json_content_type: str = "application/json; charset=utf-8"
    no_body: str = "missing request body"

    def encode_error(self, error: ApiError, request_id: str) -> SpokenError:
        """``retry_after`` (whole seconds, at least 1) stands beside the message where waiting
        helps; the dialect has no place for codes, fields or the request's id."""
        body: JsonObject = {"error": error.message}
        if error.retry_after is not None:
            body["retry_after"] = max(1, math.ceil(error.retry_after))
        return SpokenError(status=_STATUS_OF_KIND[error.kind], body=body)

    def decode_error(self, status: int, body: bytes) -> ApiError:
        value = _json_or_text(body)
        inner = value.get("error") if isinstance(value, dict) else None
        message = error_text(value) or f"the upstream answered with status {status}"
        return ApiError(
            kind=_kind(status, message),
            message=message,
            code=error_code(inner) or error_code(value),
        )

    def is_own_error(self, body: bytes) -> bool:
        try:
            return isinstance(loads_object(body).get("error"), str)
        except InvalidJson:
            return False

    def encode_model(self, model: ModelCard) -> JsonObject:
        return encode_show(model)

    def encode_model_list(self, models: Sequence[ModelCard], *, more: bool = False) -> JsonObject:
        return encode_model_list(models)

    def decode_model_list(
        self, body: bytes, read: EntryReader = read_entry
    ) -> tuple[ListedModel, ...]:
        return decode_model_list(body, read)


def _json_or_text(body: bytes) -> JsonValue:
    try:
        return loads(body)
    except InvalidJson:
        return body.decode("utf-8", "replace")


def _kind(status: int, message: str) -> ErrorKind:
    if status in _KIND_OF_STATUS:
        return _KIND_OF_STATUS[status]
    if says_context_overflow(message):
        return ErrorKind.CONTEXT_OVERFLOW
    return ErrorKind.BAD_REQUEST if 400 <= status < 500 else ErrorKind.UPSTREAM_ERROR
