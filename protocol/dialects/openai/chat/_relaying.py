"""What may go to an upstream of this API as a client wrote it."""

from __future__ import annotations

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai._generation_fields import (
    COMPATIBLE_ONLY,
    is_openai,
    refused_tuning,
    stops_fit_openai,
)
from forebay.protocol.dialects.openai._names import OPENAI

_ASK_FOR_MORE = frozenset({"modalities", "audio", "web_search_options"})


def can_relay(request: ChatRequest, traits: UpstreamTraits) -> bool:
    """Not where the server is known to refuse, or to misunderstand, what the request says; but
    always where only a relayed answer can hold what it asks for. The server then says itself what
    it refuses."""
    sampling = request.sampling
    raw = request.extras.get(OPENAI, {})
    if request.choices > 1 or sampling.logprobs or raw.keys() & _ASK_FOR_MORE:
        return True
    if is_openai(traits):
        unknown_there = (sampling.top_k, sampling.min_p, sampling.repeat_penalty)
        if any(value is not None for value in unknown_there) or raw.keys() & COMPATIBLE_ONLY:
            return False
        if not stops_fit_openai(request.stop):
            return False
    # Which name the client gave to its limit is not known here: such models know only one.
    has_limit = request.max_output_tokens is not None
    if not traits.takes_sampling and (has_limit or refused_tuning(sampling)):
        return False
    if not traits.takes_zero_temperature and sampling.temperature == 0:
        return False
    return not (traits.keeps_stop_text and request.stream and request.stop)
