"""Answers of Ollama servers, read: whole, in streams, and in whatever state they come."""

from __future__ import annotations

import json
import time

import pytest

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import (
    ChatResponse,
    Finish,
    FinishReason,
    PartStart,
    Start,
    StreamError,
    StreamEvent,
    Usage,
)
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.ollama import (
    OLLAMA,
    OllamaChatCodec,
    OllamaCodec,
    OllamaGenerateCodec,
)
from forebay.protocol.jsontext import JsonObject, JsonValue

CHAT = OllamaChatCodec()
GENERATE = OllamaGenerateCodec()
AT = "2026-11-22T10:30:00.123456789Z"
LAST: JsonObject = {
    "model": "m",
    "created_at": AT,
    "message": {"role": "assistant", "content": ""},
    "done_reason": "stop",
    "done": True,
    "total_duration": 9,
    "prompt_eval_count": 26,
    "eval_count": 298,
}


def saying(**message: JsonValue) -> JsonObject:
    return {
        "model": "m",
        "created_at": AT,
        "message": {"role": "assistant", "content": "", **message},
        "done": False,
    }


def calling(name: str, arguments: JsonValue, **said: JsonValue) -> JsonObject:
    return {**said, "function": {"name": name, "arguments": arguments}}


def stream_of(*lines: JsonObject) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def events_in(data: bytes, codec: OllamaCodec = CHAT) -> list[StreamEvent]:
    decoder = codec.stream_decoder()
    return decoder.feed(data) + decoder.close()


def answer_in(*lines: JsonObject) -> ChatResponse:
    return assemble(events_in(stream_of(*lines)))


def failure_in(data: bytes, codec: OllamaCodec = CHAT) -> StreamError:
    last = events_in(data, codec)[-1]
    assert isinstance(last, StreamError)
    return last


def test_a_stream_is_thinking_text_and_counters() -> None:
    response = answer_in(
        saying(thinking="h"),
        saying(thinking="m"),
        saying(content="Hel"),
        saying(content="lo"),
        LAST,
    )
    assert response == ChatResponse(
        id="",
        model="m",
        created=1_795_343_400,
        parts=(Thinking(text="hm"), Text("Hello")),
        finish=FinishReason.END,
        usage=Usage(input_uncached=26, output=298),
        extras={OLLAMA: {"total_duration": 9}},
    )


def test_a_completion_stream_reads_response() -> None:
    data = stream_of(
        {"model": "m", "response": "", "thinking": "hm", "done": False},
        {"model": "m", "response": "Hello", "done": False},
        {"model": "m", "response": "", "done": True, "done_reason": "stop", "context": [1]},
    )
    assert assemble(events_in(data, GENERATE)).parts == (Thinking(text="hm"), Text("Hello"))


def test_trap_66_a_stop_after_calls_means_the_calls() -> None:
    response = answer_in(
        saying(content="wait"),
        saying(tool_calls=[calling("f", {"x": 1}, id="a")]),
        saying(tool_calls=[calling("g", {}, id="b"), calling("h", None, id="c")]),
        LAST,
    )
    assert response.finish is FinishReason.TOOL_CALLS
    assert response.parts == (
        Text("wait"),
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments="{}"),
        ToolCall(id="c", name="h", arguments="{}"),
    )


def test_calls_in_the_last_line_and_text_after_calls_are_parts_of_their_own() -> None:
    last: JsonObject = {**LAST, "message": {"tool_calls": [calling("g", {}, id="b")]}}
    response = answer_in(
        saying(content="a", tool_calls=[calling("f", {}, id="a")]), saying(content="b"), last
    )
    assert [type(part).__name__ for part in response.parts] == [
        "Text",
        "ToolCall",
        "Text",
        "ToolCall",
    ]


def test_a_cut_answer_with_calls_was_cut() -> None:
    last: JsonObject = {**LAST, "done_reason": "length"}
    response = answer_in(saying(tool_calls=[calling("f", {}, id="a")]), last)
    assert response.finish is FinishReason.LENGTH


def test_calls_without_ids_get_ids_that_differ_from_turn_to_turn() -> None:
    def ids(at: str) -> list[str]:
        line = {**saying(tool_calls=[calling("f", {}), calling("f", {})]), "created_at": at}
        events = events_in(stream_of(line, LAST))
        return [
            event.call_id for event in events if isinstance(event, PartStart) and event.call_name
        ]

    first, second = ids(AT), ids("2026-11-22T10:31:00.5Z")
    assert len({*first, *second}) == 4
    assert ids(AT) == first
    assert all(call_id.startswith("call_") for call_id in first)


def test_an_id_given_twice_is_used_once() -> None:
    line = saying(tool_calls=[calling("f", {}, id="call_0"), calling("g", {}, id="call_0")])
    first, second = answer_in(line, LAST).parts
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id == "call_0" != second.id


@pytest.mark.parametrize(
    ("arguments", "text"), [('{"x": 1}', '{"x": 1}'), ("", "{}"), ([1], "[1]")]
)
def test_arguments_of_servers_that_imitate_ollama_are_taken(
    arguments: JsonValue, text: str
) -> None:
    (call,) = answer_in(saying(tool_calls=[calling("f", arguments, id="a")]), LAST).parts
    assert call == ToolCall(id="a", name="f", arguments=text)


@pytest.mark.parametrize(
    ("counters", "usage"),
    [
        ({"eval_count": 5}, Usage(output=5)),
        ({"prompt_eval_count": 5}, Usage(input_uncached=5)),
        ({}, Usage(counted=False)),
        ({"eval_count": "many", "prompt_eval_count": -3}, Usage()),
    ],
)
def test_trap_64_a_counter_that_is_missing_is_zero(counters: JsonObject, usage: Usage) -> None:
    response = answer_in({"model": "m", "done": True, **counters})
    assert response.usage == usage
    assert response.usage is not None
    assert (response.usage.input_total, response.usage.output) == (
        usage.input_total,
        usage.output,
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ({}, FinishReason.END),
        ({"done_reason": ""}, FinishReason.END),
        ({"done_reason": None}, FinishReason.END),
        ({"done_reason": "stop"}, FinishReason.END),
        ({"done_reason": "load"}, FinishReason.END),
        ({"done_reason": "eos"}, FinishReason.END),
        ({"done_reason": ["odd"]}, FinishReason.END),
        ({"done_reason": "length"}, FinishReason.LENGTH),
        ({"done_reason": "sensitive"}, FinishReason.REFUSAL),
    ],
)
def test_reasons_to_be_done(reason: JsonObject, finish: FinishReason) -> None:
    assert answer_in({"model": "m", "done": True, **reason}).finish is finish


def test_a_reason_that_means_failure_is_one() -> None:
    error = failure_in(stream_of({**LAST, "done_reason": "error"})).error
    assert error.kind is ErrorKind.UPSTREAM_ERROR
    assert "'error'" in error.message


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("the model crashed", ErrorKind.UPSTREAM_ERROR),
        ({"message": "the model crashed"}, ErrorKind.UPSTREAM_ERROR),
        ("server busy, please try again", ErrorKind.UNAVAILABLE),
        ("input exceeds the context length", ErrorKind.CONTEXT_OVERFLOW),
    ],
)
def test_an_error_line_ends_the_stream(said: JsonValue, kind: ErrorKind) -> None:
    data = stream_of(saying(content="Hel"), {"error": said}, saying(content="lo"), LAST)
    events = events_in(data)
    (error,) = (event for event in events if isinstance(event, StreamError))
    assert events[-1] is error
    assert error.error.kind is kind
    assert error.error.message == (said if isinstance(said, str) else "the model crashed")


def test_trap_86_a_stream_that_just_ends_has_failed() -> None:
    events = events_in(stream_of(saying(content="Hel")))
    assert isinstance(events[-1], StreamError)
    assert not any(isinstance(event, Finish) for event in events)
    assert failure_in(b"").error.kind is ErrorKind.UPSTREAM_ERROR


def test_what_comes_after_the_end_is_ignored() -> None:
    decoder = CHAT.stream_decoder()
    assert isinstance(decoder.feed(stream_of(LAST, LAST))[-1], Finish)
    assert decoder.feed(b"garbage\n") == []
    assert decoder.close() == []


def test_a_last_line_without_its_end_is_read() -> None:
    assert isinstance(events_in(stream_of(LAST).rstrip())[-1], Finish)


def test_blank_lines_and_leading_spaces_are_no_garbage() -> None:
    data = b"\n   \n    " + stream_of(saying(content="a")) + b"\r\n" + stream_of(LAST)
    assert assemble(events_in(data)).parts == (Text("a"),)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"error":""}',
        b'{"choices":[{"delta":{"content":"a"}}]}',
        b'{"message":[],"done":false}',
        b'{"message":{"content":5}}',
        b'{"message":{"thinking":{}}}',
        b'{"message":{"tool_calls":{}}}',
        b'{"message":{"tool_calls":[5]}}',
        b'{"message":{"tool_calls":[{"function":null}]}}',
        b'{"message":{"tool_calls":[{"function":{"name":5}}]}}',
        b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":'
        + b'{"a":' * 300
        + b"1"
        + b"}" * 300
        + b"}}]}}",
        b'{"message":' + b"[" * 2000,
        b"\xff\xfe",
        b"<html>502</html>",
        b'{"error":' + b'{"error":' * 900 + b"1" + b"}" * 901,
    ],
)
def test_garbage_is_an_error_never_an_exception(line: bytes) -> None:
    assert failure_in(line + b"\n" + stream_of(LAST)).error.message
    assert failure_in(line).error.message


def test_the_start_is_said_once_with_what_the_server_says_of_itself() -> None:
    line: JsonObject = {**saying(content="a"), "model": 5, "created_at": "yesterday"}
    starts = [event for event in events_in(stream_of(line, LAST)) if isinstance(event, Start)]
    assert starts == [Start(id="", model="", created=0)]


@pytest.mark.parametrize(
    ("at", "created"),
    [
        ("2023-08-04T08:52:19.385406455-07:00", 1_691_164_339),
        ("2023-08-04T15:52:19Z", 1_691_164_339),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-99-99T00:00:00Z", 0),
        (5, 0),
    ],
)
def test_created_at_is_read_in_every_form_that_go_writes(at: JsonValue, created: int) -> None:
    assert answer_in({**LAST, "created_at": at}).created == created


def test_a_time_without_a_zone_is_utc_wherever_the_gateway_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        created = answer_in({**LAST, "created_at": "2023-08-04T15:52:19"}).created
    time.tzset()
    assert created == 1_691_164_339


def test_a_whole_answer_is_read_at_once() -> None:
    body: JsonObject = {
        **LAST,
        "message": {
            "role": "assistant",
            "content": "Hello",
            "thinking": "hm",
            "tool_calls": [calling("f", {"x": 1}, id="a")],
        },
    }
    response = CHAT.decode_response(body)
    assert response.parts == (
        Thinking(text="hm"),
        Text("Hello"),
        ToolCall(id="a", name="f", arguments='{"x":1}'),
    )
    assert response.finish is FinishReason.TOOL_CALLS
    completion = GENERATE.decode_response({"model": "m", "response": "Hello", "done": True})
    assert completion.parts == (Text("Hello"),)


@pytest.mark.parametrize(
    "body",
    [{}, {"error": "it broke"}, {"choices": []}, saying(content="half"), {"message": 5}],
)
def test_trap_76_a_body_that_is_no_answer_is_a_failure(body: JsonObject) -> None:
    with pytest.raises(ApiFailure) as failure:
        CHAT.decode_response(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR
    assert failure.value.error.message
