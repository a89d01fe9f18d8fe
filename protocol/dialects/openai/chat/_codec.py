"""``POST /v1/chat/completions``."""

from __future__ import annotations

from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import (
    USUAL_SERVER,
    ChatCodec,
    EncodedRequest,
    ReplyContext,
    StreamDecoder,
    StreamEncoder,
    UpstreamTraits,
)
from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_CHAT
from forebay.protocol.dialects.openai.chat import _relaying
from forebay.protocol.dialects.openai.chat._answer_decoding import decode_answer
from forebay.protocol.dialects.openai.chat._answer_encoding import encode_answer
from forebay.protocol.dialects.openai.chat._losses import ANSWER_LOSSES, LOSSES
from forebay.protocol.dialects.openai.chat._request_decoding import decode_request
from forebay.protocol.dialects.openai.chat._request_encoding import encode_request
from forebay.protocol.dialects.openai.chat._stream_decoding import ChatStreamDecoder
from forebay.protocol.dialects.openai.chat._stream_encoding import ChatStreamEncoder
from forebay.protocol.dialects.tool_names import encoder_with_given_names, with_given_names
from forebay.protocol.jsontext import JsonObject


class OpenAIChatCodec(ChatCodec):
    api = OPENAI_CHAT
    path = "/v1/chat/completions"
    losses = LOSSES
    answer_losses = ANSWER_LOSSES
    dialect = OPENAI
    stream_content_type = "text/event-stream; charset=utf-8"

    def decode_request(self, body: JsonObject) -> ChatRequest:
        return decode_request(body)

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        return _relaying.can_relay(request, traits)

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        return encode_request(request, traits)

    def decode_response(self, body: JsonObject) -> ChatResponse:
        return decode_answer(body)

    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        return encode_answer(with_given_names(response, context.request), context)

    def stream_decoder(self) -> StreamDecoder:
        return ChatStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        return encoder_with_given_names(ChatStreamEncoder(context), context.request)
