"""Whole answers of the Messages API, read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import AnswerPart, ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import (
    Dialect,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.jsontext import JsonObject, JsonValue, loads_object

CALL = ToolCall(id="toolu_1", name="f", arguments='{"a":1}')


def upstream(**fields: JsonValue) -> JsonObject:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": "Hi."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 3},
        **fields,
    }


def answer_of(*parts: AnswerPart, finish: FinishReason = FinishReason.END) -> ChatResponse:
    return ChatResponse(id="chatcmpl-1", model="m", created=5, parts=parts, finish=finish)


def test_an_answer_is_read(codec: AnthropicMessagesCodec) -> None:
    assert codec.decode_response(upstream()) == ChatResponse(
        id="msg_1",
        model="claude-x",
        created=0,
        parts=(Text("Hi."),),
        finish=FinishReason.END,
        usage=Usage(input_uncached=10, output=3),
    )


def test_all_blocks_of_an_answer_are_read(codec: AnthropicMessagesCodec) -> None:
    search: JsonObject = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    content: list[JsonValue] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        search,
        {"type": "text", "text": "It rains.", "citations": [{"type": "x"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g"},
    ]
    answer = codec.decode_response(upstream(content=content, stop_reason="tool_use"))
    assert answer.parts == (
        Thinking(text="Hm.", signature="c2ln", extras={ANTHROPIC: {}}),
        Thinking(text="", redacted="b3BhcXVl", extras={ANTHROPIC: {}}),
        Opaque(ANTHROPIC, search),
        Text("It rains.", extras={ANTHROPIC: {"citations": [{"type": "x"}]}}),
        CALL,
        ToolCall(id="toolu_2", name="g", arguments="{}"),
    )
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", FinishReason.END),
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP_SEQUENCE),
        ("pause_turn", FinishReason.PAUSE),
        ("refusal", FinishReason.REFUSAL),
        ("model_context_window_exceeded", FinishReason.CONTEXT_FULL),
        ("eos", FinishReason.END),
        ("something_new", FinishReason.END),
        (None, FinishReason.END),
    ],
)
def test_stop_reasons_are_read_traps_67_to_69(
    codec: AnthropicMessagesCodec, reason: str | None, finish: FinishReason
) -> None:
    answer = codec.decode_response(upstream(stop_reason=reason, stop_sequence="END"))
    assert answer.finish is finish
    assert answer.stop_sequence == "END"


@pytest.mark.parametrize("reason", ["end_turn", "stop", None])
def test_calls_outweigh_a_plain_end_trap_65(
    codec: AnthropicMessagesCodec, reason: str | None
) -> None:
    content: list[JsonValue] = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    answer = codec.decode_response(upstream(content=content, stop_reason=reason))
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 90,
                "cache_creation_input_tokens": 5,
                "output_tokens": 70,
                "output_tokens_details": {"thinking_tokens": 50},
            },
            Usage(input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50),
        ),
        (
            {"input_tokens": 1.0, "output_tokens": None, "cache_read_input_tokens": -3},
            Usage(input_uncached=1),
        ),
        (
            {"output_tokens": 2, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(output=2, reasoning=2),
        ),
        ({}, None),
        (None, None),
        ("many", None),
        ({"input_tokens": True, "output_tokens": "x"}, None),
    ],
)
def test_usage_is_read_traps_60_and_62(
    codec: AnthropicMessagesCodec, usage: JsonValue, read: Usage | None
) -> None:
    assert codec.decode_response(upstream(usage=usage)).usage == read


def test_cached_input_is_part_of_the_total_trap_60(codec: AnthropicMessagesCodec) -> None:
    usage: JsonObject = {
        "input_tokens": 10,
        "cache_read_input_tokens": 90,
        "cache_creation_input_tokens": 5,
        "output_tokens": 1,
    }
    read = codec.decode_response(upstream(usage=usage)).usage
    assert read is not None
    assert read.input_total == 105


@pytest.mark.parametrize("content", [None, "Hi.", {}, ["x"]])
def test_an_answer_of_another_shape_is_the_upstreams_fault(
    codec: AnthropicMessagesCodec, content: JsonValue
) -> None:
    with pytest.raises(ApiFailure) as caught:
        codec.decode_response(upstream(content=content))
    assert caught.value.error.kind is ErrorKind.UPSTREAM_ERROR


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
            ErrorKind.UNAVAILABLE,
        ),
        ({"error": {"message": "busy", "code": 429}}, ErrorKind.RATE_LIMITED),
        ({"error": "busy"}, ErrorKind.UPSTREAM_ERROR),
    ],
)
def test_an_error_with_status_200_is_an_error_trap_76(
    codec: AnthropicMessagesCodec, body: JsonObject, kind: ErrorKind
) -> None:
    with pytest.raises(ApiFailure, match="busy") as caught:
        codec.decode_response(body)
    assert caught.value.error.kind is kind


@pytest.mark.parametrize("kind", ["tool_use", "new_kind"])
def test_blocks_nested_beyond_writing_are_the_upstreams_fault(
    codec: AnthropicMessagesCodec, kind: str
) -> None:
    nested = loads_object('{"a":' * 299 + "1" + "}" * 299)
    with pytest.raises(ApiFailure, match="nested") as caught:
        codec.decode_response(upstream(content=[{"type": kind, "input": nested}]))
    assert caught.value.error.kind is ErrorKind.UPSTREAM_ERROR


def test_an_answer_that_was_broken_off_is_an_error(codec: AnthropicMessagesCodec) -> None:
    with pytest.raises(ApiFailure, match="abort"):
        codec.decode_response(upstream(stop_reason="abort"))


def test_an_answer_is_written(
    codec: AnthropicMessagesCodec,
    context: ReplyContext,
    read_whole_by_sdk: Callable[[JsonObject], Message],
) -> None:
    search: JsonObject = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    answer = answer_of(
        Thinking(text="Hm.", signature="c2ln"),
        Thinking(text="of another model"),
        Thinking(text=""),
        Thinking(text="", redacted="b3BhcXVl"),
        Opaque(ANTHROPIC, search),
        Opaque(Dialect("openai"), {"type": "computer_call"}),
        Text(""),
        Text("Hi."),
        CALL,
        ToolCall(id="", name="g", arguments=""),
        ToolCall(id="t3", name="h", arguments="[1"),
        finish=FinishReason.TOOL_CALLS,
    )
    usage = Usage(input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50)
    body = codec.encode_response(replace(answer, usage=usage), context)
    content = body.pop("content")
    assert isinstance(content, list)
    made_up = content[6]
    assert isinstance(made_up, dict)
    assert str(made_up.pop("id"))
    assert content == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thinking", "thinking": "of another model", "signature": ""},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        search,
        {"type": "text", "text": "Hi."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "name": "g", "input": {}},
        {"type": "tool_use", "id": "t3", "name": "h", "input": {"_raw": "[1"}},
    ]
    assert body == {
        "id": "msg_0123abcd",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 90,
            "output_tokens": 70,
            "output_tokens_details": {"thinking_tokens": 50},
        },
    }
    message = read_whole_by_sdk(codec.encode_response(replace(answer, usage=usage), context))
    assert [block.type for block in message.content][-1] == "tool_use"


def test_an_answer_without_content_or_usage_traps_63(
    codec: AnthropicMessagesCodec,
    context: ReplyContext,
    read_whole_by_sdk: Callable[[JsonObject], Message],
) -> None:
    body = codec.encode_response(answer_of(), context)
    assert body["content"] == []
    assert body["usage"] == {
        "input_tokens": 42,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    assert read_whole_by_sdk(body).stop_reason == "end_turn"


def test_counts_of_another_dialect_trap_61(
    codec: AnthropicMessagesCodec, context: ReplyContext
) -> None:
    """prompt_tokens 100 with cached_tokens 80 arrive as 20 uncached and 80 read."""
    usage = Usage(input_uncached=20, cache_read=80, output=1)
    body = codec.encode_response(replace(answer_of(), usage=usage), context)
    written = body["usage"]
    assert isinstance(written, dict)
    assert written["input_tokens"] == 20
    assert written["cache_read_input_tokens"] == 80


@pytest.mark.parametrize(
    ("finish", "parts", "stop_reason"),
    [
        (FinishReason.END, (), "end_turn"),
        (FinishReason.END, (CALL,), "tool_use"),
        (FinishReason.TOOL_CALLS, (), "end_turn"),
        (FinishReason.LENGTH, (CALL,), "max_tokens"),
        (FinishReason.CONTEXT_FULL, (), "model_context_window_exceeded"),
        (FinishReason.REFUSAL, (), "refusal"),
        (FinishReason.END, (Refusal("No."),), "refusal"),
        (FinishReason.PAUSE, (), "pause_turn"),
        (FinishReason.STOP_SEQUENCE, (), "end_turn"),
        (FinishReason.STOP_SEQUENCE, (CALL,), "tool_use"),
    ],
)
def test_stop_reasons_are_written_traps_65_and_66(
    codec: AnthropicMessagesCodec,
    context: ReplyContext,
    finish: FinishReason,
    parts: tuple[AnswerPart, ...],
    stop_reason: str,
) -> None:
    body = codec.encode_response(answer_of(*parts, finish=finish), context)
    assert body["stop_reason"] == stop_reason
    assert body["stop_sequence"] is None


def test_a_stop_sequence_that_is_known_is_named(
    codec: AnthropicMessagesCodec, context: ReplyContext
) -> None:
    answer = replace(answer_of(finish=FinishReason.STOP_SEQUENCE), stop_sequence="END")
    body = codec.encode_response(answer, context)
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "END")


def test_what_anthropic_said_goes_back_whole(
    codec: AnthropicMessagesCodec, context: ReplyContext
) -> None:
    said = upstream(
        content=[
            {"type": "text", "text": "It rains.", "citations": None},
            {"type": "thinking", "thinking": "", "signature": "c2ln"},
            {"type": "container_upload", "file_id": "f"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}},
        ],
        stop_reason="tool_use",
        stop_details=None,
        container={"id": "c1"},
        usage={
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 3,
            "service_tier": "standard",
            "cache_creation": {"ephemeral_5m_input_tokens": 0},
        },
    )
    body = codec.encode_response(codec.decode_response(said), context)
    assert body == {**said, "model": "claude"}


parts = st.one_of(
    st.builds(Text, st.text(max_size=5)),
    st.builds(Refusal, st.text(max_size=5)),
    st.builds(
        Thinking,
        text=st.text(max_size=5),
        signature=st.none() | st.text(max_size=3),
        redacted=st.none() | st.text(max_size=3),
    ),
    st.builds(
        ToolCall,
        id=st.text(max_size=3),
        name=st.text(max_size=3),
        arguments=st.text(max_size=5) | st.just('{"a":[1]}'),
    ),
)
counts = st.integers(0, 10**9)
responses = st.builds(
    ChatResponse,
    id=st.text(max_size=3),
    model=st.text(max_size=3),
    created=st.just(0),
    parts=st.lists(parts, max_size=4).map(tuple),
    finish=st.sampled_from(FinishReason),
    stop_sequence=st.none() | st.text(max_size=3),
    usage=st.none()
    | st.builds(Usage, input_uncached=counts, cache_read=counts, output=counts, reasoning=counts),
)


@given(responses)
def test_any_answer_is_one_to_the_sdk(response: ChatResponse) -> None:
    codec = AnthropicMessagesCodec()
    body = codec.encode_response(response, CONTEXT)
    message = Message.model_validate(body)
    assert message.to_dict(mode="json", exclude_unset=True) == body


CONTEXT = ReplyContext(
    request=AnthropicMessagesCodec().decode_request(
        {"model": "claude", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    ),
    response_id="0123abcd",
    created=0,
    input_tokens_estimate=42,
    elapsed_ns=lambda: 0,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "type", "content", "usage", "stop_reason", "error", "model"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["type", "text", "input", "usage", "input_tokens", "error"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_no_answer_breaks_the_reader(body: JsonObject) -> None:
    try:
        answer = AnthropicMessagesCodec().decode_response(body)
    except ApiFailure:
        return
    assert isinstance(body["content"], list)
    assert len(answer.parts) == len(body["content"])
