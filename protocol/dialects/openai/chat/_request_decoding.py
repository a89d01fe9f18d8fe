"""A client's request to the canonical form: every field but the messages and the tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest, Sampling
from forebay.protocol.dialects.fields import (
    as_string,
    optional_bool,
    optional_int,
    optional_object,
    optional_string,
    required_string,
    rest_of,
)
from forebay.protocol.dialects.openai._generation_fields import (
    TUNING_FIELDS,
    decode_choices,
    decode_stop,
    decode_stream_options,
    decode_tuning,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.chat._message_decoding import decode_messages
from forebay.protocol.dialects.openai.chat._output_format import decode_output
from forebay.protocol.dialects.openai.chat._reasoning import (
    decode_reasoning,
    reasoning_said_twice,
)
from forebay.protocol.dialects.openai.chat._tools import decode_tool_choice, decode_tools
from forebay.protocol.jsontext import JsonObject

_SAID_TWICE = frozenset({"user", "safety_identifier", "functions", "repeat_penalty"})
"""Understood, and raw as well: this dialect wants them back as they were, or answers in kind."""
_UNDERSTOOD = TUNING_FIELDS | {
    "logprobs",
    "top_logprobs",
    "model",
    "messages",
    "tools",
    "tool_choice",
    "function_call",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "n",
    "response_format",
    "reasoning_effort",
    "metadata",
    "service_tier",
    "stream",
    "stream_options",
}


def decode_request(body: JsonObject) -> ChatRequest:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    model = required_string(body, "model")
    turns = decode_messages(body)
    tools = decode_tools(body)
    tool_choice, raw_tool_choice = decode_tool_choice(body, tools)
    output, raw_output = decode_output(body)
    stream = optional_bool(body, "stream") or False
    stream_usage, stream_options = decode_stream_options(body, stream=stream)
    extras = rest_of(body, _UNDERSTOOD)
    if body.get("tools"):
        extras.pop("functions", None)
    for name, raw in (
        ("tool_choice", raw_tool_choice),
        ("response_format", raw_output),
        ("stream_options", stream_options),
    ):
        if raw:
            extras[name] = raw
    reasoning = decode_reasoning(body)
    return ChatRequest(
        model=model,
        turns=turns,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=optional_bool(body, "parallel_tool_calls") if tools else None,
        max_output_tokens=_decode_limit(body),
        sampling=_decode_sampling(body),
        stop=decode_stop(body),
        choices=decode_choices(body),
        output=output,
        reasoning=reasoning,
        user_id=optional_string(body, "safety_identifier") or optional_string(body, "user"),
        metadata=_decode_metadata(body),
        service_tier=optional_string(body, "service_tier"),
        stream=stream,
        stream_usage=stream_usage,
        extras={OPENAI: extras},
        said_twice=(_SAID_TWICE | reasoning_said_twice(body, reasoning)) & extras.keys(),
    )


def _decode_limit(body: JsonObject) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = optional_int(body, name)
        if limit is None:
            continue
        if limit < 1:
            raise bad_request(
                f"'{name}' must be at least 1, got {limit}; leave it out for no limit",
                param=name,
                code="integer_below_min_value",
            )
        return limit
    return None


def _decode_sampling(body: JsonObject) -> Sampling:
    top_logprobs = optional_int(body, "top_logprobs")
    logprobs = optional_bool(body, "logprobs")
    if top_logprobs is not None and not logprobs:
        raise bad_request(
            "'top_logprobs' needs 'logprobs' to be true", param="top_logprobs", code="invalid_value"
        )
    return replace(decode_tuning(body), logprobs=logprobs, top_logprobs=top_logprobs)


def _decode_metadata(body: JsonObject) -> Mapping[str, str] | None:
    value = optional_object(body, "metadata")
    if value is None:
        return None
    return {name: as_string(text, f"metadata.{name}") for name, text in value.items()}
