"""What a full queue, and a full budget of waiting bytes, do to others. In virtual time, exact."""

from __future__ import annotations

from functools import partial

import httpx
import pytest
import trio
from spoken_errors import CHAT_PATHS, assert_spoken, request_of
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

EXHAUSTED: dict[str, object] = {"limits": {"rpm": 0.001, "burst": 1}}
TWO_PROVIDERS: dict[str, object] = {
    "wait": {"max_wait_ms": 600_000},
    "providers": {
        "a": {"kind": "openai_compatible", "base_url": "http://a.test/v1", **EXHAUSTED},
        "b": {"kind": "openai_compatible", "base_url": "http://b.test/v1"},
    },
    "models": {
        "full": {"targets": ["a/sandbox-chat"]},
        "fast": {"targets": ["b/sandbox-chat"]},
        "either": {"targets": ["a/sandbox-chat", "b/sandbox-chat"]},
    },
}


def two_sandboxes() -> dict[str, SandboxOptions]:
    return {"a": SandboxOptions(), "b": SandboxOptions(latency_ms=250)}


async def fill(world: World, nursery: trio.Nursery, count: int) -> None:
    """Exhaust provider a, and let ``count`` jobs wait for it."""
    await world.ask(model="full")
    for number in range(count):
        nursery.start_soon(partial(world.ask, f"{number}", model="full"))
    await wait_all_tasks_blocked()
    assert world.gateway.waiting == count


async def test_a_full_queue_adds_nothing_to_another_models_wait(
    autojump_clock: MockClock,
) -> None:
    async with open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            await fill(world, nursery, 500)
            for model in ("fast", "either", "b/sandbox-small"):
                for _ in range(3):
                    began = trio.current_time()
                    answer = await world.ask(model=model)
                    assert answer.status_code == 200
                    assert answer.headers["x-forebay-target"].startswith("b/")
                    assert answer.headers["x-forebay-waited-ms"] == "0"
                    # The upstream's own latency, and not a microsecond more.
                    assert trio.current_time() - began == 0.25
            assert world.gateway.waiting == 500
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()


async def test_a_burst_takes_as_long_whether_another_models_queue_is_full_or_not(
    autojump_clock: MockClock,
) -> None:
    took: list[float] = []
    for queued in (0, 500):
        async with (
            open_world(TWO_PROVIDERS, sandboxes=two_sandboxes()) as world,
            trio.open_nursery() as nursery,
        ):
            await fill(world, nursery, queued)
            began = trio.current_time()
            async with trio.open_nursery() as burst:
                for number in range(100):
                    burst.start_soon(world.ask, f"{number}")
            took.append(round(trio.current_time() - began, 6))
            nursery.cancel_scope.cancel()
    assert took[0] == took[1]


# Bytes. Room for two and a half of the largest bodies.

LARGE = 40_000
SMALL_ROOM: dict[str, object] = {
    **TWO_PROVIDERS,
    "server": {"max_body_bytes": LARGE, "waiting_bytes": LARGE * 5 // 2},
    "wait": {"max_wait_ms": 60_000},
}


def sized(path: str, size: int, model: str) -> bytes:
    """A request of exactly ``size`` bytes."""
    empty = len(dumps(request_of(path, "", model=model)))
    return dumps(request_of(path, "x" * (size - empty), model=model))


class Asker:
    """Asks with bodies of given sizes, and notes when which answer came."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self.world = world
        self._nursery = nursery
        self.answers: dict[str, tuple[float, httpx.Response]] = {}
        self._began = trio.current_time()

    async def ask(
        self, name: str, size: int, model: str, path: str = "/v1/chat/completions"
    ) -> trio.CancelScope:
        """Cancelling the scope is the client's leaving."""
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                body = sized(path, size, model)
                answer = await self.world.client.post(GATEWAY + path, content=body)
                self.answers[name] = (trio.current_time() - self._began, answer)

        self._nursery.start_soon(run)
        await wait_all_tasks_blocked()
        return scope


async def test_bytes_are_lent_first_come_first_served(autojump_clock: MockClock) -> None:
    """One budget for all models: a small request waits behind a large one that came before it,
    although it would fit; else large ones would starve. It is the only thing models share."""
    async with open_world(SMALL_ROOM, sandboxes=two_sandboxes()) as world:
        budget = world.gateway.waiting_bytes
        async with trio.open_nursery() as nursery:
            await world.ask(model="full")
            asker = Asker(world, nursery)
            held = [await asker.ask(f"held {n}", LARGE, "full") for n in range(2)]
            assert (budget.lent, budget.waiting) == (2 * LARGE, 0)
            await asker.ask("fits", LARGE // 2, "fast")
            await asker.ask("large", LARGE, "fast")
            await asker.ask("small", 500, "fast")
            assert (budget.lent, budget.waiting) == (LARGE * 5 // 2, 2)
            await trio.sleep(1)
            assert list(asker.answers) == ["fits"]
            # Its bytes made room for nobody: the large one is next and needs more.
            assert (budget.lent, budget.waiting) == (2 * LARGE, 2)
            held[0].cancel()
            await trio.sleep(1)
            assert sorted(asker.answers) == ["fits", "large", "small"]
            assert all(answer.status_code == 200 for _, answer in asker.answers.values())
            assert budget.lent == LARGE
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_waiting_for_bytes_counts_as_waiting_and_ends_in_a_429_at_the_exact_time(
    path: str, autojump_clock: MockClock
) -> None:
    config = {**SMALL_ROOM, "wait": {"max_wait_ms": 7000}}
    async with open_world(config, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            await world.ask(model="full")
            asker = Asker(world, nursery)
            for number in range(2):
                await asker.ask(f"held {number}", LARGE, "full", path)
            await trio.sleep(3)
            await asker.ask("late", LARGE, "fast", path)
        arrived, answer = asker.answers["late"]
        # Those before it left when their own time was up, at 7 s, and it was served at once.
        assert (round(arrived, 3), answer.status_code) == (7.25, 200)
        async with trio.open_nursery() as nursery:
            asker = Asker(world, nursery)
            first = await asker.ask("held", LARGE, "full", path)
            await trio.sleep(3)
            await asker.ask("held too", LARGE, "full", path)
            await asker.ask("late", LARGE, "fast", path)
            await trio.sleep(2)
            assert world.gateway.waiting_bytes.waiting == 1
            world.gateway.waiting_bytes.total = LARGE  # never enough again for the third
            await trio.sleep(4.5)
            first.cancel()
        arrived, answer = asker.answers["late"]
        assert round(arrived, 3) == 10.0
        message = assert_spoken(
            CHAT_PATHS[path], 429, answer.status_code, answer.headers, answer.content
        )
        assert "memory" in message
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["x-should-retry"] == "false"
        world.gateway.waiting_bytes.total = LARGE * 5 // 2
        assert await world.is_at_rest()


async def test_who_leaves_while_waiting_for_bytes_frees_its_turn_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_world(SMALL_ROOM, sandboxes=two_sandboxes()) as world:
        budget = world.gateway.waiting_bytes
        async with trio.open_nursery() as nursery:
            await world.ask(model="full")
            asker = Asker(world, nursery)
            for number in range(2):
                await asker.ask(f"held {number}", LARGE, "full")
            leaver = await asker.ask("leaves", LARGE, "fast")
            await asker.ask("small", 500, "fast")
            assert budget.waiting == 2
            leaver.cancel()
            await trio.sleep(0.3)
            assert list(asker.answers) == ["small"]
            assert asker.answers["small"][0] == 0.25
            assert (budget.lent, budget.waiting) == (2 * LARGE, 0)
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()


async def test_a_request_that_does_not_wait_asks_for_bytes_and_gets_a_429_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_world(SMALL_ROOM, sandboxes=two_sandboxes()) as world:
        async with trio.open_nursery() as nursery:
            await world.ask(model="full")
            asker = Asker(world, nursery)
            for number in range(2):
                await asker.ask(f"held {number}", LARGE, "full")
            began = trio.current_time()
            answer = await world.client.post(
                f"{GATEWAY}/v1/chat/completions",
                content=sized("/v1/chat/completions", LARGE, "fast"),
                headers={"x-forebay-max-wait-ms": "0"},
            )
            assert answer.status_code == 429
            assert trio.current_time() == began
            assert (await world.ask(headers={"x-forebay-max-wait-ms": "0"})).status_code == 200
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()
