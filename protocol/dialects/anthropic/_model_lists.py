"""``GET /v1/models``: written, and read from any shape that servers use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.listings import EntryReader, listed_models, read_entry
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads

_ID_FIELDS = ("id", "model", "name")


def encode_model_list(models: Sequence[ModelCard], *, more: bool = False) -> JsonObject:
    return {
        "data": [encode_model(model) for model in models],
        "has_more": more,
        "first_id": models[0].id if models else None,
        "last_id": models[-1].id if models else None,
    }


def encode_model(model: ModelCard) -> JsonObject:
    """One model, alike in the list and by itself."""
    written: JsonObject = {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": _written_time(model.created),
        "lifecycle": "deprecated" if model.deprecated else "active",
    }
    if model.context_length is not None:
        written["max_input_tokens"] = model.context_length
    if model.max_output_tokens is not None:
        written["max_tokens"] = model.max_output_tokens
    if model.deprecated and model.retires is not None:
        written["retires_at"] = f"{model.retires.isoformat()}T00:00:00Z"
    return written


@lru_cache(maxsize=4)
def _written_time(seconds: int) -> str:
    """Kept, since thousands of models of one list have the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_model_list(body: bytes, read: EntryReader = read_entry) -> tuple[ListedModel, ...]:
    """The models in ``{"data": […]}``, ``{"models": […]}`` or a bare array.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body is no listing.
    """
    try:
        value = loads(body)
    except InvalidJson:
        raise _no_listing() from None
    entries = value
    if isinstance(value, dict):
        entries = value.get("data", value.get("models"))
    if not isinstance(entries, list):
        raise _no_listing()
    return listed_models(entries, id_fields=_ID_FIELDS, read=read)


def _no_listing() -> ApiFailure:
    return ApiFailure(
        ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="the upstream's answer lists no models")
    )
