"""OpenAI's own client reads what we write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

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
from forebay.protocol.dialects.base import ModelCard, ReplyContext
from forebay.protocol.dialects.openai import OpenAIChatCodec, OpenAISpeech
from forebay.protocol.jsontext import JsonObject, dumps

_HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
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
    codec: OpenAIChatCodec, context: ReplyContext, *events: StreamEvent, keepalives: bool = False
) -> bytes:
    encoder = codec.stream_encoder(context)
    pieces: list[bytes] = []
    for event in events:
        if keepalives:
            pieces.append(encoder.keepalive())
        pieces.append(encoder.encode(event))
    return b"".join(pieces)


def _check(answer: ChatCompletion) -> None:
    [choice] = answer.choices
    assert answer.id == "chatcmpl-0123abcd"
    assert answer.model == "house/model"
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "let me see"
    assert (choice.message.model_extra or {})["reasoning_content"] == "hm"
    first, second = choice.message.tool_calls or []
    assert first.type == second.type == "function"
    assert (first.id, first.function.name, first.function.arguments) == ("a", "f", '{"x":1}')
    assert (second.function.name, second.function.arguments) == ("g", "{}")
    assert second.id
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)


def test_a_whole_answer(codec: OpenAIChatCodec, reply_to: MakesContext, sdk: Sdk) -> None:
    body = codec.encode_response(_ANSWER, reply_to())
    with sdk(b"\n\n" + dumps(body), "application/json") as client:
        answer = client.chat.completions.create(model="m", messages=_HI)
    assert ChatCompletion.model_validate(body) == answer
    _check(answer)


def test_a_stream_with_keepalives_between_all_frames(
    codec: OpenAIChatCodec, reply_to: MakesContext, sdk: Sdk
) -> None:
    asked: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}
    stream = _written(codec, reply_to(asked=asked), *events_of(_ANSWER), keepalives=True)
    with (
        sdk(stream, "text/event-stream") as client,
        client.chat.completions.stream(model="m", messages=_HI) as live,
    ):
        _check(live.get_final_completion())


def test_every_chunk_of_a_stream_without_usage_has_a_choice_trap_77(
    codec: OpenAIChatCodec, reply_to: MakesContext, sdk: Sdk
) -> None:
    stream = _written(codec, reply_to(), *events_of(_ANSWER))
    with sdk(stream, "text/event-stream") as client:
        chunks = list(client.chat.completions.create(model="m", messages=_HI, stream=True))
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "tool_calls"
    assert len(chunks) > 5


def test_an_error_in_a_stream_is_raised_trap_87(
    codec: OpenAIChatCodec, reply_to: MakesContext, sdk: Sdk
) -> None:
    stream = _written(
        codec,
        reply_to(),
        Start(id="", model="", created=0),
        PartStart(index=0, kind=PartKind.TEXT),
        TextDelta(0, "a"),
        StreamError(ApiError(kind=ErrorKind.RATE_LIMITED, message="too late", retry_after=2)),
    )
    seen: list[str | None] = []
    with sdk(stream, "text/event-stream") as client:
        live = client.chat.completions.create(model="m", messages=_HI, stream=True)
        with pytest.raises(openai.APIError, match="too late"):
            seen.extend(chunk.choices[0].delta.content for chunk in live)
    assert seen == ["", "a"]


def test_a_list_of_models(sdk: Sdk) -> None:
    cards = [ModelCard(id="a/b:c", created=7, owned_by="forebay")]
    with sdk(dumps(OpenAISpeech().encode_model_list(cards)), "application/json") as client:
        assert [(model.id, model.created) for model in client.models.list()] == [("a/b:c", 7)]
