"""OpenAI's own client reads what we write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import openai
import pytest
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseFunctionToolCall,
    ResponseReasoningItem,
)

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ChatResponse,
    FinishReason,
    PartKind,
    PartStart,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    Usage,
)
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, dumps

_ANSWER = ChatResponse(
    id="",
    model="up",
    created=7,
    parts=(
        Thinking(text="hm"),
        Text("let me see"),
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="", name="g", arguments=""),
    ),
    finish=FinishReason.TOOL_CALLS,
    usage=Usage(input_uncached=5, cache_read=4, output=3, reasoning=1),
)


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


Sdk = Callable[[bytes, str], openai.OpenAI]


def _written(
    codec: OpenAIResponsesCodec,
    context: ReplyContext,
    *events: StreamEvent,
    keepalives: bool = False,
) -> bytes:
    encoder = codec.stream_encoder(context)
    pieces: list[bytes] = []
    for event in events:
        if keepalives:
            pieces.append(encoder.keepalive())
        pieces.append(encoder.encode(event))
    return b"".join(pieces)


def _check(answer: Response) -> None:
    assert answer.id == "resp_0123abcd"
    assert answer.model == "house/model"
    assert answer.status == "completed"
    assert answer.output_text == "let me see"
    reasoning, _, first, second = answer.output
    assert isinstance(reasoning, ResponseReasoningItem)
    assert [part.text for part in reasoning.summary] == ["hm"]
    assert isinstance(first, ResponseFunctionToolCall)
    assert isinstance(second, ResponseFunctionToolCall)
    assert (first.call_id, first.name, first.arguments) == ("a", "f", '{"x":1}')
    assert (second.name, second.arguments) == ("g", "{}")
    assert second.call_id
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 3)


def test_a_whole_answer(codec: OpenAIResponsesCodec, reply_to: MakesContext, sdk: Sdk) -> None:
    body = codec.encode_response(_ANSWER, reply_to(asked={}))
    with sdk(b"\n\n" + dumps(body), "application/json") as client:
        answer = client.responses.create(model="m", input="Hi")
    _check(answer)


@pytest.mark.parametrize("keepalives", [False, True])
def test_a_stream_with_keepalives_between_all_frames_traps_83_97(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, sdk: Sdk, keepalives: bool
) -> None:
    context = reply_to(asked={"stream": True})
    stream = _written(codec, context, *events_of(_ANSWER), keepalives=keepalives)
    with (
        sdk(stream, "text/event-stream") as client,
        client.responses.stream(model="m", input="Hi") as live,
    ):
        deltas = [event.delta for event in live if event.type == "response.output_text.delta"]
        _check(live.get_final_response())
    assert "".join(deltas) == "let me see"


def test_a_failed_stream_says_why_trap_89(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, sdk: Sdk
) -> None:
    stream = _written(
        codec,
        reply_to(asked={"stream": True}),
        Start(id="", model="", created=0),
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "a"),
        StreamError(ApiError(kind=ErrorKind.RATE_LIMITED, message="too late", retry_after=2)),
    )
    with sdk(stream, "text/event-stream") as client:
        live = client.responses.create(model="m", input="Hi", stream=True)
        events = list(live)
    assert not any(isinstance(event, ResponseCompletedEvent) for event in events)
    last = events[-1]
    assert isinstance(last, ResponseFailedEvent)
    assert last.response.error is not None
    assert last.response.error.code == "rate_limit_exceeded"
    assert last.response.error.message == "too late Please try again in 2s."


def test_a_relayed_stream_that_came_after_keepalives_trap_84(
    codec: OpenAIResponsesCodec,
    reply_to: MakesContext,
    sdk: Sdk,
    captured: Callable[[str], object],
) -> None:
    """Newer helpers raise when the id changes, or when another answer is created."""
    body = getattr(captured("vllm-0.32.0-cpu/responses-stream"), "body", b"")
    encoder = codec.stream_encoder(reply_to(asked={"stream": True}))
    stream = encoder.keepalive() + encoder.keepalive() + encoder.relay(body)
    with (
        sdk(stream, "text/event-stream") as client,
        client.responses.stream(model="m", input="Hi") as live,
    ):
        answer = live.get_final_response()
    assert answer.id == "resp_0123abcd"
    assert answer.output_text == "Awesome, I'm glad to help!"
