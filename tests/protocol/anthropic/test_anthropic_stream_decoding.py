"""Streams of the Messages API, read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ErrorKind
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
from forebay.protocol.canonical.requests import Opaque, Text, ToolCall
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

CODEC = AnthropicMessagesCodec()

STREAMS = (
    "llamacpp-0.7.0-b11669/messages-stream",
    "llamacpp-0.7.0-b11669/messages-stream-pings",
    "llamacpp-0.7.0-b11669/messages-tools-stream",
    "llamacpp-tools-template/messages-toolcall-stream",
    "vllm-0.32.0-cpu/messages-stream",
    "vllm-0.32.0-cpu/messages-tools-stream",
)


def frame(name: str, **fields: JsonValue) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps({"type": name, **fields}))


def start(usage: JsonValue = None) -> bytes:
    return frame("message_start", message={"id": "msg_1", "model": "m", "usage": usage})


def block(index: int, kind: str, **fields: JsonValue) -> bytes:
    return frame("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, kind: str, **fields: JsonValue) -> bytes:
    return frame("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index: int) -> bytes:
    return frame("content_block_stop", index=index)


def message_delta(reason: str | None = "end_turn", usage: JsonValue = None) -> bytes:
    return frame("message_delta", delta={"stop_reason": reason}, usage=usage)


END = message_delta() + frame("message_stop")
NESTED = (
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"KIND","input":'
    + b'{"a":' * 299
    + b"1"
    + b"}" * 301
    + b"\n\n"
)
STARTED = Start(id="msg_1", model="m", created=0)
ENDED = Finish(reason=FinishReason.END)


def read(*pieces: bytes) -> list[StreamEvent]:
    decoder = CODEC.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def failure(*pieces: bytes) -> StreamError:
    last = read(*pieces)[-1]
    assert isinstance(last, StreamError)
    return last


def test_a_stream_of_everything() -> None:
    events = read(
        start({"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}),
        block(0, "thinking", thinking="", signature=""),
        frame("ping"),
        delta(0, "thinking_delta", thinking="Hm."),
        delta(0, "signature_delta", signature="c2ln"),
        stop(0),
        block(1, "redacted_thinking", data="b3BhcXVl"),
        stop(1),
        block(2, "text", text=""),
        delta(2, "text_delta", text="Hi"),
        delta(2, "text_delta", text=""),
        delta(2, "citations_delta", citation={}),
        delta(2, "text_delta", text="."),
        stop(2),
        block(3, "tool_use", id="toolu_1", name="f", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"a"'),
        delta(3, "input_json_delta", partial_json=":1}"),
        stop(3),
        message_delta("tool_use", {"output_tokens": 9}),
        frame("message_stop"),
    )
    assert events == [
        Start(
            id="msg_1",
            model="m",
            created=0,
            usage=Usage(input_uncached=5, cache_read=7, output=1),
        ),
        PartStart(index=0, kind=PartKind.THINKING),
        ThinkingDelta(0, "Hm."),
        SignatureDelta(0, "c2ln"),
        PartStop(0),
        PartStart(index=1, kind=PartKind.THINKING, redacted="b3BhcXVl"),
        PartStop(1),
        PartStart(index=2, kind=PartKind.TEXT),
        TextDelta(2, "Hi"),
        TextDelta(2, "."),
        PartStop(2),
        PartStart(index=3, kind=PartKind.TOOL_CALL, call_id="toolu_1", call_name="f"),
        ArgumentsDelta(3, '{"a"'),
        ArgumentsDelta(3, ":1}"),
        PartStop(3),
        UsageReport(Usage(input_uncached=5, cache_read=7, output=9)),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]


def test_comments_and_unknown_events_are_skipped_trap_93() -> None:
    assert read(
        b": hello\n\n:\n\n",
        start(),
        frame("something_new", index=5),
        b"data: [DONE]\n\n",
        b'data: {"no": "type"}\n\n',
        END,
    ) == [STARTED, ENDED]


def test_event_lines_may_be_missing() -> None:
    stream = start() + block(0, "text") + delta(0, "text_delta", text="Hi") + stop(0) + END
    bare = b"".join(
        line + b"\n" for line in stream.split(b"\n")[:-1] if not line.startswith(b"event:")
    )
    assert read(bare) == read(stream)
    assert TextDelta(0, "Hi") in read(bare)


def test_the_event_line_names_data_without_a_type() -> None:
    stream = b'event: message_delta\ndata: {"delta":{"stop_reason":"end_turn"}}\n\n'
    assert read(start(), stream) == [STARTED, ENDED]


def test_a_second_start_is_no_new_answer_trap_85() -> None:
    assert read(start(), start(), END) == [STARTED, ENDED]


def test_usage_is_cumulative() -> None:
    events = read(
        start({"input_tokens": 5, "output_tokens": 1}),
        message_delta(None, {"output_tokens": 4}),
        message_delta("end_turn", {"output_tokens": 9, "cache_creation_input_tokens": 2}),
        frame("message_stop"),
    )
    assert events[1:] == [
        UsageReport(Usage(input_uncached=5, output=4)),
        UsageReport(Usage(input_uncached=5, cache_write=2, output=9)),
        ENDED,
    ]


@pytest.mark.parametrize("given", [{}, {"input": {}}, {"input": None}])
def test_a_call_without_fragments_has_empty_arguments_trap_82(given: JsonObject) -> None:
    events = read(start(), block(0, "tool_use", id="t", name="f", **given), stop(0), END)
    answer = assemble(events)
    assert answer.parts == (ToolCall(id="t", name="f", arguments="{}"),)
    assert answer.finish is FinishReason.TOOL_CALLS


def test_a_call_that_begins_with_its_whole_input() -> None:
    whole = block(0, "tool_use", id="t", name="f", input={"a": 1})
    assert assemble(read(start(), whole, stop(0), END)).parts == (
        ToolCall(id="t", name="f", arguments='{"a":1}'),
    )
    fragment = delta(0, "input_json_delta", partial_json='{"b":2}')
    assert assemble(read(start(), whole, fragment, stop(0), END)).parts == (
        ToolCall(id="t", name="f", arguments='{"b":2}'),
    )


def test_text_that_begins_with_its_block() -> None:
    events = read(start(), block(0, "text", text="Hi"), stop(0), END)
    assert assemble(events).parts == (Text("Hi"),)


def test_blocks_of_server_tools_arrive_whole() -> None:
    events = read(
        start(),
        block(0, "server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":'),
        delta(0, "input_json_delta", partial_json='"rain"}'),
        stop(0),
        block(1, "web_search_tool_result", tool_use_id="s", content=[]),
        stop(1),
        block(2, "text", text=""),
        delta(2, "text_delta", text="It rains."),
        stop(2),
        END,
    )
    call: JsonObject = {
        "type": "server_tool_use",
        "id": "s",
        "name": "web_search",
        "input": {"query": "rain"},
    }
    found: JsonObject = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    answer = assemble(events)
    assert answer.parts == (Opaque(ANTHROPIC, call), Opaque(ANTHROPIC, found), Text("It rains."))
    assert answer.finish is FinishReason.END


def test_missing_starts_stops_and_indexes_are_borne() -> None:
    bare: list[JsonObject] = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop"},
        {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t"}},
        {
            "type": "content_block_delta",
            "delta": {"type": "input_json_delta", "partial_json": "{}"},
        },
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    ]
    events = read(*(b"data: %b\n\n" % dumps(event) for event in bare))
    assert events[0] == Start(id="", model="", created=0)
    assert assemble(events).parts == (Text("Hi"), ToolCall(id="t", name="", arguments="{}"))
    assert [event for event in events if isinstance(event, PartStop)] == [PartStop(0), PartStop(1)]


def test_a_block_that_begins_again_under_its_index_ends_the_one_before() -> None:
    events = read(
        start(),
        block(0, "text"),
        delta(0, "text_delta", text="Hi"),
        block(0, "text"),
        delta(0, "text_delta", text="there"),
        END,
    )
    assert [event for event in events if isinstance(event, PartStop)] == [PartStop(0), PartStop(1)]
    assert assemble(events).parts == (Text("Hi"), Text("there"))


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("overloaded_error", ErrorKind.UNAVAILABLE, 529),
        ("rate_limit_error", ErrorKind.RATE_LIMITED, 429),
        ("api_error", ErrorKind.UPSTREAM_ERROR, 500),
        ("timeout_error", ErrorKind.UPSTREAM_TIMEOUT, 504),
        ("invalid_request_error", ErrorKind.BAD_REQUEST, 400),
        ("authentication_error", ErrorKind.UNAUTHENTICATED, 401),
        ("unheard_of", ErrorKind.UPSTREAM_ERROR, 500),
    ],
)
def test_errors_inside_the_stream(name: str, kind: ErrorKind, status: int) -> None:
    broken = frame("error", error={"type": name, "message": "busy"})
    for before in (b"", start(), start() + block(0, "text") + delta(0, "text_delta", text="H")):
        last = failure(before, broken, END)
        assert last.error.kind is kind
        assert last.error.message == "busy"
        assert last.error.code == name
        assert last.status == status


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"error":{"message":"busy","code":503}}\n\n',
        b'data: {"error":"busy"}\n\n',
        b"event: error\ndata: busy\n\n",
        b'event: error\ndata: "busy"\n\n',
        b'event: error\ndata: {"message":"busy"}\n\n',
        b'{"error":{"message":"busy"}}\n',
    ],
)
def test_errors_of_other_shapes_inside_the_stream(broken: bytes) -> None:
    assert failure(start(), broken).error.message == "busy"


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
        delta(7, "input_json_delta", partial_json="{"),
        block(0, "text") + delta(0, "input_json_delta", partial_json="{"),
        block(0, "server_tool_use") + delta(0, "input_json_delta", partial_json="{") + stop(0),
        NESTED.replace(b"KIND", b"tool_use"),
        NESTED.replace(b"KIND", b"new_kind") + stop(0),
    ],
)
def test_garbage_is_an_error_of_the_upstream(garbage: bytes) -> None:
    events = read(start(), garbage, END)
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind is ErrorKind.UPSTREAM_ERROR


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (start(),),
        (start(), block(0, "text"), delta(0, "text_delta", text="Hi"), stop(0)),
        (start(), message_delta(None), frame("message_stop")),
        (start(), message_delta("end_turn")[:-20]),
    ],
)
def test_an_end_is_never_made_up_trap_86(pieces: tuple[bytes, ...]) -> None:
    assert failure(*pieces).error.kind is ErrorKind.UPSTREAM_ERROR


def test_the_reason_is_enough_of_an_end() -> None:
    assert read(start(), message_delta()) == [STARTED, ENDED]
    assert read(start(), message_delta(), frame("message_stop")[:-1]) == [STARTED, ENDED]
    assert read(start(), message_delta(), frame("message_stop")[:-9]) == [STARTED, ENDED]


def test_a_stream_that_was_broken_off_says_so() -> None:
    assert "abort" in failure(start(), message_delta("abort"), frame("message_stop")).error.message


def test_nothing_follows_the_end() -> None:
    decoder = CODEC.stream_decoder()
    assert decoder.feed(start() + END + frame("error", error={})) == [STARTED, ENDED]
    assert decoder.feed(start()) == []
    assert decoder.close() == []


@pytest.mark.parametrize("name", STREAMS)
def test_captured_streams_are_read(answer: Callable[[str], tuple[int, bytes]], name: str) -> None:
    _, stream = answer(name)
    response = assemble(read(stream))
    assert response.id.startswith("chatcmpl-")
    assert response.model == "smollm2"
    assert response.usage is not None
    assert response.usage.input_total > 0
    assert response.usage.output > 0


def test_a_captured_call_without_input_at_its_start(
    answer: Callable[[str], tuple[int, bytes]],
) -> None:
    _, stream = answer("llamacpp-tools-template/messages-toolcall-stream")
    assert b'"input"' not in stream
    response = assemble(read(stream))
    assert response.parts == (
        ToolCall(
            id="3W7mlpLP4iOYTYqrA1vq0bs2q0VRoSa0",
            name="get_weather",
            arguments='{"city": "Paris"}',
        ),
    )
    assert response.finish is FinishReason.TOOL_CALLS
    assert response.usage == Usage(input_uncached=1, cache_read=452, output=32)


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_of_a_captured_stream_reads_the_same_trap_78(
    answer: Callable[[str], tuple[int, bytes]], name: str
) -> None:
    _, stream = answer(name)
    whole = read(stream)
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == whole
    step = max(1, len(stream) // 400)
    for at in range(0, len(stream), step):
        assert read(stream[:at], stream[at:]) == whole


@pytest.mark.parametrize(
    ("name", "finish"),
    [
        ("llamacpp-0.7.0-b11669/messages", FinishReason.END),
        ("llamacpp-0.7.0-b11669/messages-tools", FinishReason.LENGTH),
        ("llamacpp-0.7.0-b11669/messages-toolresult", FinishReason.END),
        ("llamacpp-0.7.0-b11669/messages-err", FinishReason.END),
        ("llamacpp-tools-template/messages-toolcall", FinishReason.TOOL_CALLS),
        ("vllm-0.32.0-cpu/messages", FinishReason.END),
        ("vllm-0.32.0-cpu/messages-tools", FinishReason.TOOL_CALLS),
        ("vllm-0.32.0-cpu/messages-toolresult", FinishReason.END),
    ],
)
def test_captured_whole_answers_are_read(
    answer: Callable[[str], tuple[int, bytes]], name: str, finish: FinishReason
) -> None:
    _, body = answer(name)
    response = CODEC.decode_response(loads_object(body))
    assert response.finish is finish
    assert response.parts
    assert response.usage is not None
    assert response.usage.output > 0


def is_terminal(event: StreamEvent) -> bool:
    return isinstance(event, Finish | StreamError)


indexes = st.sampled_from([0, 1, 2, -1, None, "x", True])
short = st.sampled_from(["", "a", "é\u2028", '{"a":', "1}", "{}"])
anything: st.SearchStrategy[JsonValue] = st.sampled_from([None, 1, "x", [], {}, {"a": None}])
kinds = st.sampled_from(
    ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "new", 5]
)
deltas = st.sampled_from(
    ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "new", None]
)


def event_frames(event: JsonValue) -> bytes:
    return b"data: %b\n\n" % dumps(event)


frames = st.one_of(
    st.builds(
        lambda index, kind, text, given: event_frames(
            {
                "type": "content_block_start",
                "index": index,
                "content_block": {
                    "type": kind,
                    "text": text,
                    "thinking": text,
                    "data": text,
                    "signature": text,
                    "input": given,
                },
            }
        ),
        indexes,
        kinds,
        short,
        anything,
    ),
    st.builds(
        lambda index, kind, text: event_frames(
            {
                "type": "content_block_delta",
                "index": index,
                "delta": {
                    "type": kind,
                    "text": text,
                    "thinking": text,
                    "signature": text,
                    "partial_json": text,
                },
            }
        ),
        indexes,
        deltas,
        short,
    ),
    st.builds(lambda index: event_frames({"type": "content_block_stop", "index": index}), indexes),
    st.builds(
        lambda reason, usage: event_frames(
            {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}
        ),
        st.sampled_from(["end_turn", "tool_use", "new", "error", None, 5]),
        anything | st.just({"output_tokens": 3}),
    ),
    st.builds(
        lambda name, field, value: event_frames({"type": name, field: value}),
        st.sampled_from(["message_start", "message_stop", "ping", "error", "new", None]),
        st.sampled_from(["message", "delta", "error", "x"]),
        anything,
    ),
    st.binary(max_size=12),
    st.sampled_from([b"\n", b"\r\n\r\n", b"event: error\n", b": x\n\n", start(), END]),
)


def check_order(events: Iterable[StreamEvent]) -> None:
    started = False
    open_parts: set[int] = set()
    parts = 0
    for event in events:
        match event:
            case Start():
                assert not started
                started = True
            case PartStart():
                assert started
                assert event.index == parts
                parts += 1
                open_parts.add(event.index)
            case PartStop():
                open_parts.remove(event.index)
            case TextDelta() | ThinkingDelta() | SignatureDelta() | ArgumentsDelta():
                assert event.index in open_parts
            case UsageReport():
                assert started
            case Finish():
                assert started
                assert not open_parts
            case StreamError():
                assert event.error.message


@given(st.lists(frames, max_size=10), st.data())
def test_any_bytes_in_any_split_give_the_same_well_formed_events(
    pieces: list[bytes], data: st.DataObject
) -> None:
    """Also trap 78: no split changes what is read."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    bounds = [0, *cuts, len(stream)]
    split = [stream[one:other] for one, other in pairwise(bounds)]
    events = read(*split)
    assert events == read(stream)
    assert events == read(*(stream[at : at + 1] for at in range(len(stream))))
    assert is_terminal(events[-1])
    assert not any(is_terminal(event) for event in events[:-1])
    check_order(events)
