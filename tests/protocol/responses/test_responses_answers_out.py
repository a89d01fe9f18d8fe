"""Whole answers to clients of the Responses API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest
from openai.types.responses import Response

from forebay.protocol.canonical.events import ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import kept_output
from forebay.protocol.jsontext import JsonObject, JsonValue


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


ShownWhole = Callable[[JsonObject], Response]


def _answer(
    *parts: Text | Thinking | ToolCall | Refusal | Opaque,
    finish: FinishReason = FinishReason.END,
    usage: Usage | None = None,
    upstream_id: str = "",
) -> ChatResponse:
    return ChatResponse(
        id=upstream_id, model="up", created=7, parts=parts, finish=finish, usage=usage
    )


def _items(response: JsonObject) -> list[JsonObject]:
    output = response["output"]
    assert isinstance(output, list)
    return [item for item in output if isinstance(item, dict)]


def test_all_that_was_asked_is_repeated(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    asked: JsonObject = {
        "instructions": "Be brief.",
        "max_output_tokens": 99,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "truncation": "auto",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "top_logprobs": 2,
    }
    response = codec.encode_response(_answer(Text("a")), reply_to(asked=asked))
    shown_whole(response)
    assert {name: response[name] for name in asked} == asked
    assert response["model"] == "house/model"


def test_defaults_are_said_where_nothing_was_asked(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    response = codec.encode_response(_answer(Text("a")), reply_to(asked={}))
    shown_whole(response)
    assert (response["id"], response["object"], response["status"]) == (
        "resp_0123abcd",
        "response",
        "completed",
    )
    assert (response["created_at"], response["completed_at"]) == (7, 1_795_000_002)
    assert (response["error"], response["incomplete_details"]) == (None, None)
    assert response["tool_choice"] == "auto"
    assert response["tools"] == []
    assert response["metadata"] == {}
    assert response["parallel_tool_calls"] is True
    assert response["text"] == {"format": {"type": "text"}}
    assert response["store"] is False
    for name in ("id", "created_at", "error", "incomplete_details", "instructions", "metadata"):
        assert name in response
    for name in ("model", "output", "temperature", "top_p", "previous_response_id", "usage"):
        assert name in response


def test_an_answer_to_another_dialects_request_is_shown_as_well(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    shown_whole(codec.encode_response(_answer(Text("a")), reply_to()))


def test_parts_become_items_in_their_order(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    response = codec.encode_response(
        _answer(
            Thinking(text="hm"),
            Text("a"),
            Refusal("no"),
            ToolCall(id="call_1", name="f", arguments='{"x":1}'),
            ToolCall(id="", name="g", arguments=""),
            Text("b"),
            finish=FinishReason.TOOL_CALLS,
        ),
        reply_to(asked={}),
    )
    shown_whole(response)
    reasoning, message, first, second, last = _items(response)
    assert reasoning == {
        "id": "rs_fb0123abcd_0",
        "type": "reasoning",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": "hm"}],
    }
    assert message == {
        "id": "msg_fb0123abcd_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "no"},
        ],
    }
    assert first == {
        "id": "fc_fb0123abcd_2",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "f",
        "arguments": '{"x":1}',
    }
    assert second["arguments"] == "{}"
    assert second["call_id"]
    assert last["type"] == "message"
    assert response["status"] == "completed"


def test_no_two_calls_have_one_id(codec: OpenAIResponsesCodec, reply_to: MakesContext) -> None:
    """OpenAI's own helper breaks a stream off in which they do."""
    call = ToolCall(id="call_0", name="f", arguments="{}")
    response = codec.encode_response(_answer(call, call), reply_to(asked={}))
    first, second = _items(response)
    assert first["call_id"] == "call_0"
    assert second["call_id"] not in ("call_0", "")


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        (FinishReason.END, "completed", None),
        (FinishReason.STOP_SEQUENCE, "completed", None),
        (FinishReason.TOOL_CALLS, "completed", None),
        (FinishReason.PAUSE, "completed", None),
        (FinishReason.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.CONTEXT_FULL, "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.REFUSAL, "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_an_answer_ended_trap_67(
    codec: OpenAIResponsesCodec,
    reply_to: MakesContext,
    shown_whole: ShownWhole,
    finish: FinishReason,
    status: str,
    details: JsonValue,
) -> None:
    answer = _answer(Text("a"), ToolCall(id="a", name="f", arguments='{"x'), finish=finish)
    response = codec.encode_response(answer, reply_to(asked={}))
    shown_whole(response)
    assert (response["status"], response["incomplete_details"]) == (status, details)
    message, call = _items(response)
    assert (message["status"], call["status"]) == ("completed", status)


def test_a_refusal_in_words_is_complete(
    codec: OpenAIResponsesCodec, reply_to: MakesContext
) -> None:
    answer = _answer(Refusal("no"), finish=FinishReason.REFUSAL)
    response = codec.encode_response(answer, reply_to(asked={}))
    [message] = _items(response)
    assert response["status"] == message["status"] == "completed"


def test_usage_includes_cached_and_reasoning_tokens_once_traps_60_62(
    codec: OpenAIResponsesCodec, reply_to: MakesContext
) -> None:
    usage = Usage(input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50)
    response = codec.encode_response(_answer(Text("a"), usage=usage), reply_to(asked={}))
    assert response["usage"] == {
        "input_tokens": 105,
        "input_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 5},
        "output_tokens": 70,
        "output_tokens_details": {"reasoning_tokens": 50},
        "total_tokens": 175,
    }


def test_usage_is_never_missing_trap_63(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    response = codec.encode_response(_answer(Text("abcdefgh")), reply_to(asked={}, estimate=9))
    usage = shown_whole(response).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (9, 2, 11)


def test_an_upstreams_id_of_this_shape_is_kept(
    codec: OpenAIResponsesCodec, reply_to: MakesContext
) -> None:
    for given, seen in (("resp_9", "resp_9"), ("chatcmpl-9", "resp_0123abcd")):
        answer = _answer(Text("a"), upstream_id=given)
        assert codec.encode_response(answer, reply_to(asked={}))["id"] == seen


_TOOLS: list[JsonValue] = [
    {"type": "custom", "name": "patch"},
    {
        "type": "namespace",
        "name": "mcp__git__",
        "description": "d",
        "tools": [{"type": "function", "name": "log", "parameters": {}, "strict": False}],
    },
    {"type": "function", "name": "a/b", "parameters": {}, "strict": False},
]


def test_calls_have_the_form_in_which_their_tools_were_declared(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown_whole: ShownWhole
) -> None:
    response = codec.encode_response(
        _answer(
            ToolCall(id="a", name="patch", arguments='{"input":"*** x\\n"}'),
            ToolCall(id="b", name="patch", arguments="*** y"),
            ToolCall(id="c", name="mcp__git__log", arguments="{}"),
            ToolCall(id="d", name="a_b_c14cddc0", arguments="{}"),
        ),
        reply_to(asked={"tools": _TOOLS}),
    )
    shown_whole(response)
    assert response["tools"] == _TOOLS
    custom, broken, spaced, misfit = _items(response)
    assert custom == {
        "id": "ctc_fb0123abcd_0",
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "a",
        "name": "patch",
        "input": "*** x\n",
    }
    assert broken["input"] == "*** y"
    assert (spaced["name"], spaced["namespace"]) == ("log", "mcp__git__")
    assert misfit["name"] == "a/b"


def test_parts_of_other_dialects_are_not_shown(
    codec: OpenAIResponsesCodec, reply_to: MakesContext
) -> None:
    opaque = Opaque(ANTHROPIC, {"type": "server_tool_use"})
    response = codec.encode_response(_answer(opaque, Text("")), reply_to(asked={}))
    assert response["output"] == []


def test_only_who_keeps_answers_sees_reasoning_that_was_not_asked_for(
    codec: OpenAIResponsesCodec, reply_to: MakesContext
) -> None:
    signed = Thinking(text="hm", signature="sig", extras={ANTHROPIC: {}})
    redacted = Thinking(text="", redacted="xx", extras={ANTHROPIC: {}})
    answer = _answer(signed, redacted, Text("a"))
    context = reply_to(asked={})
    shown = _items(codec.encode_response(answer, context))
    assert [item["type"] for item in shown] == ["reasoning", "message"]
    assert "encrypted_content" not in shown[0]
    kept = kept_output(answer, context)
    assert [item["type"] for item in kept] == ["reasoning", "reasoning", "message"]
    assert all(item["encrypted_content"] for item in kept[:2])
    assert [kept[0]["id"], kept[2]["id"]] == [item["id"] for item in shown]
