"""``POST /v1/messages/count_tokens``: the request without what only an answer needs."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.anthropic._answers import broken_answer
from forebay.protocol.dialects.anthropic._request_decoding import decode_request
from forebay.protocol.dialects.anthropic._request_encoding import encode_request
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
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


def decode_count_request(body: JsonObject) -> ChatRequest:
    """Like a request for an answer, except that ``max_tokens`` may be missing.

    Raises:
        ApiFailure: BAD_REQUEST.
    """
    return decode_request(body, needs_max_tokens=False)


def encode_count_request(request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    """Ask an upstream how many tokens the prompt of ``request`` has.

    Raises:
        ApiFailure: BAD_REQUEST, as for an answer.
    """
    encoded = encode_request(request, traits)
    body = {name: value for name, value in encoded.body.items() if name not in _ANSWER_ONLY}
    return replace(encoded, body=body)


def decode_token_count(body: JsonObject) -> int:
    """
    Raises:
        ApiFailure: UPSTREAM_ERROR, the answer holds no count.
    """
    count = body.get("input_tokens")
    if isinstance(count, bool) or not isinstance(count, int):
        raise broken_answer("the upstream's answer has no 'input_tokens'")
    return count
