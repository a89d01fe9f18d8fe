"""What holds of every stream, whatever an upstream sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
    StreamEvent,
)
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_CODEC = OpenAIResponsesCodec()


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


Shown = Callable[[bytes], list[JsonObject]]


def _event(kind: str, /, **fields: JsonValue) -> JsonObject:
    return {"type": f"response.{kind}", **fields}


def _item(phase: str, at: int, /, **item: JsonValue) -> JsonObject:
    return _event(f"output_item.{phase}", output_index=at, item=item)


_USAGE: JsonObject = {
    "input_tokens": 9,
    "output_tokens": 4,
    "total_tokens": 13,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
    "output_tokens_details": {"reasoning_tokens": 2},
}
_PART: JsonObject = {"type": "output_text", "text": "é😀", "annotations": []}
_SEARCH: JsonObject = {"type": "search", "query": "q"}
_EVENTS: list[JsonObject] = [
    _event("created", response={"id": "resp_1", "model": "m", "created_at": 7}),
    _event("in_progress", response={"id": "resp_2"}),
    _event("queued", response={"id": "resp_1"}),
    _item("added", 0, type="message", id="msg_1", role="assistant", content=[]),
    _event("content_part.added", item_id="msg_1", output_index=0, content_index=0, part=_PART),
    _event(
        "output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta="é😀\u2028"
    ),
    _event("output_text.delta", delta="x"),
    _event("output_text.delta", item_id="msg_1", content_index=1, delta=""),
    _event("output_text.done", item_id="msg_1", content_index=0, text="é😀"),
    _event("refusal.delta", item_id="msg_1", content_index=1, delta="no"),
    _event("refusal.done", item_id="msg_1", content_index=2, refusal="no"),
    _item("done", 0, type="message", id="msg_1", role="assistant", content=[_PART, _PART]),
    _item("added", 1, type="reasoning", id="rs_1", summary=[]),
    _event("reasoning_summary_text.delta", item_id="rs_1", summary_index=0, delta="hm"),
    _event("reasoning_summary_text.delta", item_id="rs_1", summary_index=1, delta="so"),
    _event("reasoning_text.delta", item_id="rs_1", content_index=0, delta="hm"),
    _event("reasoning_text.done", item_id="rs_1", content_index=0, text="hm"),
    _item("done", 1, type="reasoning", id="rs_1", summary=[], encrypted_content="gAAA"),
    _item("added", 2, type="function_call", id="fc_1", call_id="a", name="f", arguments=""),
    _event("function_call_arguments.delta", item_id="fc_1", output_index=2, delta='{"x"'),
    _event("function_call_arguments.delta", output_index=2, delta=":1}"),
    _event("function_call_arguments.done", item_id="fc_1", arguments='{"x":1}', name="f"),
    _item("done", 2, type="function_call", id="fc_1", call_id="a", name="f", arguments="{}"),
    _item("added", 3, type="custom_tool_call", id="ctc_1", call_id="b", name="p", input=""),
    _event("custom_tool_call_input.delta", item_id="ctc_1", delta='"y\n'),
    _event("custom_tool_call_input.done", item_id="ctc_1", input='"y\n'),
    _item("done", 3, type="custom_tool_call", id="ctc_1", call_id="b", name="p", input="z"),
    _item("done", 4, type="web_search_call", id="ws_1", status="completed", action=_SEARCH),
    _item("done", 5, type="function_call", call_id="", name="g", arguments=""),
    {"type": "keepalive", "sequence_number": 4},
    {"type": "ping"},
]
_ENDS: list[JsonObject] = [
    _event("completed", response={"status": "completed", "output": [], "usage": _USAGE}),
    _event("completed", response={"output": [{"type": "message", "content": [_PART]}]}),
    _event("incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}),
]
_going_on = st.sampled_from(
    [b"data: " + dumps(event) + b"\n\n" for event in _EVENTS]
    + [b"event: x\ndata:" + dumps(event) + b"\r\n\r\n" for event in _EVENTS[:6]]
    + [b": ping\n\n", b"\r\n\r\n", b"data:\n\n", b"id: 1\n", b"event: response.x\n"]
)
_ending = st.sampled_from([b"data: " + dumps(event) + b"\n\n" for event in _ENDS])
_breaking = st.sampled_from(
    [
        b"data: [DONE]\n\n",
        b"event: error\n",
        b"data: {",
        b"\xef\xbb\xbf",
        b"data: 5\n\n",
        b'{"error":"bare"}\n',
        b'data: {"type":"error","code":"rate_limit_exceeded","message":"m"}\n\n',
        b'data: {"type":"response.failed","response":{"error":null}}\n\n',
    ]
) | st.binary(max_size=8)
_streams = streams_of(_going_on, _ending, _breaking, longest=8)


@given(stream=_streams, cuts=st.lists(st.integers(0, 1000), max_size=6), every_byte=st.booleans())
@settings(max_examples=200)
def test_any_bytes_in_any_split_give_the_same_events_and_one_end_trap_78(
    decoded: DecodesStream, stream: bytes, cuts: list[int], every_byte: bool
) -> None:
    whole = decoded(stream)
    pieces = range(len(stream)) if every_byte else [cut % (len(stream) + 1) for cut in cuts]
    assert decoded(stream, cuts=pieces) == whole
    check_parts(whole)


@given(stream=_streams, waits=st.lists(st.integers(0, 40), max_size=4), asks=st.booleans())
@settings(max_examples=150)
def test_whatever_was_read_can_be_shown_with_keepalives_anywhere(
    decoded: DecodesStream, shown: Shown, stream: bytes, waits: list[int], asks: bool
) -> None:
    """Traps 83 and 84, for every stream."""
    context = _context(asks=asks)
    encoder = _CODEC.stream_encoder(context)
    events = decoded(stream)
    written = b""
    for at, event in enumerate(events):
        written += encoder.keepalive() * 1 if at in waits else b""
        written += encoder.encode(event)
    seen = shown(written)
    again = decoded(written)
    assert type(again[-1]) is type(events[-1])
    last = seen[-1]["response"]
    assert isinstance(last, dict)
    if isinstance(events[-1], Finish):
        assert _said(assemble(again).parts) == _said(assemble(events).parts)
        # What was said in pieces is what the last event repeats.
        assert _said(_CODEC.decode_response(last).parts) == _said(assemble(events).parts)


def _said(parts: Iterable[object]) -> list[object]:
    """Texts that follow each other count as one, calls by what they call."""
    said: list[object] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                kind = type(part).__name__
                if text:
                    said.append((kind, text))
            case Thinking(text=text):
                if text:
                    said.append(("Thinking", text))
            case ToolCall():
                said.append((part.name, part.arguments.strip() or "{}"))
            case Opaque():
                said.append(part.raw)
            case _:
                pass
    return sorted(said, key=repr)


def _context(*, asks: bool) -> ReplyContext:
    include: list[JsonValue] = ["reasoning.encrypted_content"] if asks else []
    request = (
        _CODEC.decode_request({"model": "m", "input": "Hi", "include": include, "stream": True})
        if asks
        else ChatRequest(model="m", turns=(), stream=True)
    )
    return ReplyContext(
        request=request,
        response_id="5",
        created=1,
        input_tokens_estimate=1,
        elapsed_ns=lambda: 0,
    )


_JUNK: list[JsonValue] = [None, True, -1, 2.5, "", "x", [], [None], {}, {"text": 5}]


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


@pytest.mark.parametrize("event", [*_EVENTS, *_ENDS], ids=lambda event: dumps(event).decode()[:60])
def test_junk_in_any_place_of_an_event_is_borne(decoded: DecodesStream, event: JsonObject) -> None:
    encoder_of = _CODEC.stream_encoder
    for broken in _with_junk(event):
        stream = b"".join(
            b"data: " + dumps(frame) + b"\n\n" for frame in (broken, broken, _ENDS[0])
        )
        events = decoded(stream)
        check_parts(events)
        encoder = encoder_of(_context(asks=False))
        assert b"".join(map(encoder.encode, events)).startswith(b"event: response.created\n")


_words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
_answers = st.builds(
    lambda thinking, text, calls, cut: ChatResponse(
        id="resp_1",
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
    st.none() | _words,
    st.none() | _words,
    st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from(['{"x":1}', '{"x'])), max_size=2),
    st.booleans(),
)


@given(_answers)
@settings(max_examples=60)
def test_an_answer_survives_the_stream_and_the_whole_form_alike(answer: ChatResponse) -> None:
    context = _context(asks=False)
    encoder = _CODEC.stream_encoder(context)
    decoder = _CODEC.stream_decoder()
    stream = b"".join(encoder.encode(event) for event in events_of(answer))
    again = assemble(decoder.feed(stream) + decoder.close())
    assert (_said(again.parts), again.finish) == (_said(answer.parts), answer.finish)
    whole = _CODEC.decode_response(_CODEC.encode_response(answer, context))
    assert (_said(whole.parts), whole.finish) == (_said(answer.parts), answer.finish)
