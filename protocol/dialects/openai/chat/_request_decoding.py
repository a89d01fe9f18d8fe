"""A client's request to the canonical form: every field but the messages and the tools."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest, Sampling
from forebay.protocol.dialects.fields import (
    as_string,
    optional_bool,
    optional_int,
    optional_list,
    optional_number,
    optional_object,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai.chat._message_decoding import decode_messages
from forebay.protocol.dialects.openai.chat._output_format import decode_output
from forebay.protocol.dialects.openai.chat._reasoning import decode_reasoning
from forebay.protocol.dialects.openai.chat._tools import decode_tool_choice, decode_tools
from forebay.protocol.jsontext import JsonObject

_SAMPLING_FIELDS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
    }
)
# `user`, `safety_identifier` and `functions` are understood, but stay raw as well.
_UNDERSTOOD = _SAMPLING_FIELDS | {
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
_MOST_CHOICES = 128


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
    stream_usage, stream_options = _decode_stream_options(body, stream=stream)
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
    return ChatRequest(
        model=model,
        turns=turns,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=optional_bool(body, "parallel_tool_calls") if tools else None,
        max_output_tokens=_decode_limit(body),
        sampling=_decode_sampling(body),
        stop=_decode_stop(body),
        choices=_decode_choices(body),
        output=output,
        reasoning=decode_reasoning(body),
        user_id=optional_string(body, "safety_identifier") or optional_string(body, "user"),
        metadata=_decode_metadata(body),
        service_tier=optional_string(body, "service_tier"),
        stream=stream,
        stream_usage=stream_usage,
        extras={OPENAI: extras},
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
    repeat_penalty = optional_number(body, "repetition_penalty")
    if repeat_penalty is None:
        # llama.cpp's own name; it stays raw as well
        repeat_penalty = optional_number(body, "repeat_penalty")
    return Sampling(
        temperature=optional_number(body, "temperature"),
        top_p=optional_number(body, "top_p"),
        top_k=optional_int(body, "top_k"),
        min_p=optional_number(body, "min_p"),
        seed=optional_int(body, "seed"),
        frequency_penalty=optional_number(body, "frequency_penalty"),
        presence_penalty=optional_number(body, "presence_penalty"),
        repeat_penalty=repeat_penalty,
        logit_bias=_decode_logit_bias(body),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
    )


def _decode_logit_bias(body: JsonObject) -> Mapping[str, float] | None:
    value = optional_object(body, "logit_bias")
    if value is None:
        return None
    bias: dict[str, float] = {}
    for token in value:
        number = optional_number(value, token, "logit_bias.")
        if number is None:
            raise wrong_type(f"logit_bias.{token}", "a number", None)
        bias[token] = number
    return bias


def _decode_stop(body: JsonObject) -> tuple[str, ...]:
    value = body.get("stop")
    if isinstance(value, str):
        return (value,)
    if value is not None and not isinstance(value, list):
        raise wrong_type("stop", "a string or an array of strings", value)
    sequences = optional_list(body, "stop") or ()
    return tuple(as_string(stop, f"stop[{at}]") for at, stop in enumerate(sequences))


def _decode_choices(body: JsonObject) -> int:
    choices = optional_int(body, "n")
    if choices is None:
        return 1
    if not 1 <= choices <= _MOST_CHOICES:
        raise bad_request(
            f"'n' must be between 1 and {_MOST_CHOICES}, got {choices}",
            param="n",
            code="invalid_value",
        )
    return choices


def _decode_metadata(body: JsonObject) -> Mapping[str, str] | None:
    value = optional_object(body, "metadata")
    if value is None:
        return None
    return {name: as_string(text, f"metadata.{name}") for name, text in value.items()}


def _decode_stream_options(body: JsonObject, *, stream: bool) -> tuple[bool, JsonObject]:
    options = optional_object(body, "stream_options")
    if options is None:
        return False, {}
    if not stream:
        raise bad_request(
            "'stream_options' is only allowed with 'stream': true",
            param="stream_options",
            code="invalid_value",
        )
    usage = optional_bool(options, "include_usage", "stream_options.") or False
    return usage, rest_of(options, ("include_usage",))
