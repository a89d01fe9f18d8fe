"""``POST /api/chat``."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.completions import refuse_raw_completion
from forebay.protocol.canonical.continuations import refuse_going_on
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.base import EncodedRequest, Prefill, UpstreamTraits
from forebay.protocol.dialects.ollama._answer_shapes import AnswerShape, MessageShape
from forebay.protocol.dialects.ollama._codecs import OllamaCodec
from forebay.protocol.dialects.ollama._losses import ANSWER_LOSSES, CHAT_LOSSES
from forebay.protocol.dialects.ollama._messages import decode_messages, encode_messages
from forebay.protocol.dialects.ollama._names import OLLAMA_CHAT
from forebay.protocol.dialects.ollama._request_fields import (
    decode_shared_fields,
    encode_shared_fields,
)
from forebay.protocol.dialects.ollama._tools import decode_tools, encode_tools
from forebay.protocol.jsontext import JsonObject


class OllamaChatCodec(OllamaCodec):
    """The chat API, which says everything that Ollama can be asked for in a conversation."""

    api = OLLAMA_CHAT
    path = "/api/chat"
    losses = CHAT_LOSSES
    answer_losses = ANSWER_LOSSES
    _shape: AnswerShape = MessageShape()

    def decode_request(self, body: JsonObject) -> ChatRequest:
        shared = decode_shared_fields(body)
        return replace(shared, turns=decode_messages(body), tools=decode_tools(body))

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        refuse_missing_state(request)
        refuse_raw_completion(request)
        if traits.prefill is Prefill.NONE:
            refuse_going_on(request)
        shared = encode_shared_fields(request, traits, CHAT_LOSSES)
        tools, dropped = encode_tools(request)
        body: JsonObject = {
            "model": request.model,
            "messages": encode_messages(request.turns),
        }
        if tools:
            body["tools"] = [*tools]
        body.update(shared.body)
        return EncodedRequest(body=body, dropped=(*shared.dropped, *dropped))
