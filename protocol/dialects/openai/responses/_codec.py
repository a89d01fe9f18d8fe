"""``POST /v1/responses``."""

from __future__ import annotations

from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import ChatRequest, Thinking
from forebay.protocol.dialects.base import (
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
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES
from forebay.protocol.dialects.openai.responses._reasoning import is_made_here
from forebay.protocol.dialects.openai.responses._request_decoding import decode_request
from forebay.protocol.dialects.openai.responses._request_encoding import encode_request
from forebay.protocol.dialects.openai.responses._stream_decoding import ResponsesStreamDecoder
from forebay.protocol.dialects.openai.responses._stream_encoding import ResponsesStreamEncoder
from forebay.protocol.dialects.tool_names import with_given_names
from forebay.protocol.jsontext import JsonObject


class OpenAIResponsesCodec(ChatCodec):
    api = OPENAI_RESPONSES
    path = "/v1/responses"
    dialect = OPENAI
    stream_content_type = "text/event-stream; charset=utf-8"

    def decode_request(self, body: JsonObject) -> ChatRequest:
        return decode_request(body)

    def can_relay(self, request: ChatRequest) -> bool:
        """Not with reasoning that a gateway gave out, which no provider knows; nor where the
        gateway keeps itself what the request builds on."""
        if request.state is not None and request.state.kept_here:
            return False
        return not any(
            isinstance(part, Thinking) and is_made_here(part)
            for turn in request.turns
            for part in turn.parts
        )

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
