"""``POST /v1/embeddings``."""

from __future__ import annotations

from forebay.protocol.canonical.embeddings import EmbeddingRequest, EmbeddingResponse
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.embeddings import EmbeddingCodec, EmbeddingContext
from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_EMBEDDINGS
from forebay.protocol.dialects.openai.embeddings._answers import (
    decode_answer,
    encode_answer,
    is_as_asked,
)
from forebay.protocol.dialects.openai.embeddings._losses import LOSSES
from forebay.protocol.dialects.openai.embeddings._requests import (
    MOST_INPUTS,
    decode_request,
    encode_request,
)
from forebay.protocol.jsontext import JsonObject


class OpenAIEmbeddingCodec(EmbeddingCodec):
    api = OPENAI_EMBEDDINGS
    dialect = OPENAI
    path = "/v1/embeddings"
    most_inputs: int | None = MOST_INPUTS
    losses = LOSSES

    def decode_request(self, body: JsonObject) -> EmbeddingRequest:
        return decode_request(body)

    def can_relay_answer(self, body: JsonObject, request: EmbeddingRequest) -> bool:
        return is_as_asked(body, request)

    def encode_request(self, request: EmbeddingRequest, traits: UpstreamTraits) -> EncodedRequest:
        return encode_request(request)

    def decode_response(self, body: JsonObject) -> EmbeddingResponse:
        return decode_answer(body)

    def encode_response(self, response: EmbeddingResponse, context: EmbeddingContext) -> JsonObject:
        return encode_answer(response, context)
