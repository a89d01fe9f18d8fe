"""Streams of upstreams, with the habits of many servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.events import (
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Refusal, Text, Thinking
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_DONE = b"[DONE]"
_USAGE: JsonObject = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
_COUNTED = Usage(input_uncached=5, output=3)


class DecodesStream(Protocol):
    def __call__(self, stream: bytes) -> list[StreamEvent]: ...


Sse = Callable[[Sequence[bytes]], bytes]


def _chunk(delta: JsonValue = None, finish: JsonValue = None, **fields: JsonValue) -> bytes:
    choice: JsonObject = {"index": 0, "delta": {} if delta is None else delta}
    choice["finish_reason"] = finish
    return dumps({"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [choice], **fields})


def _usage_chunk(usage: JsonObject = _USAGE) -> bytes:
    return dumps({"id": "chatcmpl-1", "choices": [], "usage": usage})


def test_a_stream_of_openai(decoded: DecodesStream, sse: Sse) -> None:
    stream = sse(
        [
            _chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
            _chunk({"content": "Hel"}),
            _chunk({"content": "lo"}),
            _chunk({}, "stop"),
            _usage_chunk(),
            _DONE,
        ]
    )
    assert decoded(stream) == [
        Start(id="chatcmpl-1", model="m", created=7),
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        PartStop(0),
        UsageReport(_COUNTED),
        Finish(reason=FinishReason.END),
    ]


def test_events_come_as_soon_as_their_bytes_do(codec: OpenAIChatCodec, sse: Sse) -> None:
    decoder = codec.stream_decoder()
    assert decoder.feed(sse([_chunk({"content": "a"})])) == [
        Start(id="chatcmpl-1", model="m", created=7),
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "a"),
    ]
    assert decoder.feed(sse([_chunk({"content": "b"})])) == [TextDelta(0, "b")]
    assert decoder.feed(sse([_chunk({}, "stop")])) == []
    assert decoder.feed(sse([_usage_chunk()])) == [
        PartStop(0),
        UsageReport(_COUNTED),
        Finish(reason=FinishReason.END),
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        [_chunk({"content": "a"}), _chunk({}, "stop", usage=_USAGE)],
        [_chunk({"content": "a"}), _chunk({}, "stop", usage=_USAGE), _DONE],
        [
            _chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
            _chunk({}, "stop", usage=_USAGE),
            _usage_chunk(),
            _usage_chunk({"prompt_tokens": 99}),
            _DONE,
        ],
        [_usage_chunk(), _chunk({"content": "a"}), _chunk({}, "stop"), _DONE],
        [
            _chunk({"content": "a"}),
            dumps({"choices": [{"delta": {}, "finish_reason": "stop", "usage": _USAGE}]}),
        ],
    ],
)
def test_usage_is_found_wherever_it_is_and_comes_before_the_finish(
    decoded: DecodesStream, sse: Sse, chunks: list[bytes]
) -> None:
    assert decoded(sse(chunks))[-2:] == [
        UsageReport(_COUNTED),
        Finish(reason=FinishReason.END),
    ]


def test_without_usage_there_is_no_report(decoded: DecodesStream, sse: Sse) -> None:
    events = decoded(sse([_chunk({"content": "a"}), _chunk({}, "stop"), _DONE]))
    assert events[-2:] == [PartStop(0), Finish(reason=FinishReason.END)]


@pytest.mark.parametrize(
    "end",
    [b"", b"\n\n", b"\r\n\r\n", b"\n\ndata: [DONE]\n\n", b"\n\ndata: [DONE]", b"\n\n: bye\n\n"],
)
def test_the_stream_may_end_in_many_ways(decoded: DecodesStream, end: bytes) -> None:
    stream = b"data: " + _chunk({"content": "a"}) + b"\n\ndata: " + _chunk({}, "stop") + end
    assert decoded(stream)[-1] == Finish(reason=FinishReason.END)


def test_frames_in_odd_shapes_are_read(decoded: DecodesStream) -> None:
    stream = (
        b"\xef\xbb\xbf: OPENROUTER PROCESSING\r\n\r\n"
        b"event: message\r\nid: 1\r\ndata:" + _chunk({"content": "a"}) + b"\r\n\r\n"
        b":\n\ndata:\n\n"
        b"data: " + _chunk({"content": "b"}) + b"\ndata: " + _chunk({"content": "c"}) + b"\n\n"
        b"data: " + dumps({"choices": []}) + b"\n\n"
        b"data: " + dumps({"type": "ping"}) + b"\n\n"
        b"data: " + _chunk({}, "stop") + b"\ndata: [DONE]\n\n"
    )
    assert assemble(decoded(stream)).parts == (Text("abc"),)


def test_fields_that_servers_leave_out_are_not_missed(decoded: DecodesStream) -> None:
    stream = (
        b'data: {"choices":[{"delta":{"content":null}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":""}]}\n\n'
        b'data: {"choices":[{"finish_reason":"eos"}]}\n\n'
    )
    answer = assemble(decoded(stream))
    assert (answer.id, answer.model, answer.created) == ("", "", 0)
    assert answer.parts == (Text("a"),)
    assert answer.finish is FinishReason.END  # trap 69


def test_a_server_that_did_not_stream_is_understood(decoded: DecodesStream) -> None:
    body = dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "choices": [
                {"message": {"role": "assistant", "content": "a"}, "finish_reason": "length"}
            ],
            "usage": _USAGE,
        }
    )
    answer = assemble(decoded(body))
    assert (answer.parts, answer.finish, answer.usage) == (
        (Text("a"),),
        FinishReason.LENGTH,
        _COUNTED,
    )


# Reasoning and refusals


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
def test_reasoning_comes_before_the_text_and_once_traps_55_56(
    decoded: DecodesStream, sse: Sse, delta: JsonObject
) -> None:
    events = decoded(
        sse([_chunk(delta), _chunk(delta), _chunk({"content": "a"}), _chunk({}, "stop")])
    )
    assert events[1:-1] == [
        PartStart(index=0, kind=PartKind.THINKING),
        ThinkingDelta(0, "hm"),
        ThinkingDelta(0, "hm"),
        PartStop(0),
        PartStart(index=1, kind=PartKind.TEXT),
        TextDelta(1, "a"),
        PartStop(1),
    ]


def test_text_and_reasoning_may_alternate(decoded: DecodesStream, sse: Sse) -> None:
    answer = assemble(
        decoded(
            sse(
                [
                    _chunk({"reasoning": "a"}),
                    _chunk({"reasoning": "b", "content": "c"}),
                    _chunk({"reasoning": "d", "content": "e"}),
                    _chunk({}, "stop"),
                ]
            )
        )
    )
    assert answer.parts == (Thinking(text="ab"), Text("c"), Thinking(text="d"), Text("e"))


def test_a_refusal_ends_with_its_own_reason(decoded: DecodesStream, sse: Sse) -> None:
    answer = assemble(
        decoded(sse([_chunk({"refusal": "I "}), _chunk({"refusal": "won't"}), _chunk({}, "stop")]))
    )
    assert answer.parts == (Refusal("I won't"),)
    assert answer.finish is FinishReason.REFUSAL


# Several choices


def test_an_answer_with_several_choices_is_watched_through_its_first(
    decoded: DecodesStream, sse: Sse
) -> None:
    def of(index: int, content: str, finish: str | None = None) -> JsonObject:
        return {"index": index, "delta": {"content": content}, "finish_reason": finish}

    stream = sse(
        [
            dumps({"choices": [of(1, "B")]}),
            dumps({"choices": [of(0, "A"), of(1, "B")]}),
            dumps({"choices": [of(1, "", "error")]}),
            dumps({"choices": [of(0, "", "stop")]}),
            _DONE,
        ]
    )
    assert assemble(decoded(stream)).parts == (Text("A"),)


# Finish reasons


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stop", FinishReason.END),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.REFUSAL),
        ("sensitive", FinishReason.REFUSAL),
        ("model_context_window_exceeded", FinishReason.CONTEXT_FULL),
        ("eos", FinishReason.END),
        ("tool_calls", FinishReason.END),
    ],
)
def test_finish_reasons_are_understood(
    decoded: DecodesStream, sse: Sse, word: str, meant: FinishReason
) -> None:
    assert decoded(sse([_chunk({"content": "a"}), _chunk({}, word)]))[-1] == Finish(reason=meant)


def test_of_two_finish_reasons_the_first_stands(decoded: DecodesStream, sse: Sse) -> None:
    stream = sse([_chunk({"content": "a"}), _chunk({}, "length"), _chunk({}, "stop"), _DONE])
    assert decoded(stream)[-1] == Finish(reason=FinishReason.LENGTH)


def test_the_stop_sequence_is_named_where_the_server_names_it(
    decoded: DecodesStream, sse: Sse
) -> None:
    for stop_reason, finish in (
        ("END", Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence="END")),
        (128001, Finish(reason=FinishReason.END)),
        (None, Finish(reason=FinishReason.END)),
    ):
        last = dumps(
            {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": stop_reason}]}
        )
        assert decoded(sse([_chunk({"content": "a"}), last]))[-1] == finish
