"""Streams of upstreams of the Responses API, well-formed and otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import (
    ChatResponse,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    Start,
    StreamError,
    StreamEvent,
    Usage,
    UsageReport,
    is_content,
)
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


def _sse(*events: JsonObject, named: bool = False) -> bytes:
    return b"".join(
        (f"event: {event['type']}\n".encode() if named else b"")
        + b"data: "
        + dumps(event)
        + b"\n\n"
        for event in events
    )


def _event(name: str, **fields: JsonValue) -> JsonObject:
    return {"type": f"response.{name}", **fields}


_CREATED = _event(
    "created", response={"id": "resp_1", "model": "m", "created_at": 7, "status": "in_progress"}
)


def _completed(*output: JsonValue, **fields: JsonValue) -> JsonObject:
    return _event("completed", response={"status": "completed", "output": list(output), **fields})


def _added(at: int, **item: JsonValue) -> JsonObject:
    return _event("output_item.added", output_index=at, item=item)


def _done(at: int, **item: JsonValue) -> JsonObject:
    return _event("output_item.done", output_index=at, item=item)


def _answer(events: list[StreamEvent]) -> ChatResponse:
    return assemble(events)


def _texts(answer: ChatResponse) -> list[object]:
    """Kinds and texts of the parts."""
    said: list[object] = []
    for part in answer.parts:
        match part:
            case Text(text=text) | Refusal(text=text) | Thinking(text=text):
                said.append((type(part).__name__, text))
            case ToolCall():
                said.append((part.id, part.name, part.arguments))
            case Opaque():
                said.append(part.raw)
    return said


def test_a_whole_answer(decoded: DecodesStream) -> None:
    usage: JsonObject = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    stream = _sse(
        _CREATED,
        _event("in_progress", response={"id": "resp_1"}),
        _added(0, type="reasoning", id="rs_1", summary=[]),
        _event("reasoning_summary_part.added", item_id="rs_1", output_index=0, summary_index=0),
        _event(
            "reasoning_summary_text.delta",
            item_id="rs_1",
            output_index=0,
            summary_index=0,
            delta="h",
        ),
        _event(
            "reasoning_summary_text.delta",
            item_id="rs_1",
            output_index=0,
            summary_index=0,
            delta="m",
        ),
        _event(
            "reasoning_summary_text.delta",
            item_id="rs_1",
            output_index=0,
            summary_index=1,
            delta="so",
        ),
        _done(0, type="reasoning", id="rs_1", summary=[], encrypted_content="gAAA"),
        _added(1, type="message", id="msg_1", role="assistant", content=[]),
        _event("output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta="a"),
        _event("output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta="b"),
        _event("output_text.done", item_id="msg_1", output_index=1, content_index=0, text="ab"),
        _event("refusal.delta", item_id="msg_1", output_index=1, content_index=1, delta="no"),
        _done(1, type="message", id="msg_1", role="assistant", content=[]),
        _added(2, type="function_call", id="fc_1", call_id="a", name="f", arguments=""),
        _event("function_call_arguments.delta", item_id="fc_1", output_index=2, delta='{"x"'),
        _event("function_call_arguments.delta", item_id="fc_1", output_index=2, delta=":1}"),
        _event("function_call_arguments.done", item_id="fc_1", output_index=2, arguments='{"x":1}'),
        _done(2, type="function_call", id="fc_1", call_id="a", name="f", arguments='{"x":1}'),
        _completed(usage=usage),
        named=True,
    )
    events = decoded(stream)
    assert events[0] == Start(id="resp_1", model="m", created=7)
    assert events[-2:] == [
        UsageReport(Usage(input_uncached=5, output=3)),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]
    assert _texts(_answer(events)) == [
        ("Thinking", "hm\n\nso"),
        ("Text", "ab"),
        ("Refusal", "no"),
        ("a", "f", '{"x":1}'),
    ]


_TEXT: JsonObject = {"type": "output_text", "text": "ab", "annotations": []}


@pytest.mark.parametrize(
    "events",
    [
        [_event("output_text.delta", delta="ab")],
        [_event("output_text.delta", delta="a"), _event("output_text.delta", delta="b")],
        [
            _event("output_item.added", item={"type": "message", "id": "x"}),
            _event("output_text.delta", item_id="x", delta="ab"),
            _event("output_text.done", item_id="x", text="ab"),
        ],
        [_added(0, type="message"), _event("output_text.done", output_index=0, text="ab")],
        [_done(0, type="message", id="x", content=[_TEXT])],
        [_added(0, type="message", id="x"), _done(0, type="message", id="x", content=[_TEXT])],
        [
            _added(0, type="message", id="x"),
            _event("output_text.delta", item_id="x", delta="ab"),
            _done(0, type="message", id="x", content=[_TEXT]),
            _event("output_text.done", item_id="x", text="ab"),
        ],
        [_added(0, type="message", id="x"), _event("output_text.delta", item_id="y", delta="ab")],
        [
            _done(0, type="message", id="x", content=[]),
            _event("output_text.delta", item_id="x", delta="ab"),
        ],
        [
            _added(0, type="reasoning", id="x"),
            _event("output_text.delta", item_id="x", delta="ab"),
        ],
        [
            _event("response.unknown"),
            {"type": "keepalive", "sequence_number": 3},
            {"nothing": True},
            _event("output_text.delta", delta="ab"),
        ],
    ],
)
def test_what_servers_leave_out_is_borne(decoded: DecodesStream, events: list[JsonObject]) -> None:
    answer = _answer(decoded(_sse(*events, _completed())))
    assert [said for said in _texts(answer) if said != ("Thinking", "")] == [("Text", "ab")]
    assert answer.finish is FinishReason.END


def test_a_server_that_says_everything_at_its_end(decoded: DecodesStream) -> None:
    message: JsonObject = {"type": "message", "content": [_TEXT]}
    call: JsonObject = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    answer = _answer(decoded(_sse(_CREATED, _completed(message, call))))
    assert _texts(answer) == [("Text", "ab"), ("a", "f", "{}")]


_CALL: dict[str, JsonValue] = {"type": "function_call", "id": "x", "call_id": "a", "name": "f"}


@pytest.mark.parametrize(
    "events",
    [
        [_added(0, **_CALL), _event("function_call_arguments.delta", item_id="x", delta="{}")],
        [_added(0, **_CALL, arguments="{}")],
        [_added(0, **_CALL), _event("function_call_arguments.done", item_id="x", arguments="{}")],
        [_added(0, **_CALL), _done(0, **_CALL, arguments="{}")],
        [_done(0, **_CALL, arguments="{}")],
        [_done(0, **_CALL, arguments={})],
        [
            _added(0, type="function_call", id="x"),
            _done(0, **_CALL, arguments="{}"),
        ],
    ],
)
def test_calls_are_read_however_they_come(decoded: DecodesStream, events: list[JsonObject]) -> None:
    answer = _answer(decoded(_sse(_CREATED, *events, _completed())))
    assert _texts(answer) == [("a", "f", "{}")]
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "events",
    [
        [
            _event("custom_tool_call_input.delta", item_id="x", delta='"a'),
            _event("custom_tool_call_input.delta", item_id="x", delta="\n"),
            _event("custom_tool_call_input.done", item_id="x", input='"a\n'),
        ],
        [_event("custom_tool_call_input.done", item_id="x", input='"a\n')],
        [],
    ],
)
def test_custom_calls_are_calls_of_a_function_with_one_string(
    decoded: DecodesStream, events: list[JsonObject]
) -> None:
    item: dict[str, JsonValue] = {
        "type": "custom_tool_call",
        "id": "x",
        "call_id": "a",
        "name": "patch",
    }
    stream = _sse(_added(0, **item, input=""), *events, _done(0, **item, input='"a\n'))
    answer = _answer(decoded(stream + _sse(_completed())))
    assert _texts(answer) == [("a", "patch", '{"input":"\\"a\\n"}')]


def test_interleaved_calls_stay_apart(decoded: DecodesStream) -> None:
    other: dict[str, JsonValue] = {**_CALL, "id": "y", "call_id": "b", "name": "g"}
    stream = _sse(
        _added(0, **_CALL),
        _added(1, **other),
        _event("function_call_arguments.delta", item_id="x", delta='{"x":'),
        _event("function_call_arguments.delta", item_id="y", delta="{}"),
        _event("function_call_arguments.delta", item_id="x", delta="1}"),
        _completed(),
    )
    assert _texts(_answer(decoded(stream))) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_summary_and_thoughts_are_not_both_read(decoded: DecodesStream) -> None:
    stream = _sse(
        _added(0, type="reasoning", id="x"),
        _event("reasoning_text.delta", item_id="x", content_index=0, delta="hm"),
        _event("reasoning_summary_text.delta", item_id="x", summary_index=0, delta="sum"),
        _event("reasoning_text.done", item_id="x", content_index=0, text="hm"),
        _completed(),
    )
    assert _texts(_answer(decoded(stream))) == [("Thinking", "hm")]


def test_items_of_other_kinds_are_handed_on_whole(decoded: DecodesStream) -> None:
    item: dict[str, JsonValue] = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    events = decoded(
        _sse(
            _added(0, type="web_search_call", id="ws_1", status="in_progress"),
            _event("web_search_call.searching", item_id="ws_1", output_index=0),
            _done(0, **item),
            _completed(),
        )
    )
    assert _texts(_answer(events)) == [item]


def test_annotations_come_with_the_text(decoded: DecodesStream) -> None:
    annotation: JsonObject = {"type": "file_path", "file_id": "f", "index": 0}
    part: JsonObject = {"type": "output_text", "text": "a", "annotations": [annotation]}
    answer = _answer(
        decoded(
            _sse(
                _added(0, type="message", id="msg_1"),
                _event("output_text.delta", item_id="msg_1", delta="a"),
                _done(0, type="message", id="msg_1", content=[part]),
                _completed(),
            )
        )
    )
    [text] = answer.parts
    assert isinstance(text, Text)
    [raw] = text.extras.values()
    assert raw["annotations"] == [annotation]
    assert raw["item"] == {"id": "msg_1"}


@pytest.mark.parametrize(
    ("name", "reason", "finish"),
    [
        ("completed", None, FinishReason.END),
        ("incomplete", "max_output_tokens", FinishReason.LENGTH),
        ("incomplete", "content_filter", FinishReason.REFUSAL),
    ],
)
def test_how_it_ends(
    decoded: DecodesStream, name: str, reason: JsonValue, finish: FinishReason
) -> None:
    response: JsonObject = {"incomplete_details": {"reason": reason}, "output": []}
    stream = _sse(_CREATED, _event(name, response=response))
    assert decoded(stream)[-1] == Finish(reason=finish)


@pytest.mark.parametrize(
    ("stream", "kind", "message"),
    [
        (
            _sse(
                _event(
                    "failed",
                    response={
                        "status": "failed",
                        "error": {"code": "rate_limit_exceeded", "message": "slow"},
                    },
                )
            ),
            ErrorKind.RATE_LIMITED,
            "slow",
        ),
        (
            _sse(
                _event(
                    "failed",
                    response={"error": {"code": "context_length_exceeded", "message": "long"}},
                )
            ),
            ErrorKind.CONTEXT_OVERFLOW,
            "long",
        ),
        (_sse(_event("failed", response={})), ErrorKind.UPSTREAM_ERROR, "failed"),
        (
            _sse({"type": "error", "code": "server_error", "message": "m", "param": None}),
            ErrorKind.UPSTREAM_ERROR,
            "m",
        ),
        (
            _sse({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "m"}}),
            ErrorKind.RATE_LIMITED,
            "m",
        ),
        (b'event: error\ndata: {"message":"m"}\n\n', ErrorKind.UPSTREAM_ERROR, "m"),
        (b"event: error\ndata: m\n\n", ErrorKind.UPSTREAM_ERROR, "m"),
        (b'{"error":"bare"}\n', ErrorKind.UPSTREAM_ERROR, "bare"),
        (b"data: {\n\n", ErrorKind.UPSTREAM_ERROR, "not JSON"),
        (b"data: 5\n\n", ErrorKind.UPSTREAM_ERROR, "no JSON object"),
        (b"", ErrorKind.UPSTREAM_ERROR, "before it was complete"),
        (b"data: [DONE]\n\n", ErrorKind.UPSTREAM_ERROR, "before it was complete"),
        (_sse(_CREATED), ErrorKind.UPSTREAM_ERROR, "before it was complete"),
    ],
)
def test_failures_trap_86(
    decoded: DecodesStream, stream: bytes, kind: ErrorKind, message: str
) -> None:
    last = decoded(stream)[-1]
    assert isinstance(last, StreamError)
    assert last.error.kind is kind
    assert message in last.error.message


def test_a_done_marker_after_the_end_is_borne(decoded: DecodesStream) -> None:
    stream = _sse(_CREATED, _completed()) + b"data: [DONE]\n\n"
    assert isinstance(decoded(stream)[-1], Finish)


def test_a_call_that_begins_is_content_and_lifecycle_is_not(decoded: DecodesStream) -> None:
    events = decoded(_sse(_CREATED, _added(0, **_CALL), _completed()))
    assert [is_content(event) for event in events[:2]] == [False, True]
    assert isinstance(events[1], PartStart)
    assert events[1].kind is PartKind.TOOL_CALL
