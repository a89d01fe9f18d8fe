"""Captured exchanges as the tests here want them, and strict readers of what the encoders write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anthropic
import httpx2
import pydantic
import pytest
from anthropic.types import Message, MessageParam, RawMessageStreamEvent

from forebay.protocol.canonical.requests import ChatRequest, Role, Text, Turn
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.jsontext import JsonObject, dumps, loads_object


@pytest.fixture
def codec() -> AnthropicMessagesCodec:
    return AnthropicMessagesCodec()


@pytest.fixture
def context() -> ReplyContext:
    """A client asked for ``claude``; nothing is known of the answer yet."""
    request = ChatRequest(model="claude", turns=(Turn(role=Role.USER, parts=(Text("Hi"),)),))
    return ReplyContext(
        request=request,
        response_id="0123abcd",
        created=1_795_000_000,
        input_tokens_estimate=42,
        elapsed_ns=lambda: 0,
    )


class _Captured(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


@pytest.fixture
def answer(captured: Callable[[str], _Captured]) -> Callable[[str], tuple[int, bytes]]:
    """Status and body of the captured answer of that name."""

    def read(name: str) -> tuple[int, bytes]:
        found = captured(name)
        return found.status, found.body

    return read


@pytest.fixture
def asked(captured_request: Callable[[str], bytes]) -> Callable[[str], JsonObject]:
    """The body of the captured request of that name."""

    def read(name: str) -> JsonObject:
        return loads_object(captured_request(name))

    return read


@pytest.fixture(scope="session")
def read_strictly() -> Callable[[bytes], list[JsonObject]]:
    """The events of a stream, after a check of every rule that clients rely on.

    Every frame has an ``event:`` line that repeats ``data.type`` (trap 79); ``message_start``
    comes first and once, ``message_delta`` and ``message_stop`` end the stream; blocks have gapless
    indexes, one open at a time, with deltas of their own kind; an ``error`` ends all (trap 88).
    Each event is also validated by the SDK's types.
    """
    adapter: pydantic.TypeAdapter[RawMessageStreamEvent] = pydantic.TypeAdapter(
        RawMessageStreamEvent
    )

    def read(stream: bytes) -> list[JsonObject]:
        assert stream.endswith(b"\n\n") or not stream
        events = [_event_of(frame) for frame in stream.split(b"\n\n")[:-1]]
        events = [event for event in events if event["type"] != "ping"]
        for event in events:
            if event["type"] != "error":
                adapter.validate_python(event)
        _check_order(events)
        return events

    return read


def _event_of(frame: bytes) -> JsonObject:
    name_line, data_line = frame.split(b"\n")
    assert name_line.startswith(b"event: ")
    assert data_line.startswith(b"data: ")
    event = loads_object(data_line.removeprefix(b"data: "))
    assert event["type"] == name_line.removeprefix(b"event: ").decode()
    return event


_DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


def _check_order(events: list[JsonObject]) -> None:
    open_kind: str | None = None
    signed = False
    blocks = 0
    state = "new"
    for event in events:
        kind = event["type"]
        assert state not in {"stopped", "failed"}, "nothing follows the end"
        if kind == "error":
            state = "failed"
            continue
        if state == "delta":
            assert kind == "message_stop"
            state = "stopped"
            continue
        if kind == "message_start":
            assert state == "new"
            state = "started"
            continue
        assert state == "started", kind
        if kind == "message_delta":
            assert open_kind is None
            state = "delta"
        elif kind == "content_block_start":
            assert open_kind is None
            assert event["index"] == blocks
            block = event["content_block"]
            assert isinstance(block, dict)
            open_kind, signed = str(block["type"]), False
        elif kind == "content_block_delta":
            delta = event["delta"]
            assert isinstance(delta, dict)
            assert open_kind is not None
            assert event["index"] == blocks
            assert delta["type"] in _DELTAS[open_kind]
            assert not signed, "the signature is the last delta of its block"
            signed = delta["type"] == "signature_delta"
        else:
            assert kind == "content_block_stop"
            assert open_kind is not None
            assert event["index"] == blocks
            open_kind = None
            blocks += 1


@pytest.fixture(scope="session")
def read_by_sdk() -> Callable[[bytes], Message]:
    """The message that Anthropic's own SDK puts together from a stream; raises what it raises."""

    def read(stream: bytes) -> Message:
        with (
            _client(stream, "text/event-stream") as client,
            client.messages.stream(model="claude", max_tokens=9, messages=[_HI]) as live,
        ):
            return live.get_final_message()

    return read


@pytest.fixture(scope="session")
def read_whole_by_sdk() -> Callable[[JsonObject], Message]:
    """The message that the SDK reads from a whole answer, validated strictly as well."""

    def read(body: JsonObject) -> Message:
        with _client(dumps(body), "application/json") as client:
            message = client.messages.create(model="claude", max_tokens=9, messages=[_HI])
        assert Message.model_validate(body) == message
        return message

    return read


_HI: MessageParam = {"role": "user", "content": "Hi"}


def _client(content: bytes, content_type: str) -> anthropic.Anthropic:
    def respond(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=content)

    return anthropic.Anthropic(
        api_key="k",
        base_url="http://gateway.invalid",
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(transport=httpx2.MockTransport(respond)),
    )
