"""An actor that crashes is started again; what waited keeps its place and is served."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.scheduling.gates import Demand, Gate
from forebay.protocol.jsontext import JsonObject, JsonValue

ONE_A_SECOND: dict[str, object] = {"limits": {"rpm": 60, "burst": 1}}


class PoisonedGate(Gate):
    """Fails a number of times, but only in the task that pumps a provider: sessions look at gates
    too, in tasks of their own."""

    def __init__(self, failures: int) -> None:
        super().__init__("poisoned")
        self.failures = failures

    def ready_at(self, demand: Demand, now: float) -> float:
        if self.failures and trio.lowlevel.current_task().name.endswith(".pump"):
            self.failures -= 1
            raise RuntimeError("poisoned")
        return now

    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        return 0.0

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"failures": self.failures}


def poison(world: World, failures: int) -> PoisonedGate:
    gate = PoisonedGate(failures)
    pool = world.gateway.providers["up"].pool
    pool.gates = (*pool.gates, gate)
    return gate


async def status(world: World) -> JsonObject:
    answer = await world.client.get(f"{GATEWAY}/forebay/status")
    assert answer.status_code == 200
    body: JsonObject = answer.json()
    return body


async def actor(world: World, name: str) -> dict[str, JsonValue]:
    tree = (await status(world))["actors"]
    assert isinstance(tree, dict)
    children = tree["children"]
    assert isinstance(children, list)
    (found,) = [child for child in children if isinstance(child, dict) and child["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("crashes", [1, 4])
async def test_a_providers_crash_costs_nobody_its_place(
    crashes: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(provider=ONE_A_SECOND) as world:
        await world.ask()
        served: list[int] = []
        at: list[float] = []
        began = trio.current_time()

        async def ask(number: int) -> None:
            answer = await world.ask(f"{number}")
            assert answer.status_code == 200
            served.append(number)
            at.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(ask, number)
                await wait_all_tasks_blocked()
            gate = poison(world, crashes)
            await trio.sleep(0.5)
            assert world.gateway.waiting == 6
        assert served == list(range(6))
        assert gate.failures == 0
        # The restarts' pauses, doubled from 0.1 s, are all that it cost.
        assert 1.0 < at[0] <= 1.0 + 0.1 * (2**crashes - 1)
        assert at[-1] <= 6.0 + 0.1 * (2**crashes - 1)
        found = await actor(world, "provider:up")
        assert (found["state"], found["restarts"]) == ("running", crashes)
        crashed = [record for record in caplog.records if "crashed and restarts" in record.message]
        assert len(crashed) == crashes
        assert all(record.levelno == logging.ERROR for record in crashed)
        assert await world.is_at_rest()


async def test_who_comes_or_leaves_while_a_provider_restarts_is_treated_as_ever(
    autojump_clock: MockClock,
) -> None:
    async with open_world(provider=ONE_A_SECOND) as world:
        await world.ask()
        served: list[str] = []

        async def ask(name: str) -> None:
            assert (await world.ask(name)).status_code == 200
            served.append(name)

        async with trio.open_nursery() as nursery:
            leaver = trio.CancelScope()

            async def leave() -> None:
                with leaver:
                    await ask("leaves")

            nursery.start_soon(leave)
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "stays")
            await wait_all_tasks_blocked()
            poison(world, 1)
            # At 1.0 s the pump fails, and the actor pauses for about 0.1 s.
            await trio.sleep_until(trio.current_time() + 1.05)
            tree = world.gateway.system.tree(limit=100)
            states = {child.name: child.state.value for child in tree.children}
            assert states["provider:up"] == "starting"
            leaver.cancel()
            nursery.start_soon(ask, "comes")
        assert served == ["stays", "comes"]
        assert await world.is_at_rest()


async def test_a_crash_ends_neither_the_calls_under_way_nor_what_is_known_of_them(
    autojump_clock: MockClock,
) -> None:
    provider = {"limits": {"concurrency": 2}}
    async with open_world(provider=provider) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 5000}))
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            for number in range(4):
                nursery.start_soon(world.ask, f"{number}")
            await wait_all_tasks_blocked()
            poison(world, 1)
            world.gateway.providers["up"].ring()
            await trio.sleep(1)
            assert (await actor(world, "provider:up"))["restarts"] == 1
            assert (world.gateway.in_flight, world.gateway.waiting) == (2, 2)
            assert world.sandbox.statistics().in_flight == 2
        assert trio.current_time() - began == 10.0
        assert world.sandbox.statistics().max_in_flight == 2
        assert await world.is_at_rest()
