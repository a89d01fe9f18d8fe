"""Requests that break their upstream every time they are sent do not close it to others."""

from __future__ import annotations

import trio
from trio.testing import MockClock
from worlds import World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

BREAKER = "up/sandbox-chat: circuit breaker"
TO_OPEN = 5
"""Failures in a row that open a breaker."""


async def breaker(world: World) -> dict[str, float | int | str | None]:
    (provider,) = (await world.gateway.status()).providers
    (target,) = provider.targets
    return target.gates[BREAKER]


async def test_the_repeats_of_one_request_count_as_one_failure(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for number in range(1, TO_OPEN):
            answer = await world.ask(f"[[fault: 500]] {number}")
            assert answer.status_code == 502
            assert answer.headers["x-forebay-attempts"] == "3"
            assert await breaker(world) == {"state": "closed", "consecutive_failures": number}
        began = trio.current_time()
        assert (await world.ask()).status_code == 200
        assert trio.current_time() - began < 2.0, "only a cooldown, no breaker's pause"
        assert await breaker(world) == {"state": "closed", "consecutive_failures": 0}
        assert await world.is_at_rest()


async def test_many_requests_that_break_open_the_breaker_still(autojump_clock: MockClock) -> None:
    """An upstream that fails whoever asks is not well."""
    async with open_world() as world, trio.open_nursery() as nursery:
        for number in range(TO_OPEN):
            nursery.start_soon(world.ask, f"[[fault: 500, times=1]] {number}")
        await trio.sleep(0.01)
        assert (await breaker(world))["state"] == "open"
        began = trio.current_time()
        assert (await world.ask()).status_code == 200
        assert trio.current_time() - began >= 2.0


async def test_connections_that_can_not_be_made_count_each_time(autojump_clock: MockClock) -> None:
    """No request is at fault where none was sent."""
    async with open_world() as world:
        world.network.unplug("up.test")
        await trio.sleep(90)
        with trio.move_on_after(30):
            await world.ask()
        assert (await breaker(world))["state"] == "open"


async def test_a_repeat_that_probes_leaves_the_probe_to_the_next(autojump_clock: MockClock) -> None:
    """Else a request that breaks its upstream would prolong the pause by each of its attempts."""
    async with open_world() as world, trio.open_nursery() as nursery:
        answers: list[int] = []

        async def ask(text: str) -> None:
            answers.append((await world.ask(text)).status_code)

        # Its first failure opens the breaker together with those of four others.
        nursery.start_soon(ask, "[[fault: 500]] poison")
        for number in range(TO_OPEN - 1):
            nursery.start_soon(ask, f"[[fault: 500, times=1]] {number}")
        await trio.sleep(0.01)
        assert (await breaker(world))["state"] == "open"
        began = trio.current_time()
        await trio.sleep(5.1)  # one pause of the breaker, at most
        assert sorted(answers) == [200] * 4 + [502]
        assert (await breaker(world))["state"] == "closed"
        assert trio.current_time() - began < 5.2


async def test_a_request_that_breaks_all_hosts_counts_once_at_each(
    autojump_clock: MockClock,
) -> None:
    hosts = ["http://one.test", "http://two.test"]
    config = {
        "providers": {"up": {"kind": "ollama", "hosts": hosts}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    boxes = {name: SandboxOptions() for name in ("one", "two")}
    async with open_world(config, sandboxes=boxes) as world:
        assert (await world.ask("[[fault: 500]]")).status_code == 502
        (provider,) = (await world.gateway.status()).providers
        (target,) = provider.targets
        counted = [
            target.gates[f"up/sandbox-chat at host {number}: circuit breaker"] for number in (1, 2)
        ]
        assert counted == [{"state": "closed", "consecutive_failures": 1}] * 2


async def test_a_request_that_breaks_one_target_is_tried_at_another(
    autojump_clock: MockClock,
) -> None:
    config = one_provider()
    config["providers"] = {
        name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1"}
        for name in ("first", "second")
    }
    config["models"] = {"fast": {"targets": ["first/sandbox-chat", "second/sandbox-chat"]}}
    boxes = {"first": SandboxOptions(fault_every={"500": 1}), "second": SandboxOptions()}
    async with open_world(config, sandboxes=boxes) as world:
        for _ in range(3):
            answer = await world.ask()
            assert answer.headers["x-forebay-target"] == "second/sandbox-chat"
