"""What the tests of the OpenAI dialect share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import httpx2
import openai
import pytest

from forebay.protocol.canonical.events import Finish, StreamError, StreamEvent
from forebay.protocol.canonical.requests import ChatRequest, Role, Text, Turn
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, loads_object


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


@pytest.fixture(scope="session")
def codec() -> OpenAIChatCodec:
    return OpenAIChatCodec()


@pytest.fixture(scope="session")
def decoded(codec: OpenAIChatCodec) -> DecodesStream:
    """All events of a stream that arrives in pieces, after the checks that hold for every stream:
    one terminal event, and only at the very end; parts that start, go on and stop in order."""

    def decode(stream: bytes, *, cuts: Iterable[int] = ()) -> list[StreamEvent]:
        decoder = codec.stream_decoder()
        edges = [0, *sorted(cuts), len(stream)]
        events: list[StreamEvent] = []
        for start, end in itertools.pairwise(edges):
            events += decoder.feed(stream[start:end])
        events += decoder.close()
        assert decoder.feed(b'data: {"choices":[]}\n\n') == []
        assert decoder.close() == []
        assert isinstance(events[-1], Finish | StreamError)
        assert not any(isinstance(event, Finish | StreamError) for event in events[:-1])
        return events

    return decode


@pytest.fixture(scope="session")
def reply_to(codec: OpenAIChatCodec) -> MakesContext:
    """The context of an answer to a request whose body had these fields."""

    def make(*, asked: JsonObject | None = None, estimate: int = 42) -> ReplyContext:
        if asked is None:
            request = ChatRequest(
                model="house/model", turns=(Turn(role=Role.USER, parts=(Text("Hi"),)),)
            )
        else:
            body: JsonObject = {
                "model": "house/model",
                "messages": [{"role": "user", "content": "Hi"}],
                **asked,
            }
            request = codec.decode_request(body)
        return ReplyContext(
            request=request,
            response_id="0123abcd",
            created=1_795_000_000,
            input_tokens_estimate=estimate,
            elapsed_ns=lambda: 0,
        )

    return make


@pytest.fixture(scope="session")
def chunks_of() -> Callable[[bytes], list[JsonObject]]:
    """The chunks of a stream that must end with ``[DONE]``, after a check of every frame."""

    def read(stream: bytes) -> list[JsonObject]:
        *frames, rest = stream.split(b"\n\n")
        assert rest == b""
        assert frames.pop() == b"data: [DONE]"
        assert all(frame.startswith(b"data: {") for frame in frames)
        return [loads_object(frame.removeprefix(b"data: ")) for frame in frames]

    return read


@pytest.fixture(scope="session")
def sse() -> Callable[[Sequence[bytes]], bytes]:
    """A stream of these chunks, as JSON text each."""

    def join(chunks: Sequence[bytes]) -> bytes:
        return b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks)

    return join


@pytest.fixture
def sdk() -> Callable[[bytes, str], openai.OpenAI]:
    """OpenAI's own client, to whom every request is answered with this body and content type."""

    def client(body: bytes, content_type: str) -> openai.OpenAI:
        def respond(_: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, headers={"content-type": content_type}, content=body)

        return openai.OpenAI(
            api_key="k",
            base_url="http://gateway.invalid/v1",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(transport=httpx2.MockTransport(respond)),
        )

    return client
