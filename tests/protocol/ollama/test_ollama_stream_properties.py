"""What holds for every stream, however it is split and whatever is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import ollama
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.events import (
    AnswerPart,
    ChatResponse,
    Finish,
    FinishReason,
    StreamError,
    StreamEvent,
    Usage,
)
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaCodec, OllamaGenerateCodec
from forebay.protocol.jsontext import JsonValue, loads_object


class MakesContext(Protocol):
    def __call__(
        self, *, model: str = ..., elapsed_ns: Callable[[], int] = ..., estimate: int = ...
    ) -> ReplyContext: ...


CODECS: tuple[OllamaCodec, ...] = (OllamaChatCodec(), OllamaGenerateCodec())

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
JSON_LEAF: st.SearchStrategy[JsonValue] = (
    st.none() | st.booleans() | st.integers(0, 9) | TEXT | st.just([]) | st.just({})
)
# Words of the protocol in the wrong places reach further into the decoder than random bytes.
LINE = st.recursive(
    JSON_LEAF,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "content",
                    "response",
                    "thinking",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "done",
                    "done_reason",
                    "error",
                    "eval_count",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode() + b"\n")
GOOD_LINE = st.builds(
    lambda text, done: (
        json.dumps(
            {"message": {"content": text}, "response": text, "done": done}, ensure_ascii=False
        ).encode()
        + b"\n"
    ),
    TEXT,
    st.booleans(),
)
GARBAGE = st.lists(GOOD_LINE | LINE | st.binary(max_size=8), max_size=6).map(b"".join)


def read_in_pieces(codec: OllamaCodec, data: bytes, cuts: list[int]) -> list[StreamEvent]:
    decoder = codec.stream_decoder()
    events: list[StreamEvent] = []
    at = 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts):
        events += decoder.feed(data[at:cut])
        at = cut
    events += decoder.feed(data[at:])
    events += decoder.close()
    assert decoder.close() == []
    return events


@given(st.sampled_from(CODECS), GARBAGE, st.lists(st.integers(0, 999), max_size=6))
@settings(max_examples=300, deadline=None)
def test_every_stream_ends_once_and_splits_make_no_difference(
    codec: OllamaCodec, data: bytes, cuts: list[int]
) -> None:
    whole = read_in_pieces(codec, data, [])
    ends = [event for event in whole if isinstance(event, Finish | StreamError)]
    assert len(ends) == 1
    assert whole[-1] is ends[0]
    assert read_in_pieces(codec, data, cuts) == whole


CALL = st.builds(
    ToolCall,
    id=st.sampled_from(["a", "b", "c"]),
    name=st.sampled_from(["f", "g"]),
    arguments=st.dictionaries(TEXT, JSON_LEAF, max_size=2).map(
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    ),
)


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    """Answers in the order that the dialect can say: thinking, text, calls."""
    parts: list[AnswerPart] = []
    if draw(st.booleans()):
        parts.append(Thinking(text=draw(TEXT)))
    if draw(st.booleans()):
        parts.append(Text(draw(TEXT)))
    calls = draw(st.lists(CALL, max_size=3, unique_by=lambda call: call.id))
    finish = FinishReason.TOOL_CALLS if calls else FinishReason.END
    usage = Usage(input_uncached=draw(st.integers(0, 9)), output=draw(st.integers(0, 9)))
    return ChatResponse(
        id="", model="m", created=0, parts=(*parts, *calls), finish=finish, usage=usage
    )


@given(st.sampled_from(CODECS), answers())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_what_is_read(
    reply_to: MakesContext, codec: OllamaCodec, response: ChatResponse
) -> None:
    encoder = codec.stream_encoder(reply_to(model="m"))
    data = b"".join(encoder.encode(event) for event in events_of(response))
    streamed = assemble(read_in_pieces(codec, data, []))
    whole = codec.decode_response(codec.encode_response(response, reply_to(model="m")))
    for again in (streamed, whole):
        assert again.parts == response.parts
        assert again.finish is response.finish
        assert again.usage == response.usage


@given(answers())
@settings(max_examples=50, deadline=None)
def test_every_line_reads_in_the_official_package(
    reply_to: MakesContext, response: ChatResponse
) -> None:
    chat, generate = CODECS
    for codec, model in ((chat, ollama.ChatResponse), (generate, ollama.GenerateResponse)):
        encoder = codec.stream_encoder(reply_to())
        lines = [encoder.keepalive()]
        lines += [encoder.encode(event) for event in events_of(response)]
        for line in b"".join(lines).split(b"\n")[:-1]:
            model.model_validate(loads_object(line))


def test_trap_78_every_single_cut_gives_the_same_events() -> None:
    data = (
        '{"model":"m","message":{"role":"assistant","content":"","thinking":"Größe"},"done":false}\n'
        '{"model":"m","message":{"role":"assistant","content":"日本 🦦"},"done":false}\r\n'
        '{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":'
        '{"name":"f","arguments":{"ort":"Köln"}}}]},"done":false}\n'
        '{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
        '"eval_count":3}\n'
    ).encode()
    chat = CODECS[0]
    whole = read_in_pieces(chat, data, [])
    assert isinstance(whole[-1], Finish)
    for cut in range(len(data) + 1):
        assert read_in_pieces(chat, data, [cut]) == whole
    assert read_in_pieces(chat, data, list(range(len(data)))) == whole
