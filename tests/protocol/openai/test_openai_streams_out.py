"""Streams, as clients are given them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import pytest

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Dialect, Opaque
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_START = Start(id="msg_1", model="up", created=0)
_END = Finish(reason=FinishReason.END)
_CALLED = Finish(reason=FinishReason.TOOL_CALLS)
_WITH_USAGE: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


ChunksOf = Callable[[bytes], list[JsonObject]]


def _stream(codec: OpenAIChatCodec, context: ReplyContext, *events: StreamEvent) -> bytes:
    encoder = codec.stream_encoder(context)
    return b"".join(encoder.encode(event) for event in events)


def _text(index: int, *texts: str) -> list[StreamEvent]:
    return [
        PartStart(index=index, kind=PartKind.TEXT),
        *(TextDelta(index, text) for text in texts),
        PartStop(index),
    ]


def _call(index: int, call_id: str, name: str) -> PartStart:
    return PartStart(index=index, kind=PartKind.TOOL_CALL, call_id=call_id, call_name=name)


def _deltas(chunks: list[JsonObject]) -> list[JsonValue]:
    return [choice["delta"] for chunk in chunks for choice in _choices(chunk)]


def _choices(chunk: JsonObject) -> list[JsonObject]:
    return cast("list[JsonObject]", chunk["choices"])


def _finish_reasons(chunks: list[JsonObject]) -> list[JsonValue]:
    return [choice["finish_reason"] for chunk in chunks for choice in _choices(chunk)]


def test_a_stream_byte_by_byte(codec: OpenAIChatCodec, reply_to: MakesContext) -> None:
    head = (
        b'data: {"id":"chatcmpl-0123abcd","object":"chat.completion.chunk",'
        b'"created":1795000000,"model":"house/model","choices":[{"index":0,'
    )
    assert _stream(codec, reply_to(), _START, *_text(0, "Hi"), _END) == (
        head + b'"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        + head + b'"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
        + head + b'"delta":{},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )  # fmt: skip


def test_all_chunks_share_one_identity_and_only_the_last_finishes(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    started = Start(id="chatcmpl-up", model="up", created=7)
    again = Start(id="chatcmpl-other", model="other", created=8)
    chunks = chunks_of(_stream(codec, reply_to(), started, *_text(0, "a", "b"), again, _END))
    assert {(str(c["id"]), str(c["model"]), c["created"]) for c in chunks} == {
        ("chatcmpl-up", "house/model", 7)
    }
    assert _finish_reasons(chunks) == [None, None, None, "stop"]


def test_without_the_wish_there_is_no_usage_chunk_trap_77(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    report = UsageReport(Usage(input_uncached=5, output=3))
    chunks = chunks_of(_stream(codec, reply_to(), _START, *_text(0, "a"), report, _END))
    assert all(len(_choices(chunk)) == 1 for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)


def test_with_the_wish_one_usage_chunk_comes_after_the_finish_trap_77(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    events = (
        Start(id="", model="", created=0, usage=Usage(input_uncached=1)),
        *_text(0, "a"),
        UsageReport(Usage(input_uncached=5, output=1)),
        UsageReport(Usage(input_uncached=5, cache_read=4, output=3)),
        _END,
    )
    *before, last = chunks_of(_stream(codec, reply_to(asked=_WITH_USAGE), *events))
    assert _finish_reasons(before)[-1] == "stop"
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_usage_is_estimated_where_the_upstream_gave_none_trap_63(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    context = reply_to(asked=_WITH_USAGE, estimate=42)
    *_, last = chunks_of(_stream(codec, context, _START, *_text(0, "naïve", "!!!"), _END))
    usage = cast("JsonObject", last["usage"])
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (42, 3)


def test_thinking_and_refusals_have_fields_of_their_own(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    chunks = chunks_of(
        _stream(
            codec,
            reply_to(),
            _START,
            PartStart(index=0, kind=PartKind.THINKING),
            ThinkingDelta(0, "hm"),
            ThinkingDelta(0, ""),
            SignatureDelta(0, "sig"),
            PartStop(0),
            PartStart(index=1, kind=PartKind.THINKING, redacted="x"),
            PartStop(1),
            PartStart(index=2, kind=PartKind.REFUSAL),
            TextDelta(2, "no"),
            PartStop(2),
            Finish(reason=FinishReason.REFUSAL),
        )
    )
    assert _deltas(chunks)[1:] == [{"reasoning_content": "hm"}, {"refusal": "no"}, {}]
    assert _finish_reasons(chunks)[-1] == "stop"


def test_calls_are_counted_apart_from_parts_and_may_interleave(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    chunks = chunks_of(
        _stream(
            codec,
            reply_to(),
            _START,
            *_text(0, "let me see"),
            _call(1, "a", "f"),
            _call(2, "", "g"),
            ArgumentsDelta(2, "{"),
            ArgumentsDelta(1, '{"x":1}'),
            ArgumentsDelta(1, ""),
            ArgumentsDelta(2, "}"),
            PartStop(1),
            PartStop(2),
            _CALLED,
        )
    )
    fragments = [cast("JsonObject", delta).get("tool_calls") for delta in _deltas(chunks)[2:-1]]
    [opening] = cast("list[JsonObject]", fragments[1])
    assert str(opening["id"]).startswith("call_")
    assert fragments == [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [
            {
                "index": 1,
                "id": opening["id"],
                "type": "function",
                "function": {"name": "g", "arguments": ""},
            }
        ],
        [{"index": 1, "function": {"arguments": "{"}}],
        [{"index": 0, "function": {"arguments": '{"x":1}'}}],
        [{"index": 1, "function": {"arguments": "}"}}],
    ]
    assert _finish_reasons(chunks)[-1] == "tool_calls"


@pytest.mark.parametrize("stop", [[PartStop(0)], []])
def test_a_call_without_fragments_has_empty_arguments_trap_82(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf, stop: list[StreamEvent]
) -> None:
    chunks = chunks_of(_stream(codec, reply_to(), _START, _call(0, "a", "f"), *stop, _CALLED))
    assert _deltas(chunks)[2:] == [
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]


def test_parts_of_other_dialects_are_left_out_and_custom_calls_kept(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    custom: JsonObject = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    foreign = Opaque(Dialect("anthropic"), {"type": "server_tool_use"})
    chunks = chunks_of(
        _stream(
            codec,
            reply_to(),
            _START,
            PartStart(index=0, kind=PartKind.OPAQUE, opaque=foreign),
            PartStop(0),
            PartStart(index=1, kind=PartKind.OPAQUE, opaque=Opaque(OPENAI, custom)),
            PartStop(1),
            _CALLED,
        )
    )
    assert _deltas(chunks)[1:] == [{"tool_calls": [{**custom, "index": 0}]}, {}]


def test_a_client_of_the_form_before_tools_is_answered_in_it(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    chunks = chunks_of(
        _stream(
            codec,
            reply_to(asked={"functions": [{"name": "f"}]}),
            _START,
            _call(0, "a", "f"),
            ArgumentsDelta(0, "{}"),
            PartStop(0),
            _call(1, "b", "f"),
            PartStop(1),
            _CALLED,
        )
    )
    assert _deltas(chunks)[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert _finish_reasons(chunks)[-1] == "function_call"


def test_the_stop_sequence_is_named_as_vllm_names_it(
    codec: OpenAIChatCodec, reply_to: MakesContext, chunks_of: ChunksOf
) -> None:
    finish = Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence="END")
    *_, last = chunks_of(_stream(codec, reply_to(), _START, *_text(0, "a"), finish))
    assert _choices(last) == [
        {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}
    ]


@pytest.mark.parametrize("before", [[], [_START, *_text(0, "a")]])
def test_an_error_has_four_keys_and_nothing_follows_it_trap_87(
    codec: OpenAIChatCodec, reply_to: MakesContext, before: list[StreamEvent]
) -> None:
    encoder = codec.stream_encoder(reply_to())
    for event in before:
        encoder.encode(event)
    error = StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="it broke"), 502)
    assert encoder.encode(error) == (
        b'data: {"error":{"message":"it broke","type":"server_error","param":null,'
        b'"code":"upstream_error"}}\n\n'
    )
    assert encoder.encode(_END) == b""
    assert encoder.encode(error) == b""


def test_keepalives_are_whole_comments_before_and_after_the_first_event_trap_95(
    codec: OpenAIChatCodec, reply_to: MakesContext
) -> None:
    encoder = codec.stream_encoder(reply_to())
    assert encoder.keepalive() == b": queued\n\n"
    encoder.encode(_START)
    assert encoder.keepalive() == b": waiting\n\n"
