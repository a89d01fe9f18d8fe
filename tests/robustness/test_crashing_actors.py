"""An actor that crashes is started again; what waited keeps its place and is served."""

from __future__ import annotations

import logging
from functools import partial

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.scheduling.gates import Backlog, Demand, Gate
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonObject, JsonValue

ONE_A_SECOND: dict[str, object] = {"limits": {"rpm": 60, "burst": 1}}


class PoisonedGate(Gate):
    """Fails a number of times, but only in the task that pumps a provider: sessions look at gates
    too, in tasks of their own."""

    same_for_all = True
    """So it is asked whoever waits."""

    def __init__(self, failures: int) -> None:
        super().__init__("poisoned")
        self.failures = failures

    def ready_at(self, demand: Demand, now: float) -> float:
        if self.failures and trio.lowlevel.current_task().name.endswith(".pump"):
            self.failures -= 1
            raise RuntimeError("poisoned")
        return now

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return 0.0

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"failures": self.failures}


def poison(world: World, failures: int, provider: str = "up") -> PoisonedGate:
    gate = PoisonedGate(failures)
    pool = world.gateway.providers[provider].pool
    pool.add_gate(gate)
    return gate


def poison_route(world: World) -> None:
    """A gate behind the slots: it is asked first, also while they are all taken."""
    (target,) = world.gateway.providers["up"].pool.targets.values()
    (route,) = target.routes
    route.gates = (*route.gates, PoisonedGate(1))
    target.forget_ways()


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
            poison_route(world)
            world.gateway.providers["up"].ring()
            await trio.sleep(1)
            assert (await actor(world, "provider:up"))["restarts"] == 1
            assert (world.gateway.in_flight, world.gateway.waiting) == (2, 2)
            assert world.sandbox.statistics().in_flight == 2
        assert trio.current_time() - began == 10.0
        assert world.sandbox.statistics().max_in_flight == 2
        assert await world.is_at_rest()


FOR_GOOD = 10**9
TWO_PROVIDERS: dict[str, object] = {
    "wait": {"max_wait_ms": 300_000},
    "providers": {
        name: {
            "kind": "openai_compatible",
            "base_url": f"http://{name}.test/v1",
            "limits": limits,
        }
        for name, limits in {"a": {"rpm": 60, "burst": 1}, "b": {"concurrency": 1}}.items()
    },
    "models": {
        "broken": {"targets": ["a/sandbox-chat"]},
        "either": {"targets": ["a/sandbox-chat", "b/sandbox-chat"]},
        "well": {"targets": ["b/sandbox-chat"]},
    },
}


async def told_of(world: World, name: str) -> JsonObject:
    providers = (await status(world))["providers"]
    assert isinstance(providers, list)
    (found,) = [each for each in providers if isinstance(each, dict) and each["name"] == name]
    assert isinstance(found, dict)
    return found


async def break_for_good(world: World, nursery: trio.Nursery) -> PoisonedGate:
    """Both providers are busy for 5 s, and from now on provider a's actor crashes when somebody
    waits there: for the last time after 3 s."""
    slow = SandboxOptions(latency_ms=5000)
    world.sandboxes["a"].change_options(slow)
    world.sandboxes["b"].change_options(slow)
    for model in ("broken", "well"):
        nursery.start_soon(partial(world.ask, model=model))
    await wait_all_tasks_blocked()
    return poison(world, FOR_GOOD, "a")


def two_sandboxes() -> dict[str, SandboxOptions]:
    return {"a": SandboxOptions(), "b": SandboxOptions()}


async def test_a_provider_whose_actor_does_not_get_well_is_taken_out_and_others_go_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        answers: dict[str, httpx.Response] = {}

        async def ask(model: str) -> None:
            answers[model] = await world.ask(model=model)

        async with trio.open_nursery() as nursery:
            await break_for_good(world, nursery)
            began = trio.current_time()
            for model in ("broken", "either", "well"):
                nursery.start_soon(ask, model)
            await trio.sleep(4.5)
            # Who had no other choice was told; the others wait for b.
            assert list(answers) == ["broken"]
            assert world.gateway.in_flight == 2
        assert trio.current_time() - began == pytest.approx(15)
        assert {model: answer.status_code for model, answer in answers.items()} == {
            "broken": 503,
            "either": 200,
            "well": 200,
        }
        message = answers["broken"].json()["error"]["message"]
        assert "a/sandbox-chat: the gateway keeps failing at this provider" in message
        assert "poisoned" not in message
        assert answers["either"].headers["x-forebay-target"].startswith("b/")
        a, b = await told_of(world, "a"), await told_of(world, "b")
        assert (a["state"], b["state"]) == ("resting", "running")
        assert isinstance(a["out"], dict)
        assert a["out"]["reason"] == "the gateway keeps failing at this provider"
        assert b["out"] is None
        assert (await world.client.get(f"{GATEWAY}/readyz")).status_code == 200
        messages = [record.getMessage() for record in caplog.records]
        assert any("provider a: its actor does not get well" in message for message in messages)
        assert any("provider a is out" in message for message in messages)
        assert (await actor(world, "provider:a"))["state"] == "resting"
        assert await world.is_at_rest()


async def test_a_provider_that_was_given_up_comes_back_with_its_next_trial(
    autojump_clock: MockClock,
) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            gate = await break_for_good(world, nursery)
            assert (await world.ask(model="broken")).status_code == 503
            gate.failures = 0
        assert (await told_of(world, "a"))["state"] == "resting"
        await trio.sleep(300)
        assert (await world.ask(model="broken")).status_code == 200
        a = await told_of(world, "a")
        assert (a["state"], a["out"]) == ("running", None)
        assert await world.is_at_rest()


async def test_all_answers_under_way_come_to_their_end_at_a_provider_that_is_given_up(
    autojump_clock: MockClock,
) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            await break_for_good(world, nursery)
            nursery.start_soon(partial(world.ask, model="broken"))
            await trio.sleep(4.5)
            assert (await told_of(world, "a"))["state"] == "resting"
            assert world.sandboxes["a"].statistics().in_flight == 1
        assert world.sandboxes["a"].statistics().cancelled == 0
        assert await world.is_at_rest()


async def test_a_gateway_with_a_broken_provider_ends_in_order(autojump_clock: MockClock) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            await break_for_good(world, nursery)
            assert (await world.ask(model="broken")).status_code == 503
        began = trio.current_time()
    assert trio.current_time() - began < 1


async def test_the_status_is_told_while_a_provider_restarts(autojump_clock: MockClock) -> None:
    async with (
        open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world,
        trio.open_nursery() as nursery,
    ):
        await break_for_good(world, nursery)
        nursery.start_soon(partial(world.ask, model="broken"))
        await trio.sleep(2)  # in the pause of 1.5 s before the last restart
        began = trio.current_time()
        for _ in range(30):  # more than its actor's mailbox takes
            a = await told_of(world, "a")
            assert (a["state"], a["kind"]) == ("restarting", "openai_compatible")
            assert (await told_of(world, "b"))["state"] == "running"
        assert trio.current_time() == began


class SilentGate(PoisonedGate):
    """Can't even be described."""

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        raise RuntimeError("no words")


async def test_the_status_is_told_of_all_others_if_one_provider_can_not_be_described(
    autojump_clock: MockClock,
) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        pool = world.gateway.providers["a"].pool
        pool.add_gate(SilentGate(0))
        assert await told_of(world, "a") == {"name": "a", "state": "silent"}
        assert (await told_of(world, "b"))["state"] == "running"
        assert (await world.ask(model="broken")).status_code == 200
