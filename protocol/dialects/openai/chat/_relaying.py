"""What may go to an upstream of this API as a client wrote it."""

from __future__ import annotations

from collections.abc import Iterator

from forebay.protocol.canonical.requests import ChatRequest, Thinking, ToolCall, ToolResult
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai._generation_fields import (
    COMPATIBLE_ONLY,
    is_openai,
    refused_tuning,
    stops_fit_openai,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.tool_ids import is_short_id

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
    if traits.known_fields is not None and not _said_fields(request) <= traits.known_fields:
        return False
    if traits.short_tool_ids and not all(map(is_short_id, _tool_ids(request))):
        return False
    if not traits.takes_past_reasoning and _brings_reasoning(request):
        return False
    return not (traits.keeps_stop_text and request.stream and request.stop)


def _said_fields(request: ChatRequest) -> set[str]:
    """The fields that a client's request has beside its messages and its tools, and those that it
    may have."""
    sampling = request.sampling
    said = {
        "max_completion_tokens": request.max_output_tokens is not None,
        "stream_options": request.stream_usage,
        "user": request.user_id is not None,
        "metadata": request.metadata is not None,
        "service_tier": request.service_tier is not None,
        "parallel_tool_calls": request.parallel_tool_calls is not None,
        "reasoning_effort": request.reasoning is not None,
        "stop": bool(request.stop),
        "temperature": sampling.temperature is not None,
        "top_p": sampling.top_p is not None,
        "top_k": sampling.top_k is not None,
        "min_p": sampling.min_p is not None,
        "seed": sampling.seed is not None,
        "frequency_penalty": sampling.frequency_penalty is not None,
        "presence_penalty": sampling.presence_penalty is not None,
        "repetition_penalty": sampling.repeat_penalty is not None,
        "logit_bias": sampling.logit_bias is not None,
    }
    raw = request.extras.get(OPENAI, {})
    return {name for name, is_said in said.items() if is_said} | raw.keys()


def _tool_ids(request: ChatRequest) -> Iterator[str]:
    for turn in request.turns:
        for part in turn.parts:
            match part:
                case ToolCall():
                    yield part.id
                case ToolResult():
                    yield part.call_id


def _brings_reasoning(request: ChatRequest) -> bool:
    return any(isinstance(part, Thinking) for turn in request.turns for part in turn.parts) or any(
        "reasoning_details" in turn.extras.get(OPENAI, {}) for turn in request.turns
    )
