"""Attempts that clients give up and make again: traps 101, 102 and 121."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
import trio
from trio.testing import MockClock
from worlds import World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

SLOW = SandboxOptions(latency_ms=20_000)


def one_at_a_time() -> dict[str, object]:
    config = one_provider(limits={"concurrency": 1}, timeouts={"first_byte_ms": 1_000_000})
    config["wait"] = {"max_wait_ms": 3_600_000, "json_keepalive_after_ms": 240_000}
    return config


async def attempt(
    world: World,
    number: int,
    *,
    text: str = "hello",
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    return await world.ask(
        text, stream=stream, headers={"x-stainless-retry-count": str(number), **(headers or {})}
    )


class Asked:
    """One attempt in a task of its own, and when its answer came."""

    def __init__(
        self, world: World, number: int, text: str = "hello", *, stream: bool = False
    ) -> None:
        self._arguments = (world, number, text, stream)
        self.answer: httpx.Response | None = None
        self.at = 0.0

    async def __call__(self) -> None:
        world, number, text, stream = self._arguments
        self.answer = await attempt(world, number, text=text, stream=stream)
        self.at = trio.current_time()

    @property
    def status(self) -> int:
        assert self.answer is not None
        return self.answer.status_code


async def test_trap_121_an_attempt_ends_the_one_that_it_repeats(autojump_clock: MockClock) -> None:
    """A proxy has kept the connection of attempt 0 open; it was being answered already."""
    async with open_world(one_at_a_time(), sandboxes={"up": SLOW}) as world:
        first, second = Asked(world, 0), Asked(world, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.sleep(5)
            nursery.start_soon(second)
        assert (first.status, round(first.at, 2)) == (408, 5.0)
        # The place of the first one was free at once.
        assert (second.status, round(second.at, 2)) == (200, 25.0)
        assert world.sandbox.statistics().completed == 1
        assert world.sandbox.statistics().cancelled == 1
        assert await world.is_at_rest()


async def test_trap_121_an_attempt_that_waits_is_ended_too(autojump_clock: MockClock) -> None:
    async with open_world(one_at_a_time(), sandboxes={"up": SLOW}) as world:
        other, first, second = Asked(world, 0, "other"), Asked(world, 0), Asked(world, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.sleep(5)
            nursery.start_soon(first)
            await trio.sleep(5)
            assert world.gateway.waiting == 1
            nursery.start_soon(second)
            await trio.sleep(1)
            assert world.gateway.waiting == 1
        assert [other.status, first.status, second.status] == [200, 408, 200]
        assert world.sandbox.statistics().completed == 2


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((0, 0), ("hello", "hello")),  # two of the same, no repeat
        ((1, 0), ("hello", "hello")),  # the repeat came first
        ((0, 1), ("hello", "other")),  # another call
    ],
)
async def test_trap_121_other_attempts_are_left_alone(
    numbers: tuple[int, int], texts: tuple[str, str], autojump_clock: MockClock
) -> None:
    async with open_world(one_at_a_time(), sandboxes={"up": SLOW}) as world:
        asked = [Asked(world, number, text) for number, text in zip(numbers, texts, strict=True)]
        async with trio.open_nursery() as nursery:
            for one in asked:
                nursery.start_soon(one)
                await trio.sleep(5)
        assert [one.status for one in asked] == [200, 200]


async def test_trap_121_of_several_that_it_may_repeat_none_is_ended(
    autojump_clock: MockClock,
) -> None:
    """A load test asks the same again and again; a repeat is of one of them only."""
    async with open_world(one_at_a_time(), sandboxes={"up": SLOW}) as world:
        asked = [Asked(world, 0), Asked(world, 0), Asked(world, 1)]
        async with trio.open_nursery() as nursery:
            for one in asked:
                nursery.start_soon(one)
                await trio.sleep(5)
        assert [one.status for one in asked] == [200, 200, 200]


async def test_trap_121_a_stream_that_has_begun_was_not_given_up(
    autojump_clock: MockClock,
) -> None:
    options = SandboxOptions(token_interval_ms=1000)
    async with open_world(sandboxes={"up": options}) as world:
        first, second = Asked(world, 0, stream=True), Asked(world, 1, stream=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.sleep(5)
            nursery.start_soon(second)
        for one in (first, second):
            assert one.status == 200
            assert one.answer is not None
            assert one.answer.text.endswith("data: [DONE]\n\n")


async def test_trap_121_another_client_with_the_same_words_is_another_call(
    autojump_clock: MockClock,
) -> None:
    config = one_at_a_time()
    config["clients"] = {"red": {"key": "red-key"}, "blue": {"key": "blue-key"}}
    statuses: list[int] = []
    async with open_world(config, sandboxes={"up": SLOW}) as world:

        async def ask(number: int, key: str) -> None:
            headers = {"authorization": f"Bearer {key}"}
            statuses.append((await attempt(world, number, headers=headers)).status_code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 0, "red-key")
            await trio.sleep(5)
            nursery.start_soon(ask, 1, "blue-key")
    assert statuses == [200, 200]


@pytest.mark.parametrize(
    ("hold", "gives_up_after"),
    [("silent", 300.0), ("keepalive", 600.0)],
    ids=["trap 102: no byte for 300 s", "trap 101: 600 s in all, bytes or not"],
)
async def test_traps_101_and_102_a_repeat_after_a_timeout_is_no_second_load(
    hold: str, gives_up_after: float, autojump_clock: MockClock
) -> None:
    """Node's clients hang up before they try again."""
    options = SandboxOptions(latency_ms=900_000)
    headers = {"x-forebay-hold": hold}
    async with open_world(one_at_a_time(), sandboxes={"up": options}) as world:
        with trio.move_on_after(gives_up_after) as patience:
            await attempt(world, 0, headers=headers)
        assert patience.cancelled_caught
        assert await world.is_at_rest()
        assert world.sandbox.statistics().cancelled == 1
        answer = await attempt(world, 1, headers=headers)
        assert answer.status_code == 200
        assert trio.current_time() == pytest.approx(gives_up_after + 900, abs=0.1)
        assert world.sandbox.statistics().completed == 1
