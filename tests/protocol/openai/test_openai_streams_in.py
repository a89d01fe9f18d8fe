"""Streams of upstreams, with the habits of many servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.framing import DEFAULT_FRAME_LIMIT
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


def _calls(*fragments: JsonValue) -> bytes:
    return _chunk({"tool_calls": [*fragments]})


def _fragment(arguments: JsonValue, **fields: JsonValue) -> JsonObject:
    function: JsonObject = {} if arguments is None else {"arguments": arguments}
    if "name" in fields:
        function["name"] = fields.pop("name")
    return {**fields, "function": function}


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


# Tool calls


def _parts(decoded: DecodesStream, sse: Sse, *chunks: bytes) -> tuple[object, ...]:
    answer = assemble(decoded(sse([*chunks, _chunk({}, "stop"), _DONE])))
    # The reason follows from the calls, not from the server's word (trap 65).
    assert answer.finish is FinishReason.TOOL_CALLS
    return answer.parts


def _call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


_A = _call("a", "f", '{"x":1}')
_B = _call("b", "g", '{"y":{}}')


def test_a_call_in_fragments_is_streamed_as_it_comes(decoded: DecodesStream, sse: Sse) -> None:
    events = decoded(
        sse(
            [
                _chunk({"content": "let me see"}),
                _calls(_fragment("", index=0, id="a", type="function", name="f")),
                _calls(_fragment('{"x"', index=0)),
                _calls(_fragment(":1}", index=0)),
                _chunk({}, "tool_calls"),
            ]
        )
    )
    assert events[3:] == [
        PartStop(0),
        PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
        ArgumentsDelta(1, '{"x"'),
        ArgumentsDelta(1, ":1}"),
        PartStop(1),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]


def test_fragments_of_two_calls_may_interleave_trap_80(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", index=0, id="a", name="f"), _fragment("", index=1, id="b", name="g")),
        _calls(_fragment('{"y":', index=1), _fragment('{"x":', index=0)),
        _calls(_fragment("1}", index=0), _fragment("{}}", index=1)),
    ) == (_A, _B)


def test_id_and_name_may_be_repeated_in_every_fragment_trap_81(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", index=0, id="a", name="f")),
        _calls(_fragment('{"x"', index=0, id="a", name="f")),
        _calls(_fragment(":1}", index=0, id="a", name="f")),
        _calls(_fragment('{"y":', index=1, id="b", name="g")),
        _calls(_fragment("{}}", index=1, id="b", name="g")),
    ) == (_A, _B)


def test_the_index_may_be_missing_trap_81(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", id="a", name="f")),
        _calls(_fragment('{"x"')),
        _calls(_fragment(":1}")),
        _calls(_fragment('{"y":', id="b", name="g")),
        _calls(_fragment("{}}")),
    ) == (_A, _B)


def test_without_index_the_id_tells_interleaved_calls_apart(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x"', id="a", name="f")),
        _calls(_fragment('{"y":', id="b", name="g")),
        _calls(_fragment(":1", id="a", name="f")),
        _calls(_fragment("}")),
        _calls(_fragment("{}}", id="b", name="g")),
    ) == (_A, _B)


def test_all_calls_may_be_number_zero_with_new_ids(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, id="a", name="f")),
        _calls(_fragment('{"y":', index=0, id="b", name="g")),
        _calls(_fragment("{}}", index=0)),
    ) == (_A, _B)


def test_whole_calls_without_ids_are_told_apart(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, name="f")),
        _calls(_fragment('{"x":2}', index=0, name="f")),
        _calls(_fragment("{}", index=0, name="g")),
    ) == (_call("", "f", '{"x":1}'), _call("", "f", '{"x":2}'), _call("", "g", "{}"))


def test_a_whole_call_may_come_in_one_fragment_with_arguments_as_an_object(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment({"x": 1}, id="a", name="f"), _fragment({"y": {}}, id="b", name="g")),
    ) == (_A, _B)


def test_the_name_may_come_after_the_first_arguments(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment(None, index=0, id="a")),
        _calls(_fragment('{"x"', index=0)),
        _calls(_fragment(":1", index=0, name="f")),
        _calls(_fragment("}", index=0)),
    ) == (_A,)


def test_a_call_without_arguments_has_none(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(decoded, sse, _calls(_fragment(None, index=0, id="a", name="f"))) == (
        _call("a", "f", ""),
    )


def test_text_may_come_after_a_call(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, id="a", name="f")),
        _chunk({"content": "done"}),
    ) == (_A, Text("done"))


def test_empty_fragments_make_no_call(decoded: DecodesStream, sse: Sse) -> None:
    chunks = [_calls({}, {"index": 0}, "x", _fragment("", index=1)), _chunk({}, "tool_calls")]
    answer = assemble(decoded(sse(chunks)))
    assert answer.parts == ()
    assert answer.finish is FinishReason.END


def test_the_form_before_tools_is_a_call_without_an_id(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _chunk({"function_call": {"name": "f", "arguments": ""}}),
        _chunk({"function_call": {"arguments": '{"x":1}'}}),
    ) == (_call("", "f", '{"x":1}'),)


def test_a_custom_call_is_kept_whole(decoded: DecodesStream, sse: Sse) -> None:
    custom: JsonObject = {"name": "sql", "input": "select "}
    assert _parts(
        decoded,
        sse,
        _calls({"index": 0, "id": "a", "type": "custom", "custom": custom}),
        _calls({"index": 0, "custom": {"input": "1"}}),
        _calls(_fragment("{}", index=0)),
    ) == (
        Opaque(
            OPENAI,
            {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
        ),
    )


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


def test_a_length_cut_inside_a_call_stays_a_length(decoded: DecodesStream, sse: Sse) -> None:
    stream = sse([_calls(_fragment('{"x', index=0, id="a", name="f")), _chunk({}, "length"), _DONE])
    answer = assemble(decoded(stream))
    assert answer.finish is FinishReason.LENGTH
    assert answer.parts == (_call("a", "f", '{"x'),)


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


# Failures


def _failure(events: list[StreamEvent]) -> StreamError:
    last = events[-1]
    assert isinstance(last, StreamError)
    return last


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"data: [DONE]\n\n",
        b": only comments\n\n",
        b"data: " + _chunk({"role": "assistant"}) + b"\n\n",
        b"data: " + _chunk({"content": "a"}) + b"\n\ndata: [DONE]\n\n",
        b"data: " + _chunk({"content": "a"}) + b'\n\ndata: {"choices":[{"del',
        b"data: " + _usage_chunk() + b"\n\ndata: [DONE]\n\n",
    ],
)
def test_a_stream_without_a_finish_reason_has_failed_trap_86(
    decoded: DecodesStream, stream: bytes
) -> None:
    error = _failure(decoded(stream)).error
    assert error.kind is ErrorKind.UPSTREAM_ERROR
    assert "before it was complete" in error.message


def test_what_was_used_is_reported_also_when_the_stream_breaks(
    decoded: DecodesStream, sse: Sse
) -> None:
    events = decoded(sse([_chunk({"content": "a"}, usage=_USAGE)]))
    assert events[-2] == UsageReport(_COUNTED)
    assert isinstance(events[-1], StreamError)


@pytest.mark.parametrize(
    ("frame", "kind", "status", "message"),
    [
        (
            b'data: {"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}\n\n',
            ErrorKind.RATE_LIMITED,
            429,
            "Rate limit reached",
        ),
        (
            b'data: {"error":{"message":"Overloaded","type":"overloaded_error"}}\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "Overloaded",
        ),
        (
            b'data: {"id":"gen-1","error":{"code":529,"message":"busy"},'
            b'"choices":[{"delta":{"content":""},"finish_reason":"error"}]}\n\n',
            ErrorKind.UNAVAILABLE,
            529,
            "busy",
        ),
        (
            b'data: {"choices":[{"delta":{},"finish_reason":"error",'
            b'"error":{"code":502,"message":"provider died"}}]}\n\n',
            ErrorKind.UPSTREAM_ERROR,
            502,
            "provider died",
        ),
        (
            b'data: {"error":"Model is overloaded","error_type":"overloaded"}\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "Model is overloaded",
        ),
        (
            b'data: {"error":"out of memory","error_type":"generation"}\n\n',
            ErrorKind.UPSTREAM_ERROR,
            None,
            "out of memory",
        ),
        (
            b'{"error": "Mediapipe execution failed"}',
            ErrorKind.UPSTREAM_ERROR,
            None,
            "Mediapipe execution failed",
        ),
        (
            b'event: error\ndata: {"message":"too long","code":"context_length_exceeded"}\n\n',
            ErrorKind.CONTEXT_OVERFLOW,
            None,
            "too long",
        ),
        (b"event: error\ndata: boom\n\n", ErrorKind.UPSTREAM_ERROR, None, "boom"),
        (
            b'data: {"object":"error","message":"bad","type":"BadRequestError","code":400}\n\n',
            ErrorKind.BAD_REQUEST,
            400,
            "bad",
        ),
        (
            b'data: [{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "overloaded",
        ),
    ],
)
def test_an_error_inside_the_stream_ends_it_trap_76(
    decoded: DecodesStream,
    sse: Sse,
    frame: bytes,
    kind: ErrorKind,
    status: int | None,
    message: str,
) -> None:
    for before in (b"", sse([_chunk({"content": "a"})])):
        for after in (b"", sse([_chunk({}, "stop"), _DONE])):
            failure = _failure(decoded(before + frame.rstrip() + b"\n\n" + after))
            assert (failure.error.kind, failure.status) == (kind, status)
            assert failure.error.message == message


@pytest.mark.parametrize(
    "frame", [b"data: hello", b"data: <html>", b"data: 5", b"data: null", b'data: {"choices"']
)
def test_garbage_is_an_error_of_the_upstream(
    decoded: DecodesStream, sse: Sse, frame: bytes
) -> None:
    failure = _failure(decoded(frame + b"\n\n" + sse([_chunk({}, "stop"), _DONE])))
    assert failure.error.kind is ErrorKind.UPSTREAM_ERROR


@pytest.mark.parametrize("word", ["error", "abort", "network_error"])
def test_a_finish_reason_that_is_none_is_an_error(
    decoded: DecodesStream, sse: Sse, word: str
) -> None:
    failure = _failure(decoded(sse([_chunk({"content": "a"}), _chunk({}, word), _DONE])))
    assert failure.error.kind is ErrorKind.UPSTREAM_ERROR
    assert word in failure.error.message


def test_a_frame_without_end_is_an_error_not_a_growing_buffer(codec: OpenAIChatCodec) -> None:
    decoder = codec.stream_decoder()
    events: list[StreamEvent] = []
    megabyte = b"x" * (1 << 20)
    decoder.feed(b"data: ")
    for _ in range(DEFAULT_FRAME_LIMIT // len(megabyte) + 1):
        events += decoder.feed(megabyte)
    assert _failure(events).error.kind is ErrorKind.UPSTREAM_ERROR
    assert decoder.close() == []
