"""What holds of every stream, whatever an upstream sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_properties import check_parts, streams_of

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.events import (
    ChatResponse,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    Start,
    StreamEvent,
)
from forebay.protocol.canonical.requests import ChatRequest, Opaque, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_CODEC = OpenAIChatCodec()


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


def _chunk(delta: JsonValue, finish: JsonValue = None, **fields: JsonValue) -> JsonObject:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields}


def _call(**fields: JsonValue) -> JsonObject:
    function: JsonObject = {
        name: fields.pop(name) for name in ("name", "arguments") if name in fields
    }
    return _chunk({"tool_calls": [{**fields, "function": function}]})


_USAGE: JsonObject = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
_CHUNKS: list[JsonObject] = [
    _chunk({"role": "assistant", "content": None}),
    _chunk({"content": ""}),
    _chunk({"content": "é😀\u2028"}),
    _chunk({"content": [{"type": "text", "text": "t"}, {"type": "thinking", "thinking": "h"}]}),
    _chunk({"reasoning": "hm", "reasoning_content": "hm"}),
    _chunk({"reasoning": "hm", "content": "a", "refusal": "no"}),
    _chunk({"refusal": "no"}),
    _call(index=0, id="a", name="f", arguments=""),
    _call(index=0, id="a", name="f", arguments='{"x"'),
    _call(index=0, arguments=":1}"),
    _call(index=0, id="b", name="g", arguments="{}"),
    _call(index=1, id="b", name="g", arguments="{"),
    _call(index=1, arguments="}"),
    _call(index=2, name="f", arguments="{}"),
    _call(id="c", name="f", arguments={"x": 1}),
    _call(arguments="{"),
    _call(),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x"}}, {"index": 1, "id": "d"}]}),
    _chunk({"tool_calls": [{"id": "e", "type": "custom", "custom": {"name": "s", "input": "i"}}]}),
    _chunk({"function_call": {"name": "f", "arguments": "{"}}),
    _chunk({"function_call": {"arguments": "}"}}),
    _chunk({"content": "a"}, usage=_USAGE, id="chatcmpl-1", model="m", created=7),
    _chunk({}, usage=None, id="x"),
    {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]},
    {"choices": [{"message": {"content": "whole"}, "usage": _USAGE}]},
    {"choices": []},
    {"choices": [], "usage": _USAGE},
    {"type": "ping"},
]
_ENDS: list[JsonObject] = [
    _chunk({}, "stop"),
    _chunk({"content": "."}, "length", usage=_USAGE),
    _chunk({}, "tool_calls"),
    {"choices": [{"delta": None, "finish_reason": "stop", "stop_reason": "END"}]},
]
_going_on = st.sampled_from(
    [b"data: " + dumps(chunk) + b"\n\n" for chunk in _CHUNKS]
    + [b"data:" + dumps(chunk) + b"\r\n" for chunk in _CHUNKS[:6]]
    + [b": ping\n\n", b"\r\n\r\n", b"data:\n\n", b"id: 1\n", b"event: chunk\n"]
)
_ending = st.sampled_from([b"data: " + dumps(chunk) + b"\n\n" for chunk in _ENDS])
_breaking = st.sampled_from(
    [
        b"data: [DONE]\n\n",
        b"event: error\n",
        b"data: {",
        b"\xef\xbb\xbf",
        b"data: 5\n\n",
        b'{"error":"bare"}\n',
        b'data: {"error":{"code":429,"message":"m"}}\n\n',
    ]
) | st.binary(max_size=8)
_streams = streams_of(_going_on, _ending, _breaking, longest=6)


@given(stream=_streams, cuts=st.lists(st.integers(0, 1000), max_size=6), every_byte=st.booleans())
@settings(max_examples=250)
def test_any_bytes_in_any_split_give_the_same_events_and_one_end_trap_78(
    decoded: DecodesStream, stream: bytes, cuts: list[int], every_byte: bool
) -> None:
    whole = decoded(stream)
    pieces = range(len(stream)) if every_byte else [cut % (len(stream) + 1) for cut in cuts]
    assert decoded(stream, cuts=pieces) == whole
    check_parts(whole)


@given(
    stream=_streams.map(lambda stream: b'data: {"choices":[{"finish_reason":null}]}\n\n' + stream),
    stream_usage=st.booleans(),
)
@settings(max_examples=100)
def test_whatever_was_read_can_be_written(
    decoded: DecodesStream, stream: bytes, stream_usage: bool
) -> None:
    encoder = _CODEC.stream_encoder(_context(stream_usage=stream_usage))
    events = decoded(stream)
    written = b"".join(map(encoder.encode, events))
    again = decoded(written)
    assert type(again[-1]) is type(events[-1])
    if isinstance(events[-1], Finish):
        assert assemble(again).parts == _as_a_client_of_this_dialect_sees(assemble(events))


def _as_a_client_of_this_dialect_sees(answer: ChatResponse) -> tuple[object, ...]:
    parts: list[object] = []
    calls = 0
    for part in answer.parts:
        if isinstance(part, ToolCall):
            part = ToolCall(
                id=part.id or _issued(calls), name=part.name, arguments=part.arguments or "{}"
            )
        calls += isinstance(part, ToolCall | Opaque)
        parts.append(part)
    return tuple(parts)


def _issued(position: int) -> str:
    encoder = _CODEC.stream_encoder(_context(stream_usage=False))
    encoder.encode(Start(id="", model="", created=0))
    for index in range(position + 1):
        frame = encoder.encode(PartStart(index=index, kind=PartKind.TOOL_CALL, call_name="f"))
    return frame.decode().split('"id":"')[2].split('"')[0]


def _context(*, stream_usage: bool) -> ReplyContext:
    return ReplyContext(
        request=ChatRequest(model="m", turns=(), stream=True, stream_usage=stream_usage),
        response_id="r",
        created=1,
        input_tokens_estimate=1,
        elapsed_ns=lambda: 0,
    )


_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
_answers = st.builds(
    lambda thinking, text, calls, cut: ChatResponse(
        id="chatcmpl-1",
        model="m",
        created=1,
        parts=(
            *((Thinking(text=thinking),) if thinking else ()),
            *((Text(text),) if text else ()),
            *(
                ToolCall(id=f"call_{at}", name=name, arguments=arguments)
                for at, (name, arguments) in enumerate(calls)
            ),
        ),
        finish=FinishReason.LENGTH
        if cut
        else (FinishReason.TOOL_CALLS if calls else FinishReason.END),
    ),
    st.none() | _text,
    st.none() | _text,
    st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from(['{"x":1}', '{"x'])), max_size=2),
    st.booleans(),
)


_JUNK: list[JsonValue] = [
    None,
    True,
    -1,
    2.5,
    1e300,
    2**63,
    "",
    "x",
    [],
    [None],
    [[]],
    {},
    {"text": 5},
]


def _with_junk(value: JsonValue) -> Iterator[JsonValue]:
    """``value`` with junk in one place after the other, at every depth."""
    yield from _JUNK
    if isinstance(value, dict):
        for name, inner in value.items():
            for changed in _with_junk(inner):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            for changed in _with_junk(inner):
                yield [*value[:at], changed, *value[at + 1 :]]


@pytest.mark.parametrize("chunk", [*_CHUNKS, *_ENDS], ids=lambda chunk: dumps(chunk).decode())
def test_junk_in_any_place_of_a_chunk_is_borne(decoded: DecodesStream, chunk: JsonObject) -> None:
    for broken in _with_junk(chunk):
        stream = b"".join(
            b"data: " + dumps(frame) + b"\n\n" for frame in (broken, broken, _chunk({}, "stop"))
        )
        check_parts(decoded(stream))


@given(_answers)
@settings(max_examples=60)
def test_an_answer_survives_the_stream_and_the_whole_form_alike(answer: ChatResponse) -> None:
    context = _context(stream_usage=False)
    encoder = _CODEC.stream_encoder(context)
    decoder = _CODEC.stream_decoder()
    stream = b"".join(encoder.encode(event) for event in events_of(answer))
    assert assemble(decoder.feed(stream) + decoder.close()) == answer
    whole = _CODEC.decode_response(_CODEC.encode_response(answer, context))
    assert (whole.parts, whole.finish) == (answer.parts, answer.finish)
