"""Answers of real servers, as they came over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest
from openai.types.responses import Response

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason, StreamEvent, Usage
from forebay.protocol.canonical.requests import Text, ToolCall
from forebay.protocol.dialects.base import ReplyContext, UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIResponsesCodec, OpenAISpeech
from forebay.protocol.jsontext import JsonObject, loads_object

_LLAMACPP = "llamacpp-0.7.0-b11669"
_LLAMACPP_TOOLS = "llamacpp-tools-template"
_VLLM = "vllm-0.32.0-cpu"
_TRANSFORMERS = "transformers-serve-5.23"
_WHOLE = [
    f"{_LLAMACPP}/responses",
    f"{_LLAMACPP}/responses-items",
    f"{_LLAMACPP}/responses-tools",
    f"{_LLAMACPP_TOOLS}/responses-toolcall",
    f"{_LLAMACPP_TOOLS}/responses-tools",
    f"{_VLLM}/responses",
    f"{_VLLM}/responses-items",
    f"{_VLLM}/responses-tools",
]
_STREAMS = [
    f"{_LLAMACPP}/responses-stream",
    f"{_LLAMACPP}/responses-tools-stream",
    f"{_LLAMACPP_TOOLS}/responses-toolcall-stream",
    f"{_LLAMACPP_TOOLS}/responses-tools-stream",
    f"{_VLLM}/responses-stream",
    f"{_VLLM}/responses-tools-stream",
    f"{_TRANSFORMERS}/responses",  # streams although nobody asked
    f"{_TRANSFORMERS}/responses-stream",
]


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


Captured = Callable[[str], Answer]


def _context(codec: OpenAIResponsesCodec, body: bytes) -> ReplyContext:
    return ReplyContext(
        request=codec.decode_request(loads_object(body)),
        response_id="0123abcd",
        created=1_795_000_000,
        input_tokens_estimate=1,
        elapsed_ns=lambda: 0,
    )


@pytest.mark.parametrize("name", _WHOLE)
def test_a_whole_answer_is_read_and_shown(
    codec: OpenAIResponsesCodec,
    captured: Captured,
    captured_request: Callable[[str], bytes],
    shown_whole: Callable[[JsonObject], Response],
    name: str,
) -> None:
    answer = codec.decode_response(loads_object(captured(name).body))
    assert answer.id.startswith("resp_")
    assert answer.model == "smollm2"
    assert answer.created > 1_795_000_000
    assert answer.usage is not None
    assert answer.usage.output > 0
    assert answer.parts
    shown = shown_whole(codec.encode_response(answer, _context(codec, captured_request(name))))
    assert shown.id == answer.id
    assert (shown.status, shown.model) == ("completed", "smollm2")


@pytest.mark.parametrize("name", _STREAMS)
def test_a_stream_is_the_same_however_it_is_split_trap_78(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    body = captured(name).body
    whole = decoded(body)
    assert decoded(body, cuts=range(len(body))) == whole
    assert assemble(whole).usage is not None


@pytest.mark.parametrize("name", _STREAMS)
def test_a_stream_is_shown_again(
    codec: OpenAIResponsesCodec,
    captured: Captured,
    captured_request: Callable[[str], bytes],
    decoded: DecodesStream,
    shown: Callable[[bytes], list[JsonObject]],
    name: str,
) -> None:
    encoder = codec.stream_encoder(_context(codec, captured_request(name)))
    events = decoded(captured(name).body)
    again = encoder.keepalive() + b"".join(map(encoder.encode, events))
    assert shown(again)[-1]["type"] == "response.completed"
    assert _texts(assemble(decoded(again))) == _texts(assemble(events))


def _texts(answer: ChatResponse) -> list[object]:
    return [
        part.text if isinstance(part, Text) else (part.id, part.name, part.arguments)
        for part in answer.parts
        if isinstance(part, Text | ToolCall)
    ]


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        (f"{_LLAMACPP}/responses-stream", Usage(input_uncached=1, cache_read=35, output=20)),
        (f"{_VLLM}/responses-stream", Usage(input_uncached=15, output=11)),
        (f"{_TRANSFORMERS}/responses-stream", Usage(input_uncached=36, output=20)),
    ],
)
def test_a_text_is_read_from_a_stream(
    captured: Captured, decoded: DecodesStream, name: str, usage: Usage
) -> None:
    answer = assemble(decoded(captured(name).body))
    [text] = answer.parts
    assert isinstance(text, Text)
    assert len(text.text) > 20
    assert (answer.finish, answer.usage) == (FinishReason.END, usage)


@pytest.mark.parametrize(
    "name", [f"{_LLAMACPP_TOOLS}/responses-toolcall-stream", f"{_VLLM}/responses-tools-stream"]
)
def test_a_call_is_read_from_a_stream(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    answer = assemble(decoded(captured(name).body))
    [call] = answer.parts
    assert isinstance(call, ToolCall)
    assert call.name == "get_weather"
    assert loads_object(call.arguments)
    assert call.id
    assert answer.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("name", [*_WHOLE, *_STREAMS])
def test_the_request_survives(
    codec: OpenAIResponsesCodec, captured_request: Callable[[str], bytes], name: str
) -> None:
    asked = codec.decode_request(loads_object(captured_request(name)))
    sent = codec.encode_request(asked, UpstreamTraits()).body
    assert codec.decode_request(sent) == asked


@pytest.mark.parametrize("server", [_LLAMACPP, _VLLM])
def test_a_refusal_names_the_missing_input(captured: Captured, server: str) -> None:
    answer = captured(f"{server}/responses-err")
    error = OpenAISpeech().decode_error(answer.status, answer.body)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "input" in error.message


def test_a_too_long_request_is_told_apart(captured: Captured) -> None:
    answer = captured(f"{_LLAMACPP}/responses-stream-pings")
    error = OpenAISpeech().decode_error(answer.status, answer.body)
    assert error.kind is ErrorKind.CONTEXT_OVERFLOW


def test_an_assembled_answer_streams_again(codec: OpenAIResponsesCodec, captured: Captured) -> None:
    answer = codec.decode_response(loads_object(captured(f"{_VLLM}/responses").body))
    again = assemble(events_of(answer))
    assert (again.parts, again.usage) == (answer.parts, answer.usage)
