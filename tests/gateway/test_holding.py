"""Held answers: silence, the commit point, keep-alives of each dialect, and breaking off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import pytest
import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

from forebay.protocol.jsontext import JsonObject

CHATS: Mapping[str, tuple[str, JsonObject]] = {
    "openai": ("/v1/chat/completions", {}),
    "anthropic": ("/v1/messages", {"max_tokens": 100}),
    "ollama": ("/api/chat", {}),
}


@dataclass
class Held:
    """What a client saw of a held answer, and when."""

    status: int
    headers: httpx.Headers
    head_at: float
    pieces: list[tuple[float, bytes]]
    broke_off: bool

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def arrivals(self, until: float) -> list[tuple[float, bytes]]:
        return [(round(at, 3), piece) for at, piece in self.pieces if at < until]


async def hold(
    world: World,
    dialect: str,
    *,
    stream: bool = True,
    headers: Mapping[str, str] | None = None,
    text: str = "hello",
) -> Held:
    path, fields = CHATS[dialect]
    began = trio.current_time()
    pieces: list[tuple[float, bytes]] = []
    broke_off = False
    async with world.client.stream(
        "POST",
        GATEWAY + path,
        json={
            "model": "fast",
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
            **fields,
        },
        headers=headers,
    ) as answer:
        head_at = trio.current_time() - began
        try:
            async for piece in answer.aiter_raw():
                pieces.append((trio.current_time() - began, piece))  # noqa: PERF401  # a break keeps what came
        except httpx.RemoteProtocolError:
            broke_off = True
    return Held(answer.status_code, answer.headers, head_at, pieces, broke_off)


def _slow_provider(wait: Mapping[str, object] | None = None) -> dict[str, object]:
    """One request every 40 s, the first one taken."""
    config = one_provider(limits={"rpm": 1.5, "burst": 1})
    config["wait"] = {"max_wait_ms": 100_000, **(wait or {})}
    return config


KEEP_ALIVES = {
    "openai": b": queued\n\n",
    "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n',
}


@pytest.mark.parametrize("dialect", CHATS)
async def test_traps_95_96_98_a_queued_stream_is_kept_alive_in_its_dialect(
    dialect: str, autojump_clock: MockClock
) -> None:
    async with open_world(_slow_provider()) as world:
        await world.ask()
        held = await hold(world, dialect)
        assert held.status == 200
        assert held.head_at == 15.0
        kept_alive = held.arrivals(until=40)
        assert [at for at, _ in kept_alive] == [15.0, 25.0, 35.0]
        for _, piece in kept_alive:
            if dialect == "ollama":
                assert piece.endswith(b'"content":""},"done":false}\n')
                assert piece.count(b"\n") == 1
            else:
                assert piece == KEEP_ALIVES[dialect]
        assert held.pieces[-1][0] == 40.0
        assert not held.broke_off


@pytest.mark.parametrize("dialect", CHATS)
async def test_the_deadline_after_the_commit_is_an_error_in_the_stream_and_a_cut(
    dialect: str, autojump_clock: MockClock
) -> None:
    async with open_world(_slow_provider({"max_wait_ms": 30_000})) as world:
        await world.ask()
        held = await hold(world, dialect)
        assert held.status == 200
        assert held.broke_off
        at, last = held.pieces[-1]
        assert round(at, 3) == 30.0
        match dialect:
            case "openai":
                assert last.startswith(b'data: {"error":{')
                assert b"[DONE]" not in held.body
            case "anthropic":
                assert last.startswith(b"event: error\n")
                assert b"message_stop" not in held.body
            case "ollama":
                assert last.startswith(b'{"error":')
                assert b'"done":true' not in held.body
        assert await world.is_at_rest()


@pytest.mark.parametrize("dialect", CHATS)
async def test_the_deadline_before_the_commit_is_a_true_429(
    dialect: str, autojump_clock: MockClock
) -> None:
    async with open_world(_slow_provider({"max_wait_ms": 2000})) as world:
        await world.ask()
        for stream in (True, False):
            held = await hold(world, dialect, stream=stream)
            assert (held.status, held.head_at) == (429, 2.0)
            assert held.headers["x-should-retry"] == "false"
            assert int(held.headers["retry-after"]) in (36, 37, 38)
            assert held.headers["x-forebay-waited-ms"] == "2000"
            assert held.headers["x-forebay-blocked-by"] == "up: requests per minute"
            assert held.headers["x-forebay-position"] == "1"
            assert not held.broke_off
            await trio.sleep(-trio.current_time() % 0.5)


async def test_silent_streams_stay_silent(autojump_clock: MockClock) -> None:
    async with open_world(_slow_provider()) as world:
        await world.ask()
        held = await hold(world, "openai", headers={"x-forebay-hold": "silent"})
        assert held.head_at == 40.0
        assert not held.body.startswith(b":")


async def test_trap_99_a_whole_answer_stays_silent_unless_asked(
    autojump_clock: MockClock,
) -> None:
    async with open_world(_slow_provider({"json_keepalive_after_ms": 20_000})) as world:
        await world.ask()
        silent = await hold(world, "openai", stream=False)
        assert silent.head_at == 40.0
        assert silent.headers["content-length"]
        kept = await hold(world, "openai", stream=False, headers={"x-forebay-hold": "keepalive"})
        assert kept.head_at == 20.0
        assert kept.headers["content-type"] == "application/json"
        assert kept.arrivals(until=40) == [(20.0, b"\n"), (30.0, b"\n")]
        assert kept.body.lstrip().startswith(b"{")


async def test_trap_100_a_whole_answer_that_fails_after_the_commit_is_cut(
    autojump_clock: MockClock,
) -> None:
    wait = {"json_keepalive_after_ms": 10_000, "max_wait_ms": 25_000}
    async with open_world(_slow_provider(wait)) as world:
        await world.ask()
        held = await hold(world, "openai", stream=False, headers={"x-forebay-hold": "keepalive"})
        assert held.broke_off
        assert held.body.strip() == b""


async def test_a_silent_upstream_is_bridged_between_pieces(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.sandbox.change_options(
            world.sandbox.options.changed({"token_interval_ms": 24_000, "reply_tokens": 4})
        )
        held = await hold(world, "openai", text="x")
        comments = [at for at, piece in held.pieces if piece.startswith(b": ")]
        assert len(comments) >= 2
        assert held.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("dialect", CHATS)
async def test_an_answer_held_for_twenty_minutes_still_arrives(
    dialect: str, autojump_clock: MockClock
) -> None:
    config = one_provider(limits={"rpm": 0.05, "burst": 1})
    config["wait"] = {"max_wait_ms": 3_600_000}
    async with open_world(config) as world:
        await world.ask()
        async with trio.open_nursery() as nursery:
            whole: list[Held] = []

            async def ask_whole() -> None:
                whole.append(await hold(world, dialect, stream=False))

            nursery.start_soon(ask_whole)
        assert whole[0].status == 200
        assert whole[0].head_at == pytest.approx(1200, abs=0.01)


async def test_the_request_itself_may_lower_its_wait(autojump_clock: MockClock) -> None:
    async with open_world(_slow_provider()) as world:
        await world.ask()
        lowered = await hold(world, "openai", headers={"x-forebay-max-wait-ms": "700"})
        assert (lowered.status, lowered.head_at) == (429, 0.7)
        raised = await hold(world, "openai", headers={"x-forebay-max-wait-ms": "999999999"})
        assert raised.status == 200
        at_once = await hold(world, "openai", headers={"x-forebay-max-wait-ms": "0"})
        assert (at_once.status, at_once.head_at) == (429, 0.0)
        wrong = await hold(world, "openai", headers={"x-forebay-max-wait-ms": "soon"})
        assert wrong.status == 400
        assert b"x-forebay-max-wait-ms" in wrong.body
        wrong = await hold(world, "openai", headers={"x-forebay-hold": "forever"})
        assert wrong.status == 400


async def test_no_wait_is_served_at_once_where_there_is_room(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        held = await hold(world, "openai", headers={"x-forebay-max-wait-ms": "0"})
        assert held.status == 200


async def test_trap_94_a_client_that_leaves_mid_stream_ends_the_upstream_call(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        world.sandbox.change_options(world.sandbox.options.changed({"token_interval_ms": 1000}))
        with trio.move_on_after(3):
            await hold(world, "openai")
        left_at = trio.current_time()
        assert await world.is_at_rest()
        assert world.sandbox.statistics().cancelled == 1
        assert world.sandbox.statistics().in_flight == 0
        assert trio.current_time() - left_at <= 0.1
