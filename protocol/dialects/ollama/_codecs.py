"""What the codecs of both APIs do alike: answers, in both directions."""

from __future__ import annotations

from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ChatCodec, ReplyContext, StreamEncoder
from forebay.protocol.dialects.ollama._answer_in import OllamaStreamDecoder, decode_whole
from forebay.protocol.dialects.ollama._answer_out import (
    OllamaStreamEncoder,
    encode_load_reply,
    encode_whole,
)
from forebay.protocol.dialects.ollama._answer_shapes import AnswerShape
from forebay.protocol.dialects.ollama._loading import load_reply
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.tool_names import encoder_with_given_names, with_given_names
from forebay.protocol.jsontext import JsonObject


class OllamaCodec(ChatCodec):
    """One of the two APIs; they differ in their requests and in the shape of an answer."""

    dialect = OLLAMA
    stream_content_type = "application/x-ndjson"
    _shape: AnswerShape

    def decode_response(self, body: JsonObject) -> ChatResponse:
        return decode_whole(self._shape, body)

    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        named = with_given_names(response, context.request)
        return encode_whole(self._shape, named, context)

    def reply_without_model(self, request: ChatRequest, context: ReplyContext) -> JsonObject | None:
        """The answer to a request to load or unload a model: one object, sent whole also to a
        client that asked for a stream."""
        action = load_reply(request)
        return None if action is None else encode_load_reply(self._shape, action, context)

    def stream_decoder(self) -> OllamaStreamDecoder:
        return OllamaStreamDecoder(self._shape)

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        encoder = OllamaStreamEncoder(self._shape, context)
        return encoder_with_given_names(encoder, context.request)
