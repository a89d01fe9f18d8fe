"""Trap 6: a request's query leads nowhere else, and goes along to an Anthropic upstream only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from spoken_errors import CHAT_PATHS, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions, serve_connection

KINDS: dict[str, dict[str, object]] = {
    "openai": {"base_url": "http://up.test/v1", "api_key": "k"},
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
    "sandbox": {"base_url": "http://up.test"},
}


@dataclass
class Tapped:
    """A world whose wire to its provider is overheard."""

    world: World
    targets: list[str] = field(default_factory=list)
    """Of the POST requests: path and query as they were sent."""

    async def post(self, path_and_query: str) -> str:
        """What the provider was asked for this request, which must be answered."""
        path = path_and_query.partition("?")[0]
        answer = await self.world.client.post(GATEWAY + path_and_query, json=request_of(path))
        assert answer.status_code == 200, answer.text
        return self.targets[-1]


class _Tap(trio.abc.Stream):
    """Notes the targets of requests and passes everything on."""

    def __init__(self, stream: trio.abc.Stream, targets: list[str]) -> None:
        self._stream = stream
        self._targets = targets

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received = await self._stream.receive_some(max_bytes)
        if received.startswith(b"POST "):
            self._targets.append(received.split(b" ", 2)[1].decode())
        return received

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def tapped(kind: str) -> AsyncIterator[Tapped]:
    config: dict[str, object] = {
        "providers": {"up": {"kind": kind, **KINDS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    async with open_world(config, sandboxes={"up": SandboxOptions()}) as world:
        tap = Tapped(world)

        async def serve(stream: trio.abc.Stream) -> None:
            await serve_connection(_Tap(stream, tap.targets), sandbox=world.sandbox)

        world.network.unplug("up.test")
        await trio.sleep(120)  # until the connection that listed the models is too old to be used
        world.network.plug("up.test", serve)
        yield tap


async def test_trap_6_the_query_goes_along_to_anthropic(autojump_clock: MockClock) -> None:
    async with tapped("anthropic") as tap:
        assert await tap.post("/v1/messages?beta=true") == "/v1/messages?beta=true"
        assert await tap.post("/v1/messages") == "/v1/messages"
        assert await tap.post("/v1/messages?") == "/v1/messages"
        assert await tap.post("/v1/messages?a=1&beta=true&b=") == "/v1/messages?a=1&beta=true&b="


async def test_trap_6_a_name_that_comes_twice_goes_along_twice(autojump_clock: MockClock) -> None:
    async with tapped("anthropic") as tap:
        asked = await tap.post("/v1/messages?beta=true&beta=x&a=1&max_wait_ms=9&beta=true")
        assert asked == "/v1/messages?beta=true&beta=x&a=1&beta=true"


async def test_trap_6_the_gateways_own_query_stays_here(autojump_clock: MockClock) -> None:
    async with tapped("anthropic") as tap:
        assert await tap.post("/v1/messages?max_wait_ms=9000") == "/v1/messages"
        asked = await tap.post("/v1/messages?max_wait_ms=9000&beta=true")
        assert asked == "/v1/messages?beta=true"


async def test_trap_6_a_query_can_not_break_out_of_its_place(autojump_clock: MockClock) -> None:
    async with tapped("anthropic") as tap:
        asked = await tap.post("/v1/messages?a=%23x%26y%3D%20%0D%0Ax:%20y&%C3%A9=%2F")
        assert asked == "/v1/messages?a=%23x%26y%3D%20%0D%0Ax%3A%20y&%C3%A9=%2F"
        long = "x" * 10_000
        assert await tap.post(f"/v1/messages?a={long}") == f"/v1/messages?a={long}"


async def test_trap_6_no_query_of_another_dialect_goes_to_anthropic(
    autojump_clock: MockClock,
) -> None:
    async with tapped("anthropic") as tap:
        for path in CHAT_PATHS:
            if path != "/v1/messages":
                assert await tap.post(f"{path}?beta=true") == "/v1/messages"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "anthropic"])
async def test_trap_6_no_other_provider_sees_a_query(kind: str, autojump_clock: MockClock) -> None:
    async with tapped(kind) as tap:
        for path in CHAT_PATHS:
            assert "?" not in await tap.post(f"{path}?beta=true&x=1")
