"""What the tests of the Responses API share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol

import httpx2
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from forebay.protocol.canonical.events import Finish, StreamError, StreamEvent
from forebay.protocol.canonical.requests import ChatRequest, user_turn
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_CODES_OF_AGENTS = ("context_length_exceeded", "insufficient_quota")
"""Codes that OpenAI sends and coding agents read, although its own client's types lack them."""


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


@pytest.fixture(scope="session")
def codec() -> OpenAIResponsesCodec:
    return OpenAIResponsesCodec()


@pytest.fixture(scope="session")
def decoded(codec: OpenAIResponsesCodec) -> DecodesStream:
    """All events of a stream that arrives in pieces, after the check that holds for every stream:
    one terminal event, and only at the very end."""

    def decode(stream: bytes, *, cuts: Iterable[int] = ()) -> list[StreamEvent]:
        decoder = codec.stream_decoder()
        edges = [0, *sorted(cuts), len(stream)]
        events: list[StreamEvent] = []
        for start, end in itertools.pairwise(edges):
            events += decoder.feed(stream[start:end])
        events += decoder.close()
        assert decoder.feed(b'data: {"type":"response.completed","response":{}}\n\n') == []
        assert decoder.close() == []
        assert isinstance(events[-1], Finish | StreamError)
        assert not any(isinstance(event, Finish | StreamError) for event in events[:-1])
        return events

    return decode


@pytest.fixture(scope="session")
def reply_to(codec: OpenAIResponsesCodec) -> MakesContext:
    """The context of an answer to a request whose body had these fields; without any, to one that
    came in another dialect."""

    def make(*, asked: JsonObject | None = None, estimate: int = 42) -> ReplyContext:
        if asked is None:
            request = ChatRequest(model="house/model", turns=(user_turn("Hi"),))
        else:
            request = codec.decode_request({"model": "house/model", "input": "Hi", **asked})
        return ReplyContext(
            request=request,
            response_id="0123abcd",
            created=1_795_000_000,
            input_tokens_estimate=estimate,
            elapsed_ns=lambda: 2_500_000_000,
        )

    return make


@pytest.fixture(scope="session")
def shown_whole() -> Callable[[JsonObject], Response]:
    """A Response object as OpenAI's own client types it, strictly."""

    def check(response: JsonObject) -> Response:
        return Response.model_validate_json(dumps(response), strict=True)

    return check


@pytest.fixture(scope="session")
def shown() -> Callable[[bytes], list[JsonObject]]:
    """The events of a stream of ours, after a check of every frame: named, numbered without gaps,
    one id throughout, and strictly of the types of OpenAI's own client (traps 83 and 84)."""

    def read(stream: bytes) -> list[JsonObject]:
        *frames, rest = stream.split(b"\n\n")
        assert rest == b""
        events = [_event_of(frame) for frame in frames]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert not events or events[0]["type"] == "response.created"
        assert sum(event["type"] == "response.created" for event in events) <= 1
        ids = {
            response["id"]
            for event in events
            if isinstance(response := event.get("response"), dict)
        }
        assert len(ids) <= 1
        return events

    return read


def _event_of(frame: bytes) -> JsonObject:
    name, data = frame.split(b"\n")
    event = loads_object(data.removeprefix(b"data: "))
    assert name == f"event: {event['type']}".encode()
    checked = event
    if event["type"] == "response.failed":
        response = event["response"]
        assert isinstance(response, dict)
        error = response["error"]
        assert isinstance(error, dict)
        if error["code"] in _CODES_OF_AGENTS:
            checked = {**event, "response": {**response, "error": None}}
    _EVENT.validate_json(dumps(checked), strict=True)
    return event


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
