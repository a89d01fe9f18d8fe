"""Listings of models: ``GET /v1/models`` and ``GET /v1/models/{id}``."""

from __future__ import annotations

from collections.abc import Sequence

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.listings import EntryReader, listed_models, read_entry
from forebay.protocol.dialects.openai._error_decoding import error_inside
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads

_ID_FIELDS = ("id", "name", "model")


def encode_model_card(model: ModelCard) -> JsonObject:
    """One model. Context length and capabilities are extras that all clients bear."""
    card: JsonObject = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
    if model.context_length is not None:
        card["context_length"] = model.context_length
    card["capabilities"] = list(model.capabilities)
    if model.retires is not None:
        card["shutdown_date"] = model.retires.isoformat()
    return card


def encode_model_cards(models: Sequence[ModelCard]) -> JsonObject:
    return {"object": "list", "data": [encode_model_card(model) for model in models]}


def decode_model_list(body: bytes, read: EntryReader = read_entry) -> tuple[ListedModel, ...]:
    """The models of a listing: of OpenAI's envelope, of a bare array (Together), or of ``models``
    where there is no ``data``.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body is no listing.
    """
    try:
        value = loads(body)
    except InvalidJson:
        raise _no_listing("it is not JSON") from None
    entries = value
    if isinstance(value, dict):
        error = error_inside(value)
        if error is not None:
            raise _no_listing(error[0].message)
        entries = value["data"] if "data" in value else value.get("models", "")
        if entries is None:  # Ollama, when it has no model at all
            entries = []
    if not isinstance(entries, list):
        raise _no_listing("it holds no array of models")
    return listed_models(entries, id_fields=_ID_FIELDS, read=read)


def _no_listing(why: str) -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UPSTREAM_ERROR,
            message=f"the upstream's answer is no list of models: {why}",
        )
    )
