"""The Response object around an answer: its state, and the echo of what was asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import FinishReason, Usage
from forebay.protocol.canonical.requests import ChatRequest, Extras
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._usage import encode_responses_usage
from forebay.protocol.dialects.openai.responses._names import RESPONSES, raw_of
from forebay.protocol.dialects.openai.responses._output_format import encode_format
from forebay.protocol.dialects.openai.responses._reasoning import encode_reasoning
from forebay.protocol.dialects.openai.responses._request_encoding import split_instructions
from forebay.protocol.dialects.openai.responses._tools import encode_tool_choice, encode_tools
from forebay.protocol.jsontext import JsonObject, JsonValue

_NANOSECONDS = 1_000_000_000
_ECHOED_RAW = ("prompt", "prompt_cache_key", "safety_identifier", "user", "max_tool_calls")
_ERROR_CODES = {
    ErrorKind.BAD_REQUEST: "invalid_prompt",
    ErrorKind.CONTEXT_OVERFLOW: "context_length_exceeded",
    ErrorKind.PAYMENT_REQUIRED: "insufficient_quota",
    ErrorKind.RATE_LIMITED: "rate_limit_exceeded",
}
"""The codes that coding agents look for; all else is the server's fault."""
_SAYS_WHEN = re.compile(r"try again in", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended."""

    status: str
    reason: str | None = None
    """Why it is incomplete."""

    @property
    def complete(self) -> bool:
        return self.status == "completed"


def encode_ending(finish: FinishReason, *, refused: bool) -> Ending:
    """There is no reason for a natural end here, nor for calls: those are seen from the items.

    Args:
        refused: The answer holds a refusal, which says it all.
    """
    match finish:
        case FinishReason.LENGTH | FinishReason.CONTEXT_FULL:
            return Ending("incomplete", "max_output_tokens")
        case FinishReason.REFUSAL if not refused:
            return Ending("incomplete", "content_filter")
        case _:
            return Ending("completed")


def with_upstreams_own(ours: JsonObject, extras: Extras) -> JsonObject:
    """A Response object with what the upstream's says beyond it: what it made of what the request
    had left open, and fields that nothing else holds."""
    raw = raw_of(extras)
    whole = _filled(ours, raw)
    tier = raw.get("service_tier") or extras.get(OPENAI, {}).get("service_tier")
    if isinstance(tier, str):
        whole["service_tier"] = tier
    if ours["usage"] is None:
        whole["usage"] = None
    if ours["incomplete_details"] is not None and "incomplete_details" in raw:
        whole["incomplete_details"] = raw["incomplete_details"]
    return whole


def _filled(ours: JsonObject, raw: JsonObject) -> JsonObject:
    """``ours``, and of ``raw`` what it leaves out."""
    filled = dict(ours)
    for name, value in raw.items():
        known = ours.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            filled[name] = _filled(known, value)
        elif known is None:
            filled[name] = value
    return filled


def encode_error(error: ApiError) -> JsonObject:
    """``error`` of a failed response."""
    message = error.message
    if error.retry_after is not None and not _SAYS_WHEN.search(message):
        # Coding agents read the time to wait out of the words.
        message = f"{message} Please try again in {error.retry_after:g}s."
    return {"code": _ERROR_CODES.get(error.kind, "server_error"), "message": message}


class ResponseForm:
    """Makes the Response objects of one answer."""

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._echo = _echo_of(context.request)
        self.created = context.created

    def whole(
        self,
        response_id: str,
        status: str,
        *,
        output: list[JsonValue],
        usage: Usage | None = None,
        error: ApiError | None = None,
        reason: str | None = None,
    ) -> JsonObject:
        """The object with everything that was asked."""
        return {**self._head(response_id, status, output, usage, error, reason), **self._echo}

    def brief(self, response_id: str, status: str) -> JsonObject:
        """The object without what may be long: for frames that only show that there is life."""
        left_out: JsonObject = {"instructions": None, "prompt": None, "tools": []}
        said = {**self._head(response_id, status, [], None, None, None), **self._echo, **left_out}
        del said["text"]
        return said

    def _head(
        self,
        response_id: str,
        status: str,
        output: list[JsonValue],
        usage: Usage | None,
        error: ApiError | None,
        reason: str | None,
    ) -> JsonObject:
        done = status in ("completed", "incomplete", "failed")
        now = self._context.created + self._context.elapsed_ns() // _NANOSECONDS
        return {
            "id": response_id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "completed_at": max(now, self.created) if done else None,
            "error": None if error is None else encode_error(error),
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self._context.request.model,
            "output": output,
            "usage": None if usage is None else encode_responses_usage(usage),
        }


def _echo_of(request: ChatRequest) -> JsonObject:
    same_api = RESPONSES in request.extras
    raw = raw_of(request.extras)
    instructions, _ = split_instructions(request.turns, same_api=same_api)
    text = raw.get("text")
    state = request.state
    parallel = request.parallel_tool_calls
    conversation = None if state is None else state.conversation_id
    echo: JsonObject = {
        "background": state is not None and state.background,
        "conversation": None if conversation is None else {"id": conversation},
        "instructions": instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": dict(request.metadata or {}),
        "parallel_tool_calls": True if parallel is None else parallel,
        "previous_response_id": None if state is None else state.previous_response_id,
        "reasoning": {
            "effort": None,
            "summary": None,
            **(encode_reasoning(request.reasoning) or {}),
        },
        "service_tier": "default",
        "store": state is not None and state.store and state.kept_here,
        "temperature": request.sampling.temperature,
        "text": {
            **(text if isinstance(text, dict) else {}),
            "format": encode_format(request.output),
        },
        "tool_choice": _choice_echo(request, raw),
        "tools": encode_tools(request.tools, same_api=same_api),
        "top_logprobs": raw.get("top_logprobs") or request.sampling.top_logprobs or 0,
        "top_p": request.sampling.top_p,
        "truncation": raw.get("truncation") or "disabled",
    }
    for name in _ECHOED_RAW:
        echo[name] = raw.get(name)
    return echo


def _choice_echo(request: ChatRequest, raw: JsonObject) -> JsonValue:
    if raw.get("tool_choice") is not None:
        return raw["tool_choice"]
    choice = request.tool_choice
    return "auto" if choice is None else encode_tool_choice(choice)
