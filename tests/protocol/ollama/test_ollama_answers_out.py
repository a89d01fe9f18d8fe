"""Answers for Ollama clients, fed to the models and the client of the official package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

import httpx
import ollama
import pytest

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    AnswerPart,
    ArgumentsDelta,
    ChatResponse,
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
from forebay.protocol.canonical.requests import (
    Dialect,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.ollama import (
    LoadAction,
    OllamaChatCodec,
    OllamaCodec,
    OllamaGenerateCodec,
)
from forebay.protocol.jsontext import JsonObject


class MakesContext(Protocol):
    def __call__(
        self, *, model: str = ..., elapsed_ns: Callable[[], int] = ..., estimate: int = ...
    ) -> ReplyContext: ...


CHAT = OllamaChatCodec()
GENERATE = OllamaGenerateCodec()
USAGE = Usage(input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50)


def answer(
    *parts: AnswerPart,
    finish: FinishReason = FinishReason.END,
    usage: Usage | None = USAGE,
) -> ChatResponse:
    return ChatResponse(
        id="up-1", model="upstream", created=1, parts=parts, finish=finish, usage=usage
    )


def lines_of(
    codec: OllamaCodec, context: ReplyContext, response: ChatResponse
) -> list[dict[str, object]]:
    encoder = codec.stream_encoder(context)
    data = b"".join(encoder.encode(event) for event in events_of(response))
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_a_whole_chat_answer_reads_in_the_official_package(reply_to: MakesContext) -> None:
    response = answer(
        Thinking(text="hm", signature="s"),
        Text("Hello"),
        Refusal(", no"),
        Opaque(Dialect("elsewhere"), {"type": "thing"}),
        ToolCall(id="c1", name="look", arguments='{"at": 1}'),
        finish=FinishReason.TOOL_CALLS,
    )
    encoded = CHAT.encode_response(response, reply_to())
    parsed = ollama.ChatResponse.model_validate(encoded)
    assert parsed.model == "house/model"
    assert parsed.message.role == "assistant"
    assert parsed.message.content == "Hello, no"
    assert parsed.message.thinking == "hm"
    assert parsed.message.tool_calls is not None
    (call,) = parsed.message.tool_calls
    assert call.function.name == "look"
    assert call.function.arguments == {"at": 1}
    assert (parsed.done, parsed.done_reason) == (True, "stop")
    assert (parsed.prompt_eval_count, parsed.eval_count) == (105, 70)
    assert parsed.created_at == "2026-11-22T10:30:01.500000Z"
    assert encoded["message"]["tool_calls"][0]["id"] == "c1"  # type: ignore[call-overload,index]


def test_a_whole_completion_reads_in_the_official_package(reply_to: MakesContext) -> None:
    encoded = GENERATE.encode_response(answer(Thinking(text="hm"), Text("Hello")), reply_to())
    parsed = ollama.GenerateResponse.model_validate(encoded)
    assert (parsed.response, parsed.thinking, parsed.done) == ("Hello", "hm", True)
    assert parsed.context is None
    assert "message" not in encoded


def test_durations_of_a_whole_answer_are_those_of_the_wall(reply_to: MakesContext) -> None:
    parsed = ollama.ChatResponse.model_validate(CHAT.encode_response(answer(), reply_to()))
    assert parsed.total_duration == 1_500_000_000
    assert parsed.load_duration == 0
    assert (parsed.prompt_eval_duration, parsed.eval_duration) == (0, 1_500_000_000)


def test_a_stream_measures_the_time_to_its_first_content(reply_to: MakesContext) -> None:
    now = 0
    encoder = CHAT.stream_encoder(reply_to(elapsed_ns=lambda: now))
    assert encoder.encode(Start(id="", model="", created=0)) == b""
    assert encoder.encode(PartStart(index=0, kind=PartKind.TEXT)) == b""
    now = 2_000_000_000
    first = json.loads(encoder.encode(TextDelta(0, "a")))
    now = 5_000_000_000
    encoder.encode(TextDelta(0, "b"))
    last = json.loads(encoder.encode(Finish(reason=FinishReason.END)))
    assert first["created_at"] == "2026-11-22T10:30:02.000000Z"
    assert last["created_at"] == "2026-11-22T10:30:05.000000Z"
    assert last["total_duration"] == 5_000_000_000
    assert last["prompt_eval_duration"] == 2_000_000_000
    assert last["eval_duration"] == 3_000_000_000


def test_created_at_is_rfc_3339_with_a_fraction(reply_to: MakesContext) -> None:
    line = json.loads(CHAT.stream_encoder(reply_to()).keepalive())
    moment = datetime.fromisoformat(line["created_at"])
    assert moment == datetime(2026, 11, 22, 10, 30, 1, 500_000, tzinfo=UTC)
    assert "." in line["created_at"]


def test_a_stream_says_thinking_then_text_then_calls_in_one_line_then_the_end(
    reply_to: MakesContext,
) -> None:
    lines = lines_of(
        CHAT,
        reply_to(),
        answer(
            Thinking(text="hm"),
            Text("Hello"),
            ToolCall(id="c1", name="look", arguments='{"at": 1}'),
            ToolCall(id="", name="walk", arguments=""),
            finish=FinishReason.TOOL_CALLS,
        ),
    )
    for line in lines:
        ollama.ChatResponse.model_validate(line)
    thinking, text, calls, last = (line["message"] for line in lines)
    assert thinking == {"role": "assistant", "content": "", "thinking": "hm"}
    assert text == {"role": "assistant", "content": "Hello"}
    assert isinstance(calls, dict)
    assert calls["content"] == ""
    look, walk = calls["tool_calls"]
    assert look == {"id": "c1", "function": {"index": 0, "name": "look", "arguments": {"at": 1}}}
    assert walk["id"]
    assert walk["function"] == {"index": 1, "name": "walk", "arguments": {}}
    assert last == {"role": "assistant", "content": ""}
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert lines[-1]["prompt_eval_count"] == 105
    assert "done_reason" not in lines[0]


def test_a_streamed_completion_says_response(reply_to: MakesContext) -> None:
    lines = lines_of(GENERATE, reply_to(), answer(Thinking(text="hm"), Text("Hello")))
    parsed = [ollama.GenerateResponse.model_validate(line) for line in lines]
    assert [line.response for line in parsed] == ["", "Hello", ""]
    assert [line.thinking for line in parsed] == ["hm", None, None]
    assert parsed[-1].done_reason == "stop"
    assert all("message" not in line for line in lines)


def test_interleaved_calls_are_put_together(reply_to: MakesContext) -> None:
    encoder = CHAT.stream_encoder(reply_to())
    events: list[StreamEvent] = [
        Start(id="", model="", created=0),
        PartStart(index=0, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
        PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="b", call_name="g"),
        ArgumentsDelta(0, '{"x":'),
        ArgumentsDelta(1, '{"y":'),
        ArgumentsDelta(0, "1}"),
        ArgumentsDelta(1, "2}"),
        PartStop(0),
        PartStop(1),
    ]
    assert b"".join(encoder.encode(event) for event in events) == b""
    calls, last = encoder.encode(Finish(reason=FinishReason.TOOL_CALLS)).splitlines()
    functions = [call["function"] for call in json.loads(calls)["message"]["tool_calls"]]
    assert [(f["name"], f["arguments"]) for f in functions] == [("f", {"x": 1}), ("g", {"y": 2})]
    assert json.loads(last)["done"] is True


@pytest.mark.parametrize("finish", [FinishReason.LENGTH, FinishReason.CONTEXT_FULL])
def test_trap_70_a_call_that_the_limit_cut_off_is_left_out(
    reply_to: MakesContext, finish: FinishReason
) -> None:
    response = answer(
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments='{"y":'),
        ToolCall(id="c", name="h", arguments=""),
        finish=finish,
    )
    calls, last = lines_of(CHAT, reply_to(), response)
    whole = CHAT.encode_response(response, reply_to())
    for message in (calls["message"], whole["message"]):
        assert isinstance(message, dict)
        assert [call["id"] for call in message["tool_calls"]] == ["a"]
    assert last["done_reason"] == whole["done_reason"] == "length"


def test_trap_70_nothing_is_left_where_the_only_call_was_cut(reply_to: MakesContext) -> None:
    response = answer(ToolCall(id="b", name="g", arguments='{"y":'), finish=FinishReason.LENGTH)
    (last,) = lines_of(CHAT, reply_to(), response)
    assert last["done"] is True
    assert last["message"] == {"role": "assistant", "content": ""}


def test_trap_28_arguments_are_an_object_also_where_the_model_wrote_nonsense(
    reply_to: MakesContext,
) -> None:
    response = answer(ToolCall(id="a", name="f", arguments="{nonsense"))
    calls, _ = lines_of(CHAT, reply_to(), response)
    parsed = ollama.ChatResponse.model_validate(calls)
    assert parsed.message.tool_calls is not None
    assert parsed.message.tool_calls[0].function.arguments == {"_raw": "{nonsense"}


def test_arguments_nested_beyond_all_measure_travel_as_text(reply_to: MakesContext) -> None:
    deep = '{"a":' * 300 + "1" + "}" * 300
    calls, _ = lines_of(CHAT, reply_to(), answer(ToolCall(id="a", name="f", arguments=deep)))
    parsed = ollama.ChatResponse.model_validate(calls)
    assert parsed.message.tool_calls is not None
    assert parsed.message.tool_calls[0].function.arguments == {"_raw": deep}


@pytest.mark.parametrize("usage", [None, Usage(counted=False)])
def test_trap_63_counts_are_there_where_the_provider_counted_nothing(
    reply_to: MakesContext, usage: Usage | None
) -> None:
    response = answer(Text("twelve chars"), usage=usage)
    whole = CHAT.encode_response(response, reply_to(estimate=7))
    last = lines_of(CHAT, reply_to(estimate=7), response)[-1]
    for line in (whole, last):
        assert (line["prompt_eval_count"], line["eval_count"]) == (7, 3)


def test_counts_from_the_start_of_a_stream_are_replaced_by_later_ones(
    reply_to: MakesContext,
) -> None:
    encoder = CHAT.stream_encoder(reply_to())
    encoder.encode(Start(id="", model="", created=0, usage=Usage(input_uncached=1)))
    encoder.encode(UsageReport(Usage(input_uncached=2, output=3)))
    last = json.loads(encoder.encode(Finish(reason=FinishReason.END)))
    assert (last["prompt_eval_count"], last["eval_count"]) == (2, 3)


@pytest.mark.parametrize("finish", FinishReason)
def test_an_answer_stops_or_was_too_long(reply_to: MakesContext, finish: FinishReason) -> None:
    too_long = finish in (FinishReason.LENGTH, FinishReason.CONTEXT_FULL)
    encoded = CHAT.encode_response(answer(finish=finish), reply_to())
    assert encoded["done_reason"] == ("length" if too_long else "stop")


def test_deltas_without_text_write_nothing(reply_to: MakesContext) -> None:
    encoder = CHAT.stream_encoder(reply_to())
    assert encoder.encode(TextDelta(0, "")) == b""
    assert encoder.encode(ThinkingDelta(0, "")) == b""


def test_the_content_type_of_a_stream_is_ndjson() -> None:
    assert CHAT.stream_content_type == GENERATE.stream_content_type == "application/x-ndjson"


@pytest.mark.parametrize("action", LoadAction)
def test_trap_43_a_load_is_answered_by_one_finished_object(
    reply_to: MakesContext, action: LoadAction
) -> None:
    keep_alive: JsonObject = {"keep_alive": 0} if action is LoadAction.UNLOAD else {}
    context = reply_to()
    empty_chat = CHAT.decode_request({"model": "house/model", **keep_alive})
    chat = ollama.ChatResponse.model_validate(CHAT.reply_without_model(empty_chat, context))
    empty_prompt = GENERATE.decode_request({"model": "house/model", **keep_alive})
    completion = ollama.GenerateResponse.model_validate(
        GENERATE.reply_without_model(empty_prompt, context)
    )
    assert chat.message.content == ""
    assert completion.response == ""
    for parsed in (chat, completion):
        assert (parsed.done, parsed.done_reason) == (True, action.value)
        assert parsed.model == "house/model"


def client_that_reads(content: bytes) -> ollama.Client:
    """The official client, with a server inside the process that answers these bytes."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=content, headers={"content-type": CHAT.stream_content_type}
        )

    return ollama.Client(host="http://forebay.test", transport=httpx.MockTransport(handler))


@pytest.mark.parametrize("codec", [CHAT, GENERATE])
def test_traps_95_to_98_a_keepalive_is_a_whole_line_that_says_nothing(
    reply_to: MakesContext, codec: OllamaCodec
) -> None:
    line = codec.stream_encoder(reply_to()).keepalive()
    assert line.startswith(b"{")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    parsed = json.loads(line)
    assert parsed["done"] is False
    assert parsed["model"] == "house/model"
    said = parsed["message"]["content"] if codec is CHAT else parsed["response"]
    assert said == ""


def test_trap_98_the_official_client_bears_keepalives_everywhere(reply_to: MakesContext) -> None:
    encoder = CHAT.stream_encoder(reply_to())
    content = encoder.keepalive() + encoder.keepalive()
    for event in events_of(answer(Text("Hel"), Text("lo"))):
        content += encoder.encode(event) + encoder.keepalive()
    chunks = list(client_that_reads(content).chat("m", [], stream=True))
    assert "".join(chunk.message.content or "" for chunk in chunks) == "Hello"
    assert any(chunk.done for chunk in chunks)


def test_trap_90_the_official_client_raises_on_an_error_in_the_stream(
    reply_to: MakesContext,
) -> None:
    encoder = CHAT.stream_encoder(reply_to())
    failed = StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="it broke"))
    content = encoder.encode(TextDelta(0, "Hel")) + encoder.encode(failed)
    assert json.loads(content.splitlines()[-1]) == {"error": "it broke"}
    assert b'"done":true' not in content
    chunks: Iterator[ollama.ChatResponse] = client_that_reads(content).chat("m", [], stream=True)
    assert next(chunks).message.content == "Hel"
    with pytest.raises(ollama.ResponseError, match="it broke"):
        next(chunks)
