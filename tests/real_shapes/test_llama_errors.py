"""Errors of a real llama.cpp server, as its clients hear them through the gateway.

It answers 500 to what is the request's own fault, numbers as codes, and OpenAI's shape on
Anthropic's path.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import h11
import httpx
import pytest
import trio
from worlds import GATEWAY, World, open_world

from forebay.protocol.jsontext import JsonObject, dumps

_CAPTURES = Path(__file__).parents[1] / "captures"
_ROUTES = ("chat", "messages")
_IMAGE = "llamacpp-0.7.0-b11669/chat-image"
_TOO_LONG = "llamacpp-0.7.0-b11669/err-toolong"
_BROKEN_ARGUMENTS = (
    "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] parse error at "
    "line 1, column 2: syntax error while parsing object key"
)


@dataclass
class ReplayingServer:
    """Answers every POST with the same recorded bytes."""

    answer: bytes
    posts: int = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            connection = h11.Connection(h11.SERVER)
            method = b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some()))
                elif isinstance(event, h11.Request):
                    method = event.method
                elif isinstance(event, h11.EndOfMessage):
                    break
                elif isinstance(event, h11.ConnectionClosed):
                    return
            if method == b"POST":
                self.posts += 1
                await stream.send_all(self.answer)
            else:
                await stream.send_all(_whole(200, {"object": "list", "data": [{"id": "m"}]}))


def _whole(status: int, body: JsonObject) -> bytes:
    data = dumps(body)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def _recorded(name: str) -> bytes:
    return (_CAPTURES / f"{name}.resp").read_bytes()


@asynccontextmanager
async def _before(answer: bytes) -> AsyncIterator[tuple[World, ReplayingServer]]:
    """A gateway that knows the server by both APIs that it speaks."""
    server = ReplayingServer(answer)
    config = {
        "providers": {
            "chat": {"kind": "openai_compatible", "base_url": "http://llama.test/v1"},
            "messages": {"kind": "anthropic", "base_url": "http://llama.test", "api_key": "none"},
        },
        "models": {route: {"targets": [f"{route}/m"]} for route in _ROUTES},
    }
    async with open_world(config) as world:
        world.network.plug("llama.test", server.serve)
        yield world, server


async def _ask(world: World, path: str, model: str, *, stream: bool = False) -> httpx.Response:
    body: JsonObject = {
        "model": model,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 100,
        "stream": stream,
    }
    return await world.client.post(GATEWAY + path, json=body)


def _message(path: str, answer: httpx.Response) -> str:
    """The message of a 400, after a check of its shape in the dialect."""
    assert answer.status_code == 400
    body = answer.json()
    if path == "/api/chat":
        return str(body["error"])
    error = body["error"]
    assert error["type"] == "invalid_request_error"
    if path == "/v1/messages":
        assert body["type"] == "error"
    else:
        assert isinstance(error["code"], str)
    return str(error["message"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", _ROUTES)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_recorded(_IMAGE), "image input is not supported"),
        (
            _whole(
                500,
                {"error": {"code": 500, "message": _BROKEN_ARGUMENTS, "type": "server_error"}},
            ),
            "Failed to parse tool call arguments",
        ),
    ],
    ids=["image", "tool arguments"],
)
async def test_a_500_for_the_requests_own_fault_is_a_400_after_one_call(
    path: str, route: str, stream: bool, answer: bytes, words: str, autojump_clock: object
) -> None:
    async with _before(answer) as (world, server):
        told = await _ask(world, path, route, stream=stream)
        assert words in _message(path, told)
        assert server.posts == 1
        assert await world.is_at_rest()


@pytest.mark.parametrize("route", _ROUTES)
async def test_requests_that_the_model_cannot_take_hold_nobody_else(
    route: str, autojump_clock: object
) -> None:
    """No breaker opens and no pause begins, however many there are."""
    async with _before(_recorded(_IMAGE)) as (world, server):
        began = trio.current_time()
        for _ in range(12):
            assert (await _ask(world, "/v1/chat/completions", route)).status_code == 400
        assert server.posts == 12
        assert trio.current_time() == began


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", _ROUTES)
async def test_a_prompt_that_is_too_long_is_said_in_each_dialects_own_shape(
    route: str, stream: bool, autojump_clock: object
) -> None:
    """Also where client and server speak the same API: the server's error has another's shape."""
    async with _before(_recorded(_TOO_LONG)) as (world, server):
        for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
            message = _message(path, await _ask(world, path, route, stream=stream))
            if path == "/v1/messages":
                assert message == "prompt is too long: 9031 tokens > 4096 maximum"
            else:
                assert "exceeds the available context size" in message
        assert server.posts == 3


async def test_an_error_in_the_clients_own_shape_is_passed_on_as_it_came(
    autojump_clock: object,
) -> None:
    body: JsonObject = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "no", "details": {"more": [1]}},
        "request_id": "req_upstream",
    }
    async with _before(_whole(422, body)) as (world, _):
        told = await _ask(world, "/v1/messages", "messages")
        assert (told.status_code, told.json()) == (422, body)
