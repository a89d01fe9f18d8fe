"""``POST /v1/responses/input_tokens``: the request without what only an answer needs."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import USUAL_SERVER, EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.count_losses import losses_of_counts, prompt_of
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.responses._answer_decoding import broken_answer
from forebay.protocol.dialects.openai.responses._losses import LOSSES
from forebay.protocol.dialects.openai.responses._names import OPENAI_INPUT_TOKENS
from forebay.protocol.dialects.openai.responses._relaying import can_relay
from forebay.protocol.dialects.openai.responses._request_decoding import decode_request
from forebay.protocol.dialects.openai.responses._request_encoding import encode_request
from forebay.protocol.dialects.token_counts import TokenCountCodec
from forebay.protocol.jsontext import JsonObject

_FIELDS = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)
"""All that this API takes."""


class OpenAIInputTokenCodec(TokenCountCodec):
    api = OPENAI_INPUT_TOKENS
    dialect = OPENAI
    path = "/v1/responses/input_tokens"
    losses = losses_of_counts(OPENAI_INPUT_TOKENS, LOSSES)

    def decode_request(self, body: JsonObject) -> ChatRequest:
        """Like a request for an answer, except that ``input`` may be missing."""
        return decode_request(body, needs_input=False)

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        return can_relay(request)

    def encode_count(self, input_tokens: int) -> JsonObject:
        return {"object": "response.input_tokens", "input_tokens": input_tokens}

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        encoded = encode_request(prompt_of(request), traits)
        body = {name: value for name, value in encoded.body.items() if name in _FIELDS}
        return replace(encoded, body=body)

    def decode_count(self, body: JsonObject) -> int:
        count = body.get("input_tokens")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise broken_answer("it has no 'input_tokens'")
        return count
