"""Our lines stay lines for the official client, which cuts a stream wherever ``str.splitlines``
does: also where JSON lets a character stand in a string."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Protocol

import httpx
import ollama
import pytest

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason, StreamError
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaCodec, OllamaGenerateCodec


class MakesContext(Protocol):
    def __call__(
        self, *, model: str = ..., elapsed_ns: Callable[[], int] = ..., estimate: int = ...
    ) -> ReplyContext: ...


CHAT = OllamaChatCodec()
GENERATE = OllamaGenerateCodec()
BREAKS = "".join(
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if len(f"a{character}b".splitlines()) > 1
)
ANSWER = ChatResponse(
    id="",
    model="upstream",
    created=0,
    parts=(
        Thinking(text=f"think{BREAKS}"),
        Text(f"say{BREAKS}"),
        ToolCall(id="c1", name="f", arguments=json.dumps({"x": BREAKS})),
    ),
    finish=FinishReason.TOOL_CALLS,
)


def client_that_reads(content: bytes) -> ollama.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content)

    return ollama.Client(transport=httpx.MockTransport(answer))


def async_client_that_reads(content: bytes) -> ollama.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content)

    return ollama.AsyncClient(transport=httpx.MockTransport(answer))


def stream(codec: OllamaCodec, context: ReplyContext) -> bytes:
    encoder = codec.stream_encoder(context)
    frames = [encoder.encode(event) + encoder.keepalive() for event in events_of(ANSWER)]
    return b"".join(frames)


def test_there_are_line_breaks_that_json_lets_stand() -> None:
    assert {"\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"} < set(BREAKS)
    assert len(json.dumps(BREAKS, ensure_ascii=False).splitlines()) > 1


def test_the_official_client_reads_every_line_break_in_a_chat(reply_to: MakesContext) -> None:
    content = stream(CHAT, reply_to(model=f"m{BREAKS}"))
    assert len(content.decode().splitlines()) == content.count(b"\n")
    chunks = list(client_that_reads(content).chat("m", [], stream=True))
    assert "".join(chunk.message.thinking or "" for chunk in chunks) == f"think{BREAKS}"
    assert "".join(chunk.message.content or "" for chunk in chunks) == f"say{BREAKS}"
    (call,) = [call for chunk in chunks for call in chunk.message.tool_calls or []]
    assert call.function.arguments == {"x": BREAKS}
    assert {chunk.model for chunk in chunks} == {f"m{BREAKS}"}


def test_the_official_client_reads_every_line_break_in_a_completion(
    reply_to: MakesContext,
) -> None:
    content = stream(GENERATE, reply_to())
    chunks = list(client_that_reads(content).generate("m", "x", stream=True))
    assert "".join(chunk.response or "" for chunk in chunks) == f"say{BREAKS}"


async def test_so_does_the_asynchronous_one(reply_to: MakesContext) -> None:
    client = async_client_that_reads(stream(CHAT, reply_to()))
    chunks = [chunk async for chunk in await client.chat("m", [], stream=True)]
    assert "".join(chunk.message.content or "" for chunk in chunks) == f"say{BREAKS}"


def test_an_error_in_the_stream_is_one_line_too(reply_to: MakesContext) -> None:
    failed = StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=f"broke{BREAKS}"))
    content = CHAT.stream_encoder(reply_to()).encode(failed)
    with pytest.raises(ollama.ResponseError) as raised:
        list(client_that_reads(content).chat("m", [], stream=True))
    assert raised.value.error == f"broke{BREAKS}"
