"""What holds of every stream, whatever an upstream sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    ChatResponse,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from forebay.protocol.canonical.requests import ChatRequest, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import dumps

_CODEC = OpenAIChatCodec()
_Values: TypeAlias = st.SearchStrategy[Any]


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


_scalar = st.sampled_from([None, True, 0, 1, -1, 2.5, 1e300, 2**63, "", "x", "{}", "}", "{", "é😀"])
_junk: _Values = _scalar | st.lists(_scalar, max_size=2) | st.just({}) | st.just({"text": "t"})


def _mostly(likely: _Values, unlikely: _Values = _junk, *, one_in: int = 12) -> _Values:
    # Hypothesis would choose among all alternatives alike, and hardly a stream would get far.
    return st.tuples(st.integers(1, one_in), likely, unlikely).map(
        lambda drawn: drawn[2] if drawn[0] == one_in else drawn[1]
    )


def _object(**fields: _Values) -> _Values:
    return _mostly(st.fixed_dictionaries({}, optional=fields))


_words = _mostly(st.sampled_from([None, "", "x", "é😀", "{}", '{"a"', ":1}"]))
_fragment = _object(
    index=_mostly(st.integers(0, 2)),
    id=_mostly(st.sampled_from(["a", "b", ""])),
    type=st.sampled_from(["function", "custom"]),
    function=_object(name=_mostly(st.sampled_from("fg")), arguments=_words),
    custom=_mostly(st.none(), _object(name=_words, input=_words), one_in=6),
)
_content_part = _object(
    type=st.sampled_from(["text", "thinking", "refusal"]),
    text=_words,
    refusal=_words,
    thinking=_words | st.lists(_object(text=_words), max_size=2),
)
_delta = _object(
    content=_mostly(_words, st.lists(_content_part, max_size=2), one_in=4),
    reasoning=_words,
    reasoning_content=_words,
    refusal=_mostly(st.none(), _words, one_in=6),
    tool_calls=_mostly(st.lists(_fragment, max_size=3)),
    function_call=_mostly(st.none(), _object(name=_words, arguments=_words), one_in=6),
)
_count = _mostly(st.integers(0, 9))
_usage = _object(
    prompt_tokens=_count,
    completion_tokens=_count,
    total_tokens=_count,
    prompt_tokens_details=_object(cached_tokens=_count, cache_write_tokens=_count),
    completion_tokens_details=_object(reasoning_tokens=_count),
)
_rarely_error = _mostly(
    st.none(), _object(message=_words, code=_junk, type=_junk, metadata=_junk), one_in=30
)
_choice = _object(
    index=_mostly(st.just(0), st.sampled_from([1, None, "0"]), one_in=6),
    delta=_delta,
    message=_mostly(st.none(), _delta, one_in=6),
    finish_reason=st.sampled_from([None, None, None, "", "stop", "length", 5]),
    stop_reason=_junk,
    usage=_usage,
    error=_rarely_error,
)
_chunk = _mostly(
    st.fixed_dictionaries(
        {"choices": _mostly(st.lists(_choice, min_size=1, max_size=2))},
        optional={
            "id": _junk,
            "model": _junk,
            "created": _junk,
            "usage": _usage,
            "error": _rarely_error,
        },
    ),
    one_in=30,
)
_usage_chunk = st.fixed_dictionaries({"choices": st.just([]), "usage": _usage})
_event = st.tuples(
    _mostly(_chunk, _usage_chunk),
    _mostly(st.just(("data: ", "\n\n")), st.sampled_from([("data:", "\n"), ("", "\n")])),
).map(lambda drawn: b"%b%b%b" % (drawn[1][0].encode(), dumps(drawn[0]), drawn[1][1].encode()))
_harmless = st.sampled_from([b": ping\n\n", b"\r\n\r\n", b"data:\n\n", b"id: 1\n"])
_harmful = st.sampled_from([b"data: [DONE]\n\n", b"data: {", b"event: error\n", b"\xef\xbb\xbf"])
_frame = _mostly(_mostly(_event, _harmless, one_in=6), _harmful | st.binary(max_size=8), one_in=20)
_streams = st.lists(_frame, max_size=8).map(b"".join)


@given(stream=_streams, cuts=st.lists(st.integers(0, 1000), max_size=6), every_byte=st.booleans())
@settings(max_examples=250)
def test_any_bytes_in_any_split_give_the_same_events_and_one_end_trap_78(
    decoded: DecodesStream, stream: bytes, cuts: list[int], every_byte: bool
) -> None:
    whole = decoded(stream)
    pieces = range(len(stream)) if every_byte else [cut % (len(stream) + 1) for cut in cuts]
    assert decoded(stream, cuts=pieces) == whole
    _check_parts(whole)


def _check_parts(events: list[StreamEvent]) -> None:
    """Parts begin with gapless indexes, and nothing is said of a part that is not open."""
    kinds: dict[int, PartKind] = {}
    begun = 0
    for at, event in enumerate(events):
        match event:
            case Start():
                assert at == 0
            case PartStart(index=index):
                assert index == begun
                begun += 1
                kinds[index] = event.kind
            case TextDelta(index=index, text=text):
                assert kinds[index] in (PartKind.TEXT, PartKind.REFUSAL)
                assert text
            case ThinkingDelta(index=index, text=text):
                assert kinds[index] is PartKind.THINKING
                assert text
            case ArgumentsDelta(index=index, json=json):
                assert kinds[index] is PartKind.TOOL_CALL
                assert json
            case PartStop(index=index):
                del kinds[index]
            case Finish():
                assert not kinds
            case _:
                pass


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
        calls += not isinstance(part, Text | Thinking)
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
