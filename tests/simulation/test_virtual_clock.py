"""Virtual time: exact, in order, and without anybody waiting for it."""

from __future__ import annotations

import time
from math import inf

import trio

from forebay.actors.simulation.clock import VirtualClock, repeatable_order
from forebay.actors.simulation.virtual_bells import VirtualBell


def test_events_and_deadlines_come_in_the_order_of_time() -> None:
    clock = VirtualClock()
    seen: list[tuple[str, float]] = []

    async def event(name: str, when: float) -> None:
        await clock.until(when)
        seen.append((name, clock.now))

    async def sleeper(name: str, seconds: float) -> None:
        await trio.sleep(seconds)
        seen.append((name, trio.current_time()))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(event, "a day", 86_400.0)
            nursery.start_soon(sleeper, "an hour", 3600.0)
            nursery.start_soon(event, "a minute", 60.0)
            nursery.start_soon(sleeper, "a week", 604_800.0)

    began = time.monotonic()
    trio.run(main, clock=clock)
    assert seen == [
        ("a minute", 60.0), ("an hour", 3600.0), ("a day", 86_400.0), ("a week", 604_800.0)
    ]  # fmt: skip
    assert time.monotonic() - began < 30


def test_events_of_one_moment_come_one_by_one_in_the_order_they_were_made() -> None:
    clock = VirtualClock()
    seen: list[int] = []

    async def event(number: int) -> None:
        await clock.until(1.0)
        seen.append(number)
        # All that follows from an event happens before the next one.
        await trio.lowlevel.checkpoint()
        seen.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(event, number)
                await trio.lowlevel.checkpoint()

    trio.run(main, clock=clock)
    assert seen == [number for number in range(50) for _ in range(2)]


def test_who_is_cancelled_is_not_woken() -> None:
    clock = VirtualClock()

    async def main() -> None:
        with trio.move_on_after(1):
            await clock.until(5.0)
        assert clock.now == 1.0
        await clock.until(10.0)
        assert clock.now == 10.0

    trio.run(main, clock=clock)


def test_tasks_of_one_moment_run_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[int]:
        seen: list[int] = []

        async def task(number: int) -> None:
            seen.append(number)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(task, number)

        with repeatable_order(seed):
            trio.run(main, clock=VirtualClock())
        return seen

    assert order(1) == order(1)
    assert order(1) != order(2)


async def _listen(bell: VirtualBell, until: float, heard: list[float]) -> None:
    await bell.heard(until)
    heard.append(trio.current_time())


def test_a_bell_is_heard_when_it_rings_or_at_its_time_whichever_is_first() -> None:
    clock = VirtualClock()
    bells = [VirtualBell(clock) for _ in range(4)]
    heard: list[float] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            bells[2].ring()
            for bell, until in zip(bells, (5.0, inf, 9.0, 2.0), strict=True):
                nursery.start_soon(_listen, bell, until, heard)
            await clock.until(3.0)
            bells[1].ring()
            await clock.until(4.0)
            bells[0].ring()
            bells[0].ring()
            # Nobody is woken for a time that was forestalled.
            await clock.until(20.0)

    trio.run(main, clock=clock)
    assert heard == [0.0, 2.0, 3.0, 4.0]


def test_a_bell_that_rings_in_the_moment_of_its_time_wakes_once() -> None:
    clock = VirtualClock()
    bell = VirtualBell(clock)
    heard: list[float] = []

    async def listen() -> None:
        for until in (1.0, 2.0, 3.0):
            bell.silence()
            await _listen(bell, until, heard)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for when in (1.0, 2.0):
                await clock.until(when)
                bell.ring()

    trio.run(main, clock=clock)
    assert heard == [1.0, 2.0, 3.0]


def test_who_is_cancelled_while_it_listens_is_not_woken() -> None:
    clock = VirtualClock()
    bell = VirtualBell(clock)
    heard: list[float] = []

    async def main() -> None:
        for until in (5.0, inf):
            with trio.move_on_at(clock.now + 1.0):
                await _listen(bell, until, heard)
            bell.ring()
            bell.silence()
        await clock.until(10.0)

    trio.run(main, clock=clock)
    assert heard == []
    assert clock.now == 10.0
