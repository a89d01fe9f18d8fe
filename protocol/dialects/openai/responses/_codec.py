"""``POST /v1/responses``."""

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
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.responses._answer_decoding import decode_answer
from forebay.protocol.dialects.openai.responses._answer_encoding import encode_answer
from forebay.protocol.dialects.openai.responses._losses import ANSWER_LOSSES, LOSSES
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES
from forebay.protocol.dialects.openai.responses._relaying import can_relay
from forebay.protocol.dialects.openai.responses._request_decoding import decode_request
from forebay.protocol.dialects.openai.responses._request_encoding import encode_request
from forebay.protocol.dialects.openai.responses._stream_decoding import ResponsesStreamDecoder
from forebay.protocol.dialects.openai.responses._stream_encoding import ResponsesStreamEncoder
from forebay.protocol.dialects.tool_names import with_given_names
from forebay.protocol.jsontext import JsonObject


class OpenAIResponsesCodec(ChatCodec):
    api = OPENAI_RESPONSES
    path = "/v1/responses"
    losses = LOSSES
    answer_losses = ANSWER_LOSSES
    dialect = OPENAI
    stream_content_type = "text/event-stream; charset=utf-8"

    def decode_request(self, body: JsonObject) -> ChatRequest:
        return decode_request(body)

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        return can_relay(request)

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        return encode_request(request, traits)

    def decode_response(self, body: JsonObject) -> ChatResponse:
        return decode_answer(body)

    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        return encode_answer(with_given_names(response, context.request), context)

    def stream_decoder(self) -> StreamDecoder:
        return ResponsesStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        return ResponsesStreamEncoder(context)
