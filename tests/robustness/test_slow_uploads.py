"""A body has its size set aside while it arrives: it must arrive. In virtual time, exact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from spoken_errors import CHAT_PATHS, assert_spoken, request_of
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from worlds import World, open_world

from forebay.endpoints.bodies import BodyLimits
from forebay.endpoints.serving import serve_stream
from forebay.protocol.jsontext import dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

CHAT = "/v1/chat/completions"
LARGE = 1_000_000
GRACE = 20.0
RATE = 10_000


def config(**server: int) -> dict[str, object]:
    return {
        "server": {
            "max_body_bytes": LARGE,
            "waiting_bytes": 2 * LARGE,
            "body_min_bytes_per_second": RATE,
            **server,
        },
        "wait": {"max_wait_ms": 600_000},
        "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }


def sized(size: int) -> bytes:
    """A small request in a body of ``size`` bytes."""
    return dumps(request_of(CHAT)).ljust(size)


@dataclass
class Uploader:
    """A client that sends its body as it likes."""

    stream: trio.abc.Stream
    began: float

    async def drip(self, body: bytes, *, piece: int, every: float) -> None:
        """Sends ``piece`` bytes at a time, and goes on whatever the server says."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for start in range(0, len(body), piece):
                await self.stream.send_all(body[start : start + piece])
                await trio.sleep(every)

    async def answer(self) -> tuple[float, int, dict[str, str], bytes]:
        """When it came, its status, headers and body."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self.stream.receive_some()
        at = trio.current_time() - self.began
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += await self.stream.receive_some()
        return at, int(first.split()[1]), headers, body


async def begin(
    world: World, nursery: trio.Nursery, *, size: int | None, path: str = CHAT
) -> Uploader:
    """A client that has sent its head, which announces ``size``, or chunks."""
    near, far = memory_stream_pair()
    nursery.start_soon(partial(serve_stream, world.app, far, state=world.serving))
    length = "transfer-encoding: chunked" if size is None else f"content-length: {size}"
    await near.send_all(f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{length}\r\n\r\n".encode())
    await wait_all_tasks_blocked()
    return Uploader(near, trio.current_time())


@asynccontextmanager
async def uploading(**server: int) -> AsyncIterator[tuple[World, trio.Nursery]]:
    async with open_world(config(**server)) as world:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(3600):
                yield world, nursery
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_drip_is_answered_408_in_its_dialect_after_the_grace_and_gives_its_bytes_back(
    path: str, autojump_clock: MockClock
) -> None:
    async with uploading() as (world, nursery):
        client = await begin(world, nursery, size=LARGE, path=path)
        assert world.gateway.waiting_bytes.lent == LARGE
        nursery.start_soon(partial(client.drip, bytes(LARGE), piece=1, every=1))
        at, status, headers, body = await client.answer()
        assert at == pytest.approx(GRACE + 21 / RATE)
        message = assert_spoken(CHAT_PATHS[path], 408, status, headers, body)
        assert "too slowly: after 20 seconds it must have come at 10000 bytes" in message
        assert headers["connection"] == "close"
        assert world.gateway.waiting_bytes.lent == 0


async def test_a_body_without_a_length_must_arrive_as_fast(autojump_clock: MockClock) -> None:
    async with uploading() as (world, nursery):
        client = await begin(world, nursery, size=None)
        nursery.start_soon(partial(client.drip, b"1\r\n \r\n" * 1000, piece=6, every=1))
        at, status, _, _ = await client.answer()
        assert (round(at, 1), status) == (GRACE, 408)


@pytest.mark.parametrize(("bytes_per_second", "expected"), [(10_100, 200), (9_000, 408)])
async def test_the_speed_counts_on_average_and_after_the_grace_only(
    bytes_per_second: int, expected: int, autojump_clock: MockClock
) -> None:
    async with uploading(body_grace_ms=5000) as (world, nursery):
        body = sized(LARGE)
        client = await begin(world, nursery, size=LARGE)
        nursery.start_soon(partial(client.drip, body, piece=bytes_per_second // 2, every=0.5))
        at, status, _, _ = await client.answer()
        assert status == expected
        # The slow one falls behind by 1,000 bytes a second, and had a start of 5 s in hand.
        assert at == pytest.approx(99.25 if expected == 200 else 50, abs=1.0)


async def test_who_began_fast_may_not_then_drip_for_ever(autojump_clock: MockClock) -> None:
    async with uploading() as (world, nursery):
        client = await begin(world, nursery, size=LARGE)
        await client.stream.send_all(bytes(LARGE // 2))
        nursery.start_soon(partial(client.drip, bytes(LARGE), piece=1, every=30))
        at, status, _, _ = await client.answer()
        assert (round(at), status) == (GRACE + LARGE // 2 // RATE, 408)


async def test_silence_still_ends_before_the_speed_does(autojump_clock: MockClock) -> None:
    async with uploading(body_idle_ms=7000) as (world, nursery):
        client = await begin(world, nursery, size=LARGE)
        await client.stream.send_all(bytes(LARGE // 2))
        at, status, _, body = await client.answer()
        assert (at, status) == (7.0, 408)
        assert b"no more of the request came for 7 seconds" in body


async def test_waiting_for_room_does_not_count_against_the_client(
    autojump_clock: MockClock,
) -> None:
    async with uploading() as (world, nursery):
        for _ in range(2):
            await begin(world, nursery, size=LARGE)
        patient = await begin(world, nursery, size=LARGE)
        assert world.gateway.waiting_bytes.waiting == 1
        await trio.sleep(GRACE - 1)
        assert world.gateway.waiting_bytes.waiting == 1
        await trio.sleep(2)  # the two before it have had their time
        assert (world.gateway.waiting_bytes.waiting, world.gateway.waiting_bytes.lent) == (0, LARGE)
        await trio.sleep(GRACE - 2)
        await patient.stream.send_all(sized(LARGE))
        at, status, _, _ = await patient.answer()
        assert status == 200
        assert at > 2 * GRACE - 2


async def test_drips_can_not_keep_the_room_from_others(autojump_clock: MockClock) -> None:
    async with uploading() as (world, nursery):
        for _ in range(2):
            client = await begin(world, nursery, size=LARGE)
            nursery.start_soon(partial(client.drip, bytes(LARGE), piece=10, every=1))
        began = trio.current_time()
        assert (await world.ask()).status_code == 200
        assert trio.current_time() - began < GRACE + 1


def test_every_size_has_its_time() -> None:
    limits = BodyLimits(
        largest=100, idle_seconds=1, grace_seconds=GRACE, least_bytes_per_second=RATE
    )
    assert [limits.seconds_for(size) for size in (0, 1, RATE, 10 * RATE)] == [
        GRACE,
        GRACE + 1 / RATE,
        GRACE + 1,
        GRACE + 10,
    ]
