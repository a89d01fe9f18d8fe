"""Upstreams that answer anything but what they should: their clients hear of it in their own
dialect, as the upstream's fault, and the gateway stays as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from spoken_errors import CHAT_PATHS, assert_spoken, error_message, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.protocol.jsontext import JsonObject, dumps, loads_object

pytestmark = pytest.mark.usefixtures("no_errors_logged")

Answer = Callable[[trio.abc.Stream], Awaitable[None]]

KINDS: dict[str, dict[str, object]] = {
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
}


@asynccontextmanager
async def over(kind: str, answer: Answer) -> AsyncIterator[World]:
    """A world whose upstream answers every request by ``answer``, and then closes."""
    config: dict[str, object] = {
        "providers": {"up": {"kind": kind, **KINDS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
        "wait": {"max_wait_ms": 3000},
    }

    async def serve(stream: trio.abc.Stream) -> None:
        try:
            await read_request(stream)
            await answer(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            await stream.aclose()

    async with open_world(config) as world:
        await trio.sleep(1)
        world.network.unplug("up.test")
        await trio.sleep(120)  # until the connection that listed the models is too old to be used
        world.network.plug("up.test", serve)
        yield world
        assert await world.is_at_rest()


async def read_request(stream: trio.abc.Stream) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive_some()
    head, _, body = received.partition(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    length = int(rest.split(b"\r\n")[0] or 0)
    while len(body) < length:
        body += await stream.receive_some()


def http(status: int, body: bytes | str, kind: str = "application/json", *extra: str) -> bytes:
    content = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, *extra, "", ""]).encode("latin-1") + content


def always(data: bytes) -> Answer:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(data)

    return answer


async def read(world: World, path: str, *, streams: bool) -> tuple[int, bytes, bool]:
    """Status and body of an answer, and whether it came to its proper end."""
    received = bytearray()
    async with world.client.stream(
        "POST", GATEWAY + path, json=request_of(path, stream=streams)
    ) as answer:
        try:
            async for piece in answer.aiter_raw():
                received += piece
        except httpx.RemoteProtocolError:
            return answer.status_code, bytes(received), False
    return answer.status_code, bytes(received), True


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "an empty 200": http(200, ""),
    "a 204": b"HTTP/1.1 204 X\r\n\r\n",
    "a redirect": http(302, "", "text/html", "location: http://elsewhere.test/"),
    "a page": http(200, "<html>", "text/html"),
    "an array": http(200, "[]"),
    "null": http(200, "null"),
    "an empty object": http(200, "{}"),
    "invalid UTF-8": http(200, b'{"a":"\xff"}'),
    "a lone surrogate": http(200, r'{"choices":[{"message":{"content":"\ud800"}}]}'),
    "nested too deeply": http(200, nested(2000)),
    "an error in a 200": http(200, '{"error":{"message":"boom","code":500}}'),
    "an error text in a 200": http(200, '{"error":"boom"}'),
    "not gzip": http(200, b"nonsense", "application/json", "content-encoding: gzip"),
    "an unknown coding": http(200, b"nonsense", "application/json", "content-encoding: br2"),
    "empty events": http(200, "data: null\n\ndata: 5\n\ndata: {}\n\n", "text/event-stream"),
    "only the end": http(200, "data: [DONE]\n\n", "text/event-stream"),
    "no events": http(200, "", "text/event-stream"),
    "odd lines": http(200, "null\n[]\n5\n{}\n", "application/x-ndjson"),
    "an empty 500": http(500, ""),
    "status 599": http(599, "<html>", "text/html"),
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "HTTP/2": b"\0\0\0\4\0\0\0\0\0",
    "a huge head": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000 + b"\r\n\r\n",
    "a cut body": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "an upgrade": b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_answer_is_a_502_in_the_clients_dialect(
    kind: str, autojump_clock: MockClock
) -> None:
    for name, data in BROKEN.items():
        async with over(kind, always(data)) as world:
            for path, dialect in CHAT_PATHS.items():
                for streams in (False, True):
                    answer = await world.client.post(
                        GATEWAY + path, json=request_of(path, stream=streams)
                    )
                    if (answer.status_code, answer.headers["content-type"]) == (
                        200,
                        "application/json",
                    ):
                        # Ollama's servers may leave out what is empty.
                        assert kind == "ollama", (name, path)
                        continue
                    assert answer.status_code in (502, 504, 429), (name, path, answer.text)
                    assert_spoken(
                        dialect,
                        answer.status_code,
                        answer.status_code,
                        answer.headers,
                        answer.content,
                    )


REFUSALS: dict[str, bytes] = {
    "a page": http(404, "<html>", "text/html"),
    "nothing": http(400, ""),
    "an unknown status": http(499, ""),
    "an endless page": http(400, "x" * (2 << 20)),
    "text": http(422, "what?", "text/plain"),
    "an array": http(400, "[]"),
    "nested too deeply": http(400, '{"error":' + nested(2000) + "}"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_in_no_dialect_is_spoken_in_the_clients(
    kind: str, autojump_clock: MockClock
) -> None:
    for data in REFUSALS.values():
        async with over(kind, always(data)) as world:
            for path, dialect in CHAT_PATHS.items():
                answer = await world.client.post(GATEWAY + path, json=request_of(path))
                assert answer.status_code in (400, 404, 413)
                assert_spoken(
                    dialect,
                    answer.status_code,
                    answer.status_code,
                    answer.headers,
                    answer.content,
                )
                assert answer.headers["x-forebay-attempts"] == "1"


_CALL: JsonObject = {
    "index": 0,
    "id": "a",
    "type": "function",
    "function": {"name": "f", "arguments": "@quoted@"},
}
_DEEP: dict[str, list[JsonObject]] = {
    "openai": [
        {
            "id": "x",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                }
            ],
            "more": "@deep@",
        }
    ],
    "openai stream": [
        {
            "id": "x",
            "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [_CALL]}}],
        },
        {"choices": [{"index": 0, "delta": {"more": "@deep@"}, "finish_reason": "tool_calls"}]},
    ],
    "anthropic": [
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "x",
            "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "@deep@"}],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
            "more": "@deep@",
        }
    ],
    "ollama": [
        {
            "model": "m",
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": "@deep@"}}],
            },
            "done": True,
            "done_reason": "stop",
            "more": "@deep@",
        }
    ],
}
"""Valid answers of each dialect, whole and streamed, around a tool call."""


def deep_answer(name: str, depth: int) -> bytes:
    texts: list[str] = []
    for part in _DEEP[name]:
        text = dumps(part).replace(b'"@deep@"', nested(depth).encode())
        texts.append(text.replace(b'"@quoted@"', dumps(nested(depth))).decode())
    match name:
        case "openai stream":
            return http(200, "".join(f"data: {text}\n\n" for text in texts), "text/event-stream")
        case "ollama":
            return http(200, f"{texts[0]}\n", "application/x-ndjson")
        case _:
            return http(200, texts[0])


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_nested_ever_so_deeply_are_passed_on_or_the_upstreams_fault(
    kind: str, autojump_clock: MockClock
) -> None:
    for depth in (240, 300, 900):
        for name in _DEEP:
            async with over(kind, always(deep_answer(name, depth))) as world:
                for path in CHAT_PATHS:
                    for streams in (False, True):
                        status, body, is_whole = await read(world, path, streams=streams)
                        assert status in (200, 502, 429), body
                        assert is_whole or streams


@pytest.mark.parametrize("value", ["9" * 30, "nan", "inf", "-5", "1e400", "soon", "Wed, 99 Foo"])
async def test_any_retry_after_is_borne(value: str, autojump_clock: MockClock) -> None:
    refusal = http(429, '{"error":{"message":"no"}}', "application/json", f"retry-after: {value}")
    async with over("openai_compatible", always(refusal)) as world:
        answer = await world.ask()
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert (await world.client.get(f"{GATEWAY}/forebay/status")).status_code == 200


DELTA = 'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}\n\n'
FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
FAILED = 'data: {"error":{"message":"boom","type":"server_error","code":null,"param":null}}\n\n'


def stream_and_hang(body: str) -> Answer:
    """A stream whose body never ends."""

    async def answer(stream: trio.abc.Stream) -> None:
        head = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
        content = body.encode()
        await stream.send_all(b"%s\r\n\r\n%x\r\n%s\r\n" % (head, len(content), content))
        while await stream.receive_some():
            pass

    return answer


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_an_upstream_that_said_all_and_hangs_holds_its_client_for_a_second_at_most(
    path: str, autojump_clock: MockClock
) -> None:
    async with over("openai_compatible", stream_and_hang(DELTA + FINISH)) as world:
        began = trio.current_time()
        answer = await world.client.post(GATEWAY + path, json=request_of(path, stream=True))
        assert answer.status_code == 200
        assert trio.current_time() - began == 1.0


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_an_upstream_that_failed_in_the_stream_and_hangs_is_not_waited_for(
    path: str, autojump_clock: MockClock
) -> None:
    async with over("openai_compatible", stream_and_hang(DELTA + FAILED)) as world:
        began = trio.current_time()
        status, received, is_whole = await read(world, path, streams=True)
        assert (status, is_whole) == (200, False)
        assert trio.current_time() == began
        assert b"boom" in received


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_frame_that_breaks_off_is_not_followed_by_another(
    path: str, autojump_clock: MockClock
) -> None:
    broken = DELTA + DELTA[:30]
    head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n"
    async with over("openai_compatible", always((head + broken).encode())) as world:
        _, received, is_whole = await read(world, path, streams=True)
        assert not is_whole
        if path == "/v1/chat/completions":  # untouched: nothing may stand inside a frame
            assert received == broken.encode()
        else:
            last = received.rstrip(b"\n").rpartition(b"\n")[2].removeprefix(b"data: ")
            assert error_message(CHAT_PATHS[path], loads_object(last), is_whole=False)
