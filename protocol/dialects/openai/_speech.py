"""What all of OpenAI's APIs share: the shape of errors and of model lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import DialectSpeech, ModelCard, SpokenError
from forebay.protocol.dialects.listings import EntryReader, read_entry
from forebay.protocol.dialects.openai._error_decoding import decode_error_body, is_openais_error
from forebay.protocol.dialects.openai._error_encoding import encode_api_error
from forebay.protocol.dialects.openai._model_lists import (
    decode_model_list,
    encode_model_card,
    encode_model_cards,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.jsontext import JsonObject

_VERSION = "2020-10-01"
"""The only one that there is of this API."""


class OpenAISpeech(DialectSpeech):
    dialect = OPENAI

    def answer_headers(self, seconds: float) -> Mapping[str, str]:
        return {
            "openai-version": _VERSION,
            "openai-processing-ms": str(round(seconds * 1000)),
        }

    def encode_error(self, error: ApiError, request_id: str) -> SpokenError:
        # OpenAI names the request in a header only.
        return encode_api_error(error)

    def decode_error(self, status: int, body: bytes) -> ApiError:
        return decode_error_body(status, body)

    def is_own_error(self, body: bytes) -> bool:
        return is_openais_error(body)

    def encode_model(self, model: ModelCard) -> JsonObject:
        """The answer to ``GET /v1/models/{id}``."""
        return encode_model_card(model)

    def encode_model_list(self, models: Sequence[ModelCard], *, more: bool = False) -> JsonObject:
        return encode_model_cards(models)

    def decode_model_list(
        self, body: bytes, read: EntryReader = read_entry
    ) -> tuple[ListedModel, ...]:
        return decode_model_list(body, read)
