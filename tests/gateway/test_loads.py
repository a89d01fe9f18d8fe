"""Minutes of load in virtual time: what an upstream allows is used, and hardly anything refused."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock
from worlds import World, open_world

from forebay.actors.gateway import Client
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.requests import ChatRequest, user_turn

_REQUEST = ChatRequest(model="fast", turns=(user_turn("hello"),))
_CLIENTS = [Client(name=f"client-{number}") for number in range(50)]


@dataclass
class Load:
    """What came of a load."""

    world: World
    began: float = field(default_factory=trio.current_time)
    answered: list[tuple[float, float]] = field(default_factory=list)
    """(when, how long it took)"""

    async def ask(self, client: Client) -> None:
        asked = trio.current_time()
        await self.world.gateway.chat(_REQUEST, client=client).response()
        now = trio.current_time()
        self.answered.append((now - self.began, now - asked))

    async def open_loop(self, *, rate: float, seconds: float) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(round(rate * seconds)):
                await trio.sleep_until(self.began + number / rate)
                nursery.start_soon(self.ask, _CLIENTS[number % len(_CLIENTS)])

    async def closed_loop(self, *, seconds: float) -> None:
        async def ask_again(client: Client) -> None:
            while True:
                await self.ask(client)

        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for client in _CLIENTS:
                    nursery.start_soon(ask_again, client)

    @property
    def refused_share(self) -> float:
        counted = self.world.sandbox.statistics()
        return sum(counted.refused.values()) / counted.received


@pytest.mark.parametrize("limits", [{"rpm": 600, "burst": 10}, {}], ids=["configured", "unknown"])
async def test_three_times_too_much_is_all_answered(
    limits: dict[str, object], autojump_clock: MockClock
) -> None:
    sandbox = SandboxOptions(requests_per_minute=600, burst=10)
    async with open_world(sandboxes={"up": sandbox}, provider={"limits": limits}) as world:
        load = Load(world)
        await load.open_loop(rate=30, seconds=60)
        assert len(load.answered) == 1800
        last = max(at for at, _ in load.answered)
        assert 1800 / (10 + 10 * last) >= 0.98
        assert load.refused_share <= (0.01 if limits else 0.05)
        assert await world.is_at_rest()


@pytest.mark.parametrize("limits", [{"rpm": 600, "burst": 10}, {}], ids=["configured", "unknown"])
async def test_equal_clients_in_a_closed_loop_wait_alike(
    limits: dict[str, object], autojump_clock: MockClock
) -> None:
    sandbox = SandboxOptions(requests_per_minute=600, burst=10)
    async with open_world(sandboxes={"up": sandbox}, provider={"limits": limits}) as world:
        load = Load(world)
        await load.closed_loop(seconds=60)
        assert len(load.answered) / (10 + 10 * 60) >= 0.98
        assert load.refused_share <= (0.01 if limits else 0.05)
        # Once all wait: after the burst and the first round of everybody.
        settled = [took for at, took in load.answered if at > 12]
        assert max(settled) <= 1.1 * statistics.median(settled)


@pytest.mark.parametrize("limits", [{"concurrency": 4}, {}], ids=["configured", "unknown"])
async def test_slots_are_kept_busy(limits: dict[str, object], autojump_clock: MockClock) -> None:
    sandbox = SandboxOptions(concurrency=4, latency_ms=200)
    async with open_world(sandboxes={"up": sandbox}, provider={"limits": limits}) as world:
        load = Load(world)
        await load.closed_loop(seconds=60)
        assert len(load.answered) * 0.2 / (4 * 60) >= 0.97
        assert load.refused_share <= (0.01 if limits else 0.05)
        settled = [took for at, took in load.answered if at > 6]
        assert max(settled) <= 1.1 * statistics.median(settled)
