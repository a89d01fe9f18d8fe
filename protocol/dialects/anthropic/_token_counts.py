"""``POST /v1/messages/count_tokens``: the request without what only an answer needs."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.anthropic._answers import broken_answer
from forebay.protocol.dialects.anthropic._losses import LOSSES
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, ANTHROPIC_COUNT_TOKENS
from forebay.protocol.dialects.anthropic._relaying import can_relay
from forebay.protocol.dialects.anthropic._request_decoding import decode_request
from forebay.protocol.dialects.anthropic._request_encoding import encode_request
from forebay.protocol.dialects.base import USUAL_SERVER, EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.count_losses import losses_of_counts, prompt_of
from forebay.protocol.dialects.token_counts import TokenCountCodec
from forebay.protocol.jsontext import JsonObject

_ANSWER_ONLY = (
    "max_tokens",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "metadata",
    "service_tier",
    "stream",
)


class AnthropicTokenCountCodec(TokenCountCodec):
    api = ANTHROPIC_COUNT_TOKENS
    dialect = ANTHROPIC
    path = "/v1/messages/count_tokens"
    losses = losses_of_counts(ANTHROPIC_COUNT_TOKENS, LOSSES)

    def decode_request(self, body: JsonObject) -> ChatRequest:
        """Like a request for an answer, except that ``max_tokens`` may be missing."""
        return decode_request(body, needs_max_tokens=False)

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        return can_relay(request)

    def encode_count(self, input_tokens: int) -> JsonObject:
        return {"input_tokens": input_tokens}

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        encoded = encode_request(prompt_of(request), traits)
        body = {name: value for name, value in encoded.body.items() if name not in _ANSWER_ONLY}
        return replace(encoded, body=body)

    def decode_count(self, body: JsonObject) -> int:
        count = body.get("input_tokens")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise broken_answer("the upstream's answer has no 'input_tokens'")
        return count
