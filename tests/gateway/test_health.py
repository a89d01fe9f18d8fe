"""Servers that were away, failed or loaded come back without a client's request spent on it."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock
from worlds import World, open_world

from forebay.protocol.jsontext import JsonObject

ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}'
)
MODELS = b'{"object":"list","data":[{"id":"m","object":"model"}]}'
ERROR = b'{"error":{"message":"%s","type":"server_error"}}'


class Upstream:
    """A server in memory that answers by path as it is told, and notes what it was asked when."""

    def __init__(self) -> None:
        self.health: tuple[int, bytes] = (200, b'{"status":"ok"}')
        self.chat: tuple[int, bytes] = (200, ANSWER)
        self.listing: tuple[int, bytes] = (200, MODELS)
        self.asked: list[tuple[float, str]] = []

    async def serve(self, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    more = await stream.receive_some(65_536)
                    if not more:
                        return
                    buffer += more
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                while len(buffer) < length:
                    buffer += await stream.receive_some(65_536)
                buffer = buffer[length:]
                path = head.split(b" ")[1].decode()
                self.asked.append((trio.current_time(), path))
                status, body = self._answer(path)
                await stream.send_all(
                    b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n" % (status, len(body)) + body
                )

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path.endswith(("/chat/completions", "/api/chat")):
            return self.chat
        return self.listing if path.endswith(("/models", "/tags")) else self.health

    def count(self, ending: str) -> int:
        return sum(path.endswith(ending) for _, path in self.asked)

    @property
    def chats(self) -> int:
        return self.count("/chat/completions")

    @property
    def probes(self) -> int:
        return self.count("/health")


def config(**provider: object) -> dict[str, object]:
    return {
        "wait": {"max_wait_ms": 1_000_000},
        "providers": {
            "gpu": {"kind": "openai_compatible", "base_url": "http://gpu.test/v1", **provider}
        },
        "models": {"m": {"targets": ["gpu/m"]}},
    }


async def chat(world: World) -> int:
    """Its status, once it is over."""
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    return (
        await world.client.post("http://localhost/v1/chat/completions", json=request)
    ).status_code


async def probes_told(world: World) -> list[JsonObject]:
    """What ``/forebay/status`` says of the questions to the provider's hosts."""
    status = (await world.client.get("http://localhost/forebay/status")).json()
    (provider,) = status["providers"]
    told: list[JsonObject] = provider["probes"]
    return told


async def test_a_server_that_is_away_is_asked_by_questions_not_by_requests(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    up = Upstream()
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        await trio.sleep(100)  # no connection is left from the listing
        serve = world.network.unplug("gpu.test")
        answered: list[float] = []

        async def ask() -> None:
            assert await chat(world) == 200
            answered.append(trio.current_time())

        with caplog.at_level(logging.INFO, "forebay.provider"):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
                await trio.sleep(300)
                assert world.gateway.providers["gpu"].targets["m"].pooled.in_flight == 0
                returned_at = trio.current_time()
                world.network.plug("gpu.test", serve)
        assert max(answered) - returned_at < 12
        assert up.chats == 5
    assert "provider gpu: http://gpu.test/v1 is not well: could not connect to" in caplog.text
    assert "provider gpu: http://gpu.test/v1 is well again" in caplog.text


async def test_nothing_is_asked_of_a_server_that_has_not_failed(
    autojump_clock: MockClock,
) -> None:
    up = Upstream()
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        for _ in range(3):
            assert await chat(world) == 200
            await trio.sleep(1000)
        assert up.probes == 0
        assert await probes_told(world) == []


async def test_a_server_that_loads_its_model_is_waited_for(autojump_clock: MockClock) -> None:
    """llama.cpp's ``/health`` is 503 while it loads; its answers are then, too."""
    up = Upstream()
    loading = 503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        up.health = up.chat = loading
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append(await chat(world))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
            await trio.sleep(200)
            spent = up.chats
            (told,) = await probes_told(world)
            assert told["ok"] is False
            assert told["asking"] is True
            assert told["detail"] == (
                "GET http://gpu.test/health answered with status 503: Loading model"
            )
            up.health, up.chat = Upstream().health, Upstream().chat
            began = trio.current_time()
        assert statuses == [200] * 4
        assert trio.current_time() - began < 12
        assert spent <= 4  # all who stood first, once; not one every few seconds
        (told,) = await probes_told(world)
        assert told["ok"] is True
        assert told["asking"] is False


async def test_a_server_that_fails_and_answers_questions_well_is_not_flooded(
    autojump_clock: MockClock,
) -> None:
    """A question that goes well lets one call try sooner; when that fails, the circuit's own
    pauses count."""
    up = Upstream()
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        up.chat = 500, ERROR % b"CUDA out of memory"
        for _ in range(6):
            assert await chat(world) == 502
        asked_before, began = up.chats, trio.current_time()
        with trio.move_on_after(300):
            while True:
                await chat(world)
        assert up.chats - asked_before < 40
        assert up.probes < 40
        assert trio.current_time() - began >= 300


async def test_an_open_circuit_closes_sooner_when_the_server_answers_again(
    autojump_clock: MockClock,
) -> None:
    up = Upstream()
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        up.chat = up.health = 500, ERROR % b"broken"
        for _ in range(4):
            assert await chat(world) == 502
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_expect, world, 200))
            await trio.sleep(60)
            spent = up.chats
            up.chat, up.health = Upstream().chat, Upstream().health
            began = trio.current_time()
        assert trio.current_time() - began < 12
        assert up.chats == spent + 1  # it failed once, which opened the circuit
        assert spent == 4 * 3 + 1


async def _expect(world: World, status: int) -> None:
    assert await chat(world) == status


async def test_while_nobody_waits_a_server_that_is_away_is_asked_once_a_minute(
    autojump_clock: MockClock,
) -> None:
    up = Upstream()
    async with open_world(config(), hosts={"gpu.test": up.serve}) as world:
        up.chat = up.health = 503, ERROR % b"Loading model"
        with trio.move_on_after(5):
            await chat(world)
        before = up.probes
        await trio.sleep(600)
        assert 5 <= up.probes - before <= 25
        up.health = 200, b"{}"
        await trio.sleep(61)
        before = up.probes
        await trio.sleep(600)
        assert up.probes == before


async def test_hosts_are_asked_apart_and_others_serve_meanwhile(
    autojump_clock: MockClock,
) -> None:
    one, other = Upstream(), Upstream()
    settings = config()
    settings["providers"] = {
        "gpu": {
            "kind": "ollama",
            "hosts": ["http://one.test", "http://other.test"],
            "limits": {"concurrency": 1},
        }
    }
    body = (
        b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant",'
        b'"content":"hi"},"done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":1}'
    )

    for up in (one, other):
        up.health = 200, b'{"version":"0.9.0"}'
        up.chat, up.listing = (200, body), (200, b'{"models":[]}')
    async with open_world(settings, hosts={"other.test": other.serve}) as world:

        async def is_served() -> None:
            assert await chat(world) == 200

        for _ in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(is_served)
                nursery.start_soon(is_served)
            await trio.sleep(1)
        (told,) = await probes_told(world)
        assert told["host"] == "http://one.test"
        assert told["ok"] is False
        world.network.plug("one.test", one.serve)
        await trio.sleep(61)
        assert one.count("/api/version") == 1
        assert other.count("/api/version") == 0
        (told,) = await probes_told(world)
        assert told["ok"] is True


async def test_a_key_is_never_told_with_what_a_question_found(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    up = Upstream()
    key = "sk-SECRET-1234567890"
    async with open_world(config(api_key=key), hosts={"gpu.test": up.serve}) as world:
        up.chat = up.health = 503, ERROR % key.encode()
        with trio.move_on_after(5):
            await chat(world)
        (told,) = await probes_told(world)
        assert "[secret]" in str(told["detail"])
        assert "SECRET" not in str(told) + caplog.text
