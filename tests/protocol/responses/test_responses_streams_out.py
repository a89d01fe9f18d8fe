"""Streams to clients of the Responses API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    ChatResponse,
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
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import ResponsesStreamEncoder
from forebay.protocol.jsontext import JsonObject, JsonValue


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


Shown = Callable[[bytes], list[JsonObject]]
_START = Start(id="", model="up", created=7)
_END = Finish(reason=FinishReason.END)


def _said(context: ReplyContext, *events: StreamEvent) -> bytes:
    encoder = OpenAIResponsesCodec().stream_encoder(context)
    return b"".join(map(encoder.encode, events))


def _names(events: Iterable[JsonObject]) -> list[str]:
    return [str(event["type"]).removeprefix("response.") for event in events]


def _items(event: JsonObject) -> list[JsonObject]:
    response = event["response"]
    assert isinstance(response, dict)
    output = response["output"]
    assert isinstance(output, list)
    return [item for item in output if isinstance(item, dict)]


def _field(event: JsonObject, *path: str) -> JsonValue:
    value: JsonValue = event
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def test_the_events_of_a_text(reply_to: MakesContext, shown: Shown) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.TEXT),
            TextDelta(0, "a"),
            TextDelta(0, ""),
            TextDelta(0, "b"),
            PartStop(0),
            _END,
        )
    )
    assert _names(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert _field(events[0], "response", "created_at") == 7
    assert [event["delta"] for event in events[4:6]] == ["a", "b"]
    assert events[6]["text"] == "ab"
    assert events[8]["item"] == _items(events[9])[0]
    assert {event["item_id"] for event in events[3:8]} == {"msg_fb0123abcd_0"}


def test_the_events_of_a_call(reply_to: MakesContext, shown: Shown) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
            ArgumentsDelta(0, '{"x"'),
            ArgumentsDelta(0, ":1}"),
            PartStop(0),
            Finish(reason=FinishReason.TOOL_CALLS),
        )
    )
    assert _names(events)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert _field(events[2], "item", "arguments") == ""
    assert events[5]["arguments"] == '{"x":1}'
    assert _items(events[7]) == [events[6]["item"]]


def test_a_call_without_arguments_has_an_empty_object_trap_82(
    reply_to: MakesContext, shown: Shown
) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
            PartStop(0),
            _END,
        )
    )
    assert events[3]["delta"] == events[4]["arguments"] == "{}"


def test_the_events_of_reasoning(reply_to: MakesContext, shown: Shown) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.THINKING),
            ThinkingDelta(0, "h"),
            ThinkingDelta(0, "m"),
            PartStop(0),
            PartStart(index=1, kind=PartKind.TEXT),
            TextDelta(1, "a"),
            PartStop(1),
            _END,
        )
    )
    assert _names(events)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert events[6]["text"] == "hm"
    assert _field(events[8], "item", "summary") == [{"type": "summary_text", "text": "hm"}]
    assert [item["type"] for item in _items(events[-1])] == ["reasoning", "message"]


def test_the_events_of_a_refusal(reply_to: MakesContext, shown: Shown) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.REFUSAL),
            TextDelta(0, "no"),
            PartStop(0),
            Finish(reason=FinishReason.REFUSAL),
        )
    )
    assert _names(events)[4:6] == ["refusal.delta", "refusal.done"]
    assert _names(events)[-1] == "completed"


def test_custom_calls_are_shown_as_such(reply_to: MakesContext, shown: Shown) -> None:
    asked: JsonObject = {"tools": [{"type": "custom", "name": "patch"}]}
    events = shown(
        _said(
            reply_to(asked=asked),
            _START,
            PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="a", call_name="patch"),
            ArgumentsDelta(0, '{"inp'),
            ArgumentsDelta(0, 'ut":"*** \\u00e9"}'),
            PartStop(0),
            Finish(reason=FinishReason.TOOL_CALLS),
        )
    )
    assert _names(events)[2:6] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert events[3]["delta"] == events[4]["input"] == "*** é"
    assert _field(events[5], "item", "type") == "custom_tool_call"


def test_items_of_this_api_are_shown_and_parts_of_others_are_not(
    reply_to: MakesContext, shown: Shown
) -> None:
    search: JsonObject = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    own = OpenAIResponsesCodec().decode_response({"output": [search]}).parts[0]
    assert isinstance(own, Opaque)
    foreign = Opaque(ANTHROPIC, {"type": "server_tool_use"})
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.OPAQUE, opaque=foreign),
            PartStop(0),
            PartStart(index=1, kind=PartKind.OPAQUE, opaque=own),
            PartStop(1),
            _END,
        )
    )
    assert _names(events)[2:4] == ["output_item.added", "output_item.done"]
    assert _items(events[-1]) == [search]


def test_interleaved_parts_keep_their_items_apart_trap_80(
    reply_to: MakesContext, shown: Shown
) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.TEXT),
            TextDelta(0, "a"),
            PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
            PartStart(index=2, kind=PartKind.TOOL_CALL, call_id="b", call_name="g"),
            ArgumentsDelta(2, "{"),
            ArgumentsDelta(1, '{"x":'),
            TextDelta(0, "b"),
            ArgumentsDelta(2, "}"),
            PartStop(2),
            ArgumentsDelta(1, "1}"),
            PartStop(0),
            PartStart(index=3, kind=PartKind.TEXT),
            PartStop(1),
            TextDelta(3, "c"),
            PartStop(3),
            Finish(reason=FinishReason.TOOL_CALLS),
        )
    )
    message, first, second, last = _items(events[-1])
    assert (first["arguments"], second["arguments"]) == ('{"x":1}', "{}")
    contents = [message["content"], last["content"]]
    texts = [
        part["text"]
        for content in contents
        if isinstance(content, list)
        for part in content
        if isinstance(part, dict)
    ]
    assert texts == ["ab", "c"]
    _check_deltas(events)


def _check_deltas(events: list[JsonObject]) -> None:
    """What was said in pieces is what the last event says (trap 83)."""
    said: dict[tuple[JsonValue, JsonValue], str] = {}
    done: set[JsonValue] = set()
    for event in events:
        name = str(event["type"])
        if name.endswith(".delta"):
            assert event["output_index"] not in done
            where = (event["output_index"], event.get("content_index"))
            said[where] = said.get(where, "") + str(event["delta"])
        elif name == "response.output_item.done":
            done.add(event["output_index"])
    final = _items(events[-1])
    assert done == set(range(len(final)))
    whole: dict[tuple[JsonValue, JsonValue], str] = {}
    for at, item in enumerate(final):
        match item:
            case {"type": "message", "content": list(parts)}:
                for index, part in enumerate(parts):
                    assert isinstance(part, dict)
                    whole[at, index] = str(part.get("text", part.get("refusal")))
            case {"arguments": str(text)} | {"input": str(text)}:
                whole[at, None] = text
            case {"type": "reasoning", "summary": [{"text": str(text)}]}:
                whole[at, None] = text
            case _:
                pass
    assert said == {where: text for where, text in whole.items() if text}


def test_several_texts_are_one_message_of_several_parts(
    reply_to: MakesContext, shown: Shown
) -> None:
    answer = ChatResponse(
        id="",
        model="up",
        created=0,
        parts=(Text("a"), Text("b"), Refusal("c")),
        finish=FinishReason.END,
    )
    events = shown(_said(reply_to(asked={}), *events_of(answer)))
    [message] = _items(events[-1])
    content = message["content"]
    assert isinstance(content, list)
    assert len(content) == 3
    _check_deltas(events)


@pytest.mark.parametrize(
    ("finish", "last", "reason"),
    [
        (FinishReason.LENGTH, "incomplete", "max_output_tokens"),
        (FinishReason.CONTEXT_FULL, "incomplete", "max_output_tokens"),
        (FinishReason.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_a_cut_answer_says_so_and_which_item_was_cut(
    reply_to: MakesContext, shown: Shown, finish: FinishReason, last: str, reason: str
) -> None:
    events = shown(
        _said(
            reply_to(asked={}),
            _START,
            PartStart(index=0, kind=PartKind.TEXT),
            TextDelta(0, "a"),
            PartStop(0),
            PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
            ArgumentsDelta(1, '{"x'),
            PartStop(1),
            Finish(reason=finish),
        )
    )
    assert events[-1]["type"] == f"response.{last}"
    assert _field(events[-1], "response", "status") == last
    assert _field(events[-1], "response", "incomplete_details") == {"reason": reason}
    message, call = _items(events[-1])
    assert (message["status"], call["status"]) == ("completed", "incomplete")


def test_usage_is_in_the_last_event_and_never_missing_trap_63(
    reply_to: MakesContext, shown: Shown
) -> None:
    said: list[StreamEvent] = [
        _START,
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "abcdefgh"),
        PartStop(0),
    ]
    context = reply_to(asked={}, estimate=9)
    estimated = shown(_said(context, *said, _END))
    assert _field(estimated[-1], "response", "usage", "total_tokens") == 11
    report = UsageReport(Usage(input_uncached=3, output=4))
    counted = shown(_said(context, *said, report, _END))
    assert _field(counted[-1], "response", "usage", "total_tokens") == 7


# Keeping alive


def test_a_waiting_client_hears_created_once_then_in_progress_trap_97(
    reply_to: MakesContext, shown: Shown
) -> None:
    asked: JsonObject = {
        "instructions": "long" * 99,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
    }
    encoder = OpenAIResponsesCodec().stream_encoder(reply_to(asked=asked))
    frames = [encoder.keepalive() for _ in range(3)]
    events = shown(b"".join(frames))
    assert _names(events) == ["created", "in_progress", "in_progress"]
    assert [_field(event, "response", "status") for event in events] == [
        "queued",
        "in_progress",
        "in_progress",
    ]
    assert b"longlong" in frames[0]
    assert b"longlong" not in frames[1]


def test_an_answer_after_keepalives_goes_on_under_their_id_traps_83_84(
    reply_to: MakesContext, shown: Shown
) -> None:
    encoder = OpenAIResponsesCodec().stream_encoder(reply_to(asked={}))
    pieces = [encoder.keepalive()]
    for event in (
        Start(id="resp_upstream", model="up", created=7),
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "a"),
        PartStop(0),
        _END,
    ):
        pieces += [encoder.encode(event), encoder.keepalive()]
    assert pieces[-1] == b""
    events = shown(b"".join(pieces))
    assert _names(events).count("created") == 1
    assert _field(events[-1], "response", "id") == "resp_0123abcd"
    assert _field(events[-1], "response", "created_at") == 1_795_000_000


def test_without_keepalives_the_upstreams_id_is_kept(reply_to: MakesContext, shown: Shown) -> None:
    events = shown(_said(reply_to(asked={}), Start(id="resp_9", model="m", created=7), _END))
    assert _field(events[-1], "response", "id") == "resp_9"


# Failing


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.CONTEXT_OVERFLOW, "context_length_exceeded"),
        (ErrorKind.PAYMENT_REQUIRED, "insufficient_quota"),
        (ErrorKind.BAD_REQUEST, "invalid_prompt"),
        (ErrorKind.UPSTREAM_ERROR, "server_error"),
        (ErrorKind.UNAVAILABLE, "server_error"),
    ],
)
def test_a_stream_fails_with_response_failed_trap_89(
    reply_to: MakesContext, shown: Shown, kind: ErrorKind, code: str
) -> None:
    encoder = OpenAIResponsesCodec().stream_encoder(reply_to(asked={}))
    stream = encoder.keepalive()
    stream += encoder.encode(_START)
    stream += encoder.encode(PartStart(index=0, kind=PartKind.TEXT))
    stream += encoder.encode(TextDelta(0, "a"))
    stream += encoder.encode(StreamError(ApiError(kind=kind, message="no")))
    assert encoder.encode(_END) == encoder.keepalive() == b""
    events = shown(stream)
    assert _names(events)[-1] == "failed"
    assert _field(events[-1], "response", "status") == "failed"
    assert _field(events[-1], "response", "error") == {"code": code, "message": "no"}


def test_a_failure_before_anything_else_comes_after_created(
    reply_to: MakesContext, shown: Shown
) -> None:
    error = ApiError(kind=ErrorKind.RATE_LIMITED, message="too late.", retry_after=1.5)
    events = shown(_said(reply_to(asked={}), StreamError(error)))
    assert _names(events) == ["created", "in_progress", "failed"]
    said = _field(events[-1], "response", "error", "message")
    assert said == "too late. Please try again in 1.5s."


# For whoever keeps answers


def test_the_encoder_knows_all_that_the_next_turn_needs(reply_to: MakesContext) -> None:
    encoder = OpenAIResponsesCodec().stream_encoder(reply_to(asked={}))
    assert isinstance(encoder, ResponsesStreamEncoder)
    native = {ANTHROPIC: JsonObject()}
    for event in (
        _START,
        PartStart(index=0, kind=PartKind.THINKING, extras=native),
        SignatureDelta(0, "sig"),
        PartStop(0),
        PartStart(index=1, kind=PartKind.THINKING, extras=native),
        ThinkingDelta(1, "hm"),
        SignatureDelta(1, "sig2"),
        PartStop(1),
        PartStart(index=2, kind=PartKind.TEXT),
        TextDelta(2, "a"),
        PartStop(2),
        Finish(reason=FinishReason.END),
    ):
        encoder.encode(event)
    assert encoder.response_id == "resp_0123abcd"
    kept = encoder.kept_output
    assert [item["type"] for item in kept] == ["reasoning", "reasoning", "message"]
    assert all(item["encrypted_content"] for item in kept[:2])


@pytest.mark.parametrize("asks", [True, False])
def test_a_stream_shows_what_the_whole_answer_shows(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown: Shown, asks: bool
) -> None:
    include: list[JsonValue] = ["reasoning.encrypted_content"] if asks else []
    context = reply_to(asked={"include": include})
    answer = ChatResponse(
        id="",
        model="up",
        created=0,
        parts=(
            Thinking(text="hm", signature="sig", extras={ANTHROPIC: {}}),
            Text("a"),
            ToolCall(id="a", name="f", arguments=""),
        ),
        finish=FinishReason.TOOL_CALLS,
        usage=Usage(input_uncached=1, output=2),
    )
    events = shown(_said(context, *events_of(answer)))
    assert events[-1]["response"] == codec.encode_response(answer, context)
