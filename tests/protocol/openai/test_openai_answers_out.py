"""Whole answers, as clients are given them."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

import pytest

from forebay.protocol.canonical.events import AnswerPart, ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import (
    Dialect,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_CALL = ToolCall(id="a", name="f", arguments='{"x":1}')


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


def _response(*parts: AnswerPart, finish: FinishReason = FinishReason.END) -> ChatResponse:
    return ChatResponse(id="msg_1", model="up", created=0, parts=parts, finish=finish)


def _choice(body: JsonObject) -> JsonObject:
    [choice] = cast("list[JsonObject]", body["choices"])
    return choice


def _message(codec: OpenAIChatCodec, context: ReplyContext, *parts: AnswerPart) -> JsonObject:
    return cast("JsonObject", _choice(codec.encode_response(_response(*parts), context))["message"])


def test_an_answer_has_every_field_that_openai_sends(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    response = replace(
        _response(Thinking(text="hm"), Text("Hel"), Text("lo"), finish=FinishReason.END),
        usage=Usage(input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50),
    )
    assert codec.encode_response(response, reply_to()) == {
        "id": "chatcmpl-0123abcd",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "house/model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "reasoning_content": "hm",
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        # Traps 60 and 62: the caches are part of the input, reasoning is part of the output.
        "usage": {
            "prompt_tokens": 105,
            "completion_tokens": 70,
            "total_tokens": 175,
            "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 50},
        },
    }


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("chatcmpl-abc", "chatcmpl-abc"),
        ("msg_1", "chatcmpl-0123abcd"),
        ("chatcmpl-", "chatcmpl-0123abcd"),
        ("", "chatcmpl-0123abcd"),
    ],
)
def test_the_id_looks_like_openais(
    codec: OpenAIChatCodec, reply_to: MakesContext, upstream: str, shown: str
) -> None:
    response = replace(_response(Text("a")), id=upstream)
    assert codec.encode_response(response, reply_to())["id"] == shown


def test_content_is_null_only_beside_calls(codec: OpenAIChatCodec, reply_to: MakesContext) -> None:
    context = reply_to()
    assert _message(codec, context)["content"] == ""
    assert _message(codec, context, Thinking(text="hm"))["content"] == ""
    assert _message(codec, context, Refusal("no"))["content"] == ""
    assert _message(codec, context, _CALL)["content"] is None
    assert _message(codec, context, Text("a"), _CALL)["content"] == "a"


def test_calls_are_given_ids_and_whole_arguments(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    custom: JsonObject = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    message = _message(
        codec,
        reply_to(),
        _CALL,
        ToolCall(id="", name="g", arguments=""),
        Opaque(OPENAI, custom),
        Opaque(Dialect("anthropic"), {"type": "server_tool_use"}),
    )
    first, second, third = cast("list[JsonObject]", message["tool_calls"])
    assert first == {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": '{"x":1}'},
    }
    assert str(second["id"]).startswith("call_")
    assert second["function"] == {"name": "g", "arguments": "{}"}  # trap 82
    assert third == custom


@pytest.mark.parametrize(
    ("parts", "finish", "word"),
    [
        ((Text("a"),), FinishReason.END, "stop"),
        ((Text("a"),), FinishReason.STOP_SEQUENCE, "stop"),
        ((Text("a"),), FinishReason.LENGTH, "length"),
        ((Text("a"),), FinishReason.CONTEXT_FULL, "length"),  # trap 67
        ((Text("a"),), FinishReason.REFUSAL, "content_filter"),  # trap 68
        ((Refusal("no"),), FinishReason.REFUSAL, "stop"),
        ((Text("a"),), FinishReason.PAUSE, "stop"),  # trap 68
        ((_CALL,), FinishReason.TOOL_CALLS, "tool_calls"),
        ((_CALL,), FinishReason.END, "tool_calls"),  # trap 65
        ((_CALL,), FinishReason.LENGTH, "length"),
        ((Text("a"),), FinishReason.TOOL_CALLS, "stop"),
    ],
)
def test_finish_reasons_are_openais_words(
    codec: OpenAIChatCodec,
    reply_to: MakesContext,
    parts: tuple[AnswerPart, ...],
    finish: FinishReason,
    word: str,
) -> None:
    body = codec.encode_response(_response(*parts, finish=finish), reply_to())
    assert _choice(body)["finish_reason"] == word


def test_usage_is_estimated_where_the_upstream_gave_none_trap_63(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    response = _response(Thinking(text="0123"), Text("naïve"), _CALL)
    usage = codec.encode_response(response, reply_to(estimate=42))["usage"]
    # 4 + 6 + 1 + 7 bytes, at four to the token.
    assert usage == {
        "prompt_tokens": 42,
        "completion_tokens": 5,
        "total_tokens": 47,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_what_an_upstream_of_this_dialect_said_besides_comes_along(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    logprobs: JsonObject = {"content": [{"token": "a", "logprob": -0.1, "bytes": None}]}
    annotations: list[JsonValue] = [{"type": "url_citation"}]
    response = codec.decode_response(
        {
            "id": "chatcmpl-1",
            "model": "up",
            "system_fingerprint": "fp",
            "choices": [
                {
                    "message": {"content": "a", "annotations": annotations},
                    "logprobs": logprobs,
                    "finish_reason": "stop",
                    "stop_reason": "END",
                }
            ],
        }
    )
    body = codec.encode_response(response, reply_to())
    assert body["model"] == "house/model"
    assert body["system_fingerprint"] == "fp"
    choice = _choice(body)
    assert choice["logprobs"] == logprobs
    assert choice["stop_reason"] == "END"
    assert cast("JsonObject", choice["message"])["annotations"] == annotations


def test_a_client_of_the_form_before_tools_is_answered_in_it(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    context = reply_to(asked={"functions": [{"name": "f"}]})
    body = codec.encode_response(_response(_CALL, finish=FinishReason.TOOL_CALLS), context)
    message = cast("JsonObject", _choice(body)["message"])
    assert message["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert "tool_calls" not in message
    assert _choice(body)["finish_reason"] == "function_call"
