"""Whole answers of upstreams, with the habits of many servers."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue


def _answer(message: JsonValue, **choice: JsonValue) -> JsonObject:
    return {"choices": [{"message": message, **choice}]}


def _used(codec: OpenAIChatCodec, usage: JsonValue) -> Usage | None:
    return codec.decode_response({**_answer({"content": "a"}), "usage": usage}).usage


def test_an_answer_of_openai(codec: OpenAIChatCodec) -> None:
    body: JsonObject = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "gpt",
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }
    assert codec.decode_response(body) == ChatResponse(
        id="chatcmpl-1",
        model="gpt",
        created=7,
        parts=(Text("Hello"),),
        finish=FinishReason.END,
        usage=Usage(input_uncached=5, output=3),
        extras={OPENAI: {"service_tier": "default", "choices": [{"message": {"annotations": []}}]}},
    )


def test_the_least_answer_is_enough(codec: OpenAIChatCodec) -> None:
    assert codec.decode_response(_answer({})) == ChatResponse(
        id="", model="", created=0, parts=(), finish=FinishReason.END
    )


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "hm", "content": "a"},
        {"reasoning": "hm", "content": "a"},
        {"reasoning": "hm", "reasoning_content": "hm", "content": "a"},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ]
        },
    ],
)
def test_reasoning_is_read_once_under_any_name_trap_56(
    codec: OpenAIChatCodec, message: JsonObject
) -> None:
    assert codec.decode_response(_answer(message)).parts == (Thinking(text="hm"), Text("a"))


def test_calls_are_read_whatever_the_finish_reason_says_trap_65(codec: OpenAIChatCodec) -> None:
    custom: JsonObject = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    calls: list[JsonValue] = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}},
        {"function": {"name": "g", "arguments": {"y": [1]}}},
        {"id": "b", "function": {"name": "h", "arguments": None}},
        custom,
        "junk",
        {},
    ]
    for word in ("tool_calls", "stop", None, "eos"):
        answer = codec.decode_response(
            _answer({"content": "", "tool_calls": calls}, finish_reason=word)
        )
        assert answer.finish is FinishReason.TOOL_CALLS
        assert answer.parts == (
            ToolCall(id="a", name="f", arguments='{"x": 1.0}'),
            ToolCall(id="", name="g", arguments='{"y":[1]}'),
            ToolCall(id="b", name="h", arguments=""),
            Opaque(OPENAI, custom),
        )


def test_a_finish_reason_alone_makes_no_calls(codec: OpenAIChatCodec) -> None:
    answer = codec.decode_response(_answer({"content": "a"}, finish_reason="tool_calls"))
    assert answer.finish is FinishReason.END


def test_the_form_before_tools_is_a_call_without_an_id(codec: OpenAIChatCodec) -> None:
    answer = codec.decode_response(
        _answer(
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            finish_reason="function_call",
        )
    )
    assert answer.parts == (ToolCall(id="", name="f", arguments="{}"),)
    assert answer.finish is FinishReason.TOOL_CALLS


def test_a_refusal_is_a_part_and_a_reason(codec: OpenAIChatCodec) -> None:
    answer = codec.decode_response(
        _answer({"content": None, "refusal": "no"}, finish_reason="stop")
    )
    assert (answer.parts, answer.finish) == ((Refusal("no"),), FinishReason.REFUSAL)


def test_of_several_choices_the_first_by_number_is_read(codec: OpenAIChatCodec) -> None:
    body: JsonObject = {
        "choices": [
            {"index": 1, "message": {"content": "second"}},
            {"index": 0, "message": {"content": "first"}},
        ]
    }
    assert codec.decode_response(body).parts == (Text("first"),)


@pytest.mark.parametrize(
    ("usage", "meant"),
    [
        (None, None),
        ({}, None),
        ("many", None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": 5, "completion_tokens": 3}, Usage(input_uncached=5, output=3)),
        ({"prompt_tokens": 5, "total_tokens": 8}, Usage(input_uncached=5, output=3)),
        ({"completion_tokens": 3, "total_tokens": 8}, Usage(input_uncached=5, output=3)),
        ({"prompt_tokens": 5.0, "completion_tokens": -1}, Usage(input_uncached=5)),
        ({"prompt_tokens": 1e300, "completion_tokens": 1}, Usage(input_uncached=2**53, output=1)),
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80}},
            Usage(input_uncached=20, cache_read=80),
        ),
        (
            {
                "prompt_tokens": 105,
                "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 5},
            },
            Usage(input_uncached=10, cache_read=90, cache_write=5),
        ),
        (
            {"prompt_tokens": 105, "prompt_tokens_details": {"cached_tokens": 90}},
            Usage(input_uncached=15, cache_read=90),
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(cache_read=10),
        ),
        (
            {"prompt_tokens": 10, "prompt_cache_hit_tokens": 4},
            Usage(input_uncached=6, cache_read=4),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 70,
                "total_tokens": 80,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(input_uncached=10, output=70, reasoning=50),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 80,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(input_uncached=10, output=70, reasoning=50),
        ),
    ],
)
def test_usage_is_read_traps_60_61_62(
    codec: OpenAIChatCodec, usage: JsonValue, meant: Usage | None
) -> None:
    assert _used(codec, usage) == meant


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            {"error": {"code": 429, "message": "slow down"}, "choices": []},
            ErrorKind.RATE_LIMITED,
            "slow down",
        ),
        ({"error": {"message": "no"}}, ErrorKind.UPSTREAM_ERROR, "no"),
        ({"error": "no"}, ErrorKind.UPSTREAM_ERROR, "no"),
        ({"object": "error", "message": "no", "code": 400}, ErrorKind.BAD_REQUEST, "no"),
        (
            {"choices": [{"error": {"code": 502, "message": "died"}, "finish_reason": "error"}]},
            ErrorKind.UPSTREAM_ERROR,
            "died",
        ),
    ],
)
def test_an_error_in_an_answer_of_status_200_is_an_error_trap_76(
    codec: OpenAIChatCodec, body: JsonObject, kind: ErrorKind, message: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        codec.decode_response(body)
    assert (failure.value.error.kind, failure.value.error.message) == (kind, message)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["a"]},
        {"choices": [{}]},
        {"choices": [{"message": "a"}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": "network_error"}]},
    ],
)
def test_what_is_no_answer_is_an_error_of_the_upstream(
    codec: OpenAIChatCodec, body: JsonObject
) -> None:
    with pytest.raises(ApiFailure) as failure:
        codec.decode_response(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR
