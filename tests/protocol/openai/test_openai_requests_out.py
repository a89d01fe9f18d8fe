"""Requests of any dialect, as an upstream of this one is asked them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Dialect,
    Effort,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Reasoning,
    Role,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_OTHER = Dialect("anthropic")
_COMPATIBLE = UpstreamTraits()
_OPENAI = UpstreamTraits(max_output_field="max_completion_tokens", developer_role=True)
_FROM_ELSEWHERE = ChatRequest(
    model="up", turns=(Turn(role=Role.USER, parts=(Text("Hi"),)),), extras={_OTHER: {}}
)
_HI: JsonObject = {"role": "user", "content": "Hi"}


def _relayed(codec: OpenAIChatCodec, traits: UpstreamTraits, body: JsonObject) -> EncodedRequest:
    """What becomes of the request of a client that speaks this dialect itself."""
    return codec.encode_request(
        codec.decode_request({"model": "m", "messages": [_HI], **body}), traits
    )


def test_the_least_request_says_nothing_that_was_not_asked(codec: OpenAIChatCodec) -> None:
    encoded = codec.encode_request(_FROM_ELSEWHERE, _COMPATIBLE)
    assert encoded == EncodedRequest(body={"model": "up", "messages": [_HI]})


def test_every_field_is_said_to_a_compatible_server(codec: OpenAIChatCodec) -> None:
    request = replace(
        _FROM_ELSEWHERE,
        max_output_tokens=9,
        sampling=Sampling(
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            min_p=0.1,
            seed=7,
            frequency_penalty=0.1,
            presence_penalty=-0.2,
            repeat_penalty=1.1,
            logit_bias={"50256": -100},
            logprobs=True,
            top_logprobs=3,
        ),
        stop=("a", "b"),
        choices=2,
        user_id="u",
        service_tier="auto",
        stream=True,
        tools=(Tool(name="f", description="d", parameters={"type": "object"}, strict=True),),
        tool_choice=ToolChoice(ToolChoiceMode.NAMED, "f"),
        parallel_tool_calls=False,
    )
    function: JsonObject = {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
    }
    assert codec.encode_request(request, _COMPATIBLE) == EncodedRequest(
        body={
            "model": "up",
            "messages": [_HI],
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
            "max_tokens": 9,
            "stop": ["a", "b"],
            "n": 2,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "frequency_penalty": 0.1,
            "presence_penalty": -0.2,
            "logprobs": True,
            "top_logprobs": 3,
            "logit_bias": {"50256": -100},
            "top_k": 40,
            "min_p": 0.1,
            "repetition_penalty": 1.1,
            "service_tier": "auto",
            "user": "u",
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def test_the_limit_goes_by_the_name_that_the_server_reads_trap_50(codec: OpenAIChatCodec) -> None:
    request = replace(_FROM_ELSEWHERE, max_output_tokens=9)
    assert codec.encode_request(request, _OPENAI).body["max_completion_tokens"] == 9
    assert codec.encode_request(request, _COMPATIBLE).body["max_tokens"] == 9
    assert _relayed(codec, _OPENAI, {"max_tokens": 9}).body["max_completion_tokens"] == 9
    assert "max_tokens" not in _relayed(codec, _OPENAI, {"max_tokens": 9}).body


def test_usage_is_asked_of_every_stream_whose_server_knows_the_option(
    codec: OpenAIChatCodec,
) -> None:
    """Whether the client asked is the stream encoder's business (trap 77)."""
    streamed = replace(_FROM_ELSEWHERE, stream=True)
    silent = UpstreamTraits(stream_usage=False)
    assert codec.encode_request(streamed, _COMPATIBLE).body["stream_options"] == {
        "include_usage": True
    }
    assert "stream_options" not in codec.encode_request(streamed, silent).body
    assert "stream_options" not in codec.encode_request(_FROM_ELSEWHERE, _COMPATIBLE).body
    assert "stream" not in codec.encode_request(_FROM_ELSEWHERE, _COMPATIBLE).body


def test_sampling_that_openai_does_not_know_is_dropped_and_named_trap_51(
    codec: OpenAIChatCodec,
) -> None:
    request = replace(
        _FROM_ELSEWHERE, sampling=Sampling(top_k=40, min_p=0.1, repeat_penalty=1.1, seed=1)
    )
    encoded = codec.encode_request(request, _OPENAI)
    assert encoded.dropped == ("top_k", "min_p", "repeat_penalty")
    assert encoded.body == {"model": "up", "messages": [_HI], "seed": 1}


def test_unknown_fields_reach_compatible_servers_and_not_openai_trap_51(
    codec: OpenAIChatCodec,
) -> None:
    fields: JsonObject = {
        "top_k": 40,
        "chat_template_kwargs": {"enable_thinking": False},
        "repeat_penalty": 1.1,
        "verbosity": "low",
        "user": "u",
    }
    assert _relayed(codec, _COMPATIBLE, fields) == EncodedRequest(
        body={"model": "m", "messages": [_HI], **fields}
    )
    to_openai = _relayed(codec, _OPENAI, fields)
    assert to_openai.body == {"model": "m", "messages": [_HI], "verbosity": "low", "user": "u"}
    assert set(to_openai.dropped) == {"top_k", "chat_template_kwargs", "repeat_penalty"}


def test_fields_of_another_dialect_are_named_as_dropped(codec: OpenAIChatCodec) -> None:
    request = replace(_FROM_ELSEWHERE, extras={_OTHER: {"container": "c", "mcp_servers": []}})
    assert codec.encode_request(request, _COMPATIBLE).dropped == ("container", "mcp_servers")


def test_account_fields_of_another_dialect_are_dropped_where_they_mean_something_else(
    codec: OpenAIChatCodec,
) -> None:
    request = replace(_FROM_ELSEWHERE, metadata={"k": "v"}, service_tier="standard_only")
    encoded = codec.encode_request(request, _OPENAI)
    assert encoded.dropped == ("metadata", "service_tier")
    assert encoded.body == {"model": "up", "messages": [_HI]}
    kept = _relayed(codec, _OPENAI, {"metadata": {"k": "v"}, "service_tier": "flex"})
    assert (kept.body["metadata"], kept.body["service_tier"]) == ({"k": "v"}, "flex")


def test_a_long_user_id_fits_openai_and_still_tells_users_apart(codec: OpenAIChatCodec) -> None:
    ids = {
        str(
            codec.encode_request(
                replace(_FROM_ELSEWHERE, user_id="user_" + "0" * 99 + end), _OPENAI
            ).body["safety_identifier"]
        )
        for end in "12"
    }
    assert {len(user_id) for user_id in ids} == {64}
    assert len(ids) == 2


def test_more_than_four_stop_sequences_are_refused_only_for_openai_trap_39(
    codec: OpenAIChatCodec,
) -> None:
    request = replace(_FROM_ELSEWHERE, stop=("a", "b", "c", "d", "e"))
    assert codec.encode_request(request, _COMPATIBLE).body["stop"] == list("abcde")
    with pytest.raises(ApiFailure) as failure:
        codec.encode_request(request, _OPENAI)
    assert failure.value.error.param == "stop"


@pytest.mark.parametrize(
    ("reasoning", "to_compatible", "to_openai"),
    [
        (Reasoning(effort=Effort.XHIGH), "high", "xhigh"),
        (Reasoning(effort=Effort.MAX), "high", "max"),
        (Reasoning(effort=Effort.MINIMAL), "low", "minimal"),
        (Reasoning(effort=Effort.MEDIUM), "medium", "medium"),
        (Reasoning(enabled=False), "none", "none"),
        (Reasoning(enabled=True), None, None),
        (Reasoning(enabled=True, adaptive=True), None, None),
        (Reasoning(enabled=True, budget_tokens=1024), "low", "low"),
        (Reasoning(enabled=True, budget_tokens=8192), "medium", "medium"),
        (Reasoning(enabled=True, budget_tokens=16384), "high", "high"),
        (Reasoning(enabled=True, budget_tokens=32768), "high", "xhigh"),
    ],
)
def test_reasoning_is_said_in_words_that_the_server_knows_trap_59(
    codec: OpenAIChatCodec, reasoning: Reasoning, to_compatible: str | None, to_openai: str | None
) -> None:
    request = replace(_FROM_ELSEWHERE, reasoning=reasoning)
    said = [
        codec.encode_request(request, traits).body.get("reasoning_effort")
        for traits in (_COMPATIBLE, _OPENAI)
    ]
    assert said == [to_compatible, to_openai]


def test_the_effort_of_a_client_of_this_dialect_is_left_alone(codec: OpenAIChatCodec) -> None:
    assert _relayed(codec, _COMPATIBLE, {"reasoning_effort": "xhigh"}).body["reasoning_effort"] == (
        "xhigh"
    )


def test_openrouters_reasoning_stays_as_it_was_and_becomes_an_effort_for_openai(
    codec: OpenAIChatCodec,
) -> None:
    fields: JsonObject = {"reasoning": {"effort": "high", "exclude": True}}
    body = _relayed(codec, _COMPATIBLE, fields).body
    assert body == {"model": "m", "messages": [_HI], **fields}
    assert _relayed(codec, _OPENAI, fields).body == {
        "model": "m",
        "messages": [_HI],
        "reasoning_effort": "high",
    }


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (OutputFormat(kind=OutputKind.JSON), {"type": "json_object"}),
        (
            OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={"type": "object"}),
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
        (
            OutputFormat(
                kind=OutputKind.JSON_SCHEMA, schema={}, name="n", strict=True, description="d"
            ),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "description": "d", "strict": True},
            },
        ),
        (
            OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={}, name="not a name"),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}},
        ),
    ],
)
def test_the_output_format_is_said(
    codec: OpenAIChatCodec, output: OutputFormat, said: JsonObject
) -> None:
    body = codec.encode_request(replace(_FROM_ELSEWHERE, output=output), _COMPATIBLE).body
    assert body["response_format"] == said


def test_what_only_this_dialect_can_say_is_put_back_raw(codec: OpenAIChatCodec) -> None:
    custom: JsonObject = {"type": "custom", "custom": {"name": "sql"}}
    tool: JsonObject = {"type": "function", "function": {"name": "f", "examples": [1]}, "x": 1}
    allowed: JsonObject = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [tool]},
    }
    tools: list[JsonValue] = [custom, tool]
    fields: JsonObject = {
        "tools": tools,
        "tool_choice": allowed,
        "response_format": {"type": "json_object", "schema": {"type": "object"}},
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
    }
    assert _relayed(codec, _COMPATIBLE, fields).body == {
        "model": "m",
        "messages": [_HI],
        **fields,
    }


def test_without_tools_nothing_is_said_of_choosing_among_them(codec: OpenAIChatCodec) -> None:
    request = replace(
        _FROM_ELSEWHERE,
        tool_choice=ToolChoice(ToolChoiceMode.AUTO),
        parallel_tool_calls=True,
    )
    assert codec.encode_request(request, _COMPATIBLE).body == {"model": "up", "messages": [_HI]}


def test_a_tool_of_another_dialect_is_refused_by_its_name(codec: OpenAIChatCodec) -> None:
    search = OpaqueTool(_OTHER, {"type": "web_search_20250305", "name": "web_search"})
    with pytest.raises(ApiFailure, match="web_search_20250305") as failure:
        codec.encode_request(replace(_FROM_ELSEWHERE, tools=(search,)), _COMPATIBLE)
    error = failure.value.error
    assert (error.kind, error.param) == (ErrorKind.BAD_REQUEST, "tools")


def test_the_form_before_tools_is_never_sent_on(codec: OpenAIChatCodec) -> None:
    body = _relayed(
        codec, _COMPATIBLE, {"functions": [{"name": "f"}], "function_call": "auto"}
    ).body
    assert body == {
        "model": "m",
        "messages": [_HI],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
    }
