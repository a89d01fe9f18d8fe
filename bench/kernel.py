"""What the actor kernel costs in CPU, next to the bare Trio primitives it is made of.

Run it with ``python bench/kernel.py``; it takes a few seconds. Ratios matter more than figures:
both sides run in the same process, in turns, and the best round of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
import trio.testing

from forebay.actors.kernel import Actor, ActorSystem, Message, open_actor_system

REPETITIONS = 5_000
ROUNDS = 5
ADOPTED = 10_000


@dataclass(frozen=True, slots=True)
class Ping(Message[int]):
    """Answered with 1."""


class Serial(Actor[Ping]):
    """Handles one message after another."""

    async def handle(self, message: Ping) -> int:
        return 1


class Concurrent(Serial):
    """Handles every message in a task of its own."""

    concurrency = 64


async def bare_channel() -> None:
    """A message from one task to another."""
    send, receive = trio.open_memory_channel[Ping](16)

    async def consume() -> None:
        with receive:
            async for _ in receive:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        message = Ping()
        with send:
            for _ in range(REPETITIONS):
                await send.send(message)


async def bare_round_trip() -> None:
    """A message to another task, and an Event back: an ask without cancellation or errors."""
    send, receive = trio.open_memory_channel[trio.Event](16)

    async def consume() -> None:
        with receive:
            async for event in receive:
                event.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        with send:
            for _ in range(REPETITIONS):
                event = trio.Event()
                await send.send(event)
                await event.wait()


async def tell(system: ActorSystem) -> None:
    ref = await system.start(Serial, name="tell")
    message = Ping()
    for _ in range(REPETITIONS):
        await ref.tell(message)
    await ref.drain()


async def ask(system: ActorSystem) -> None:
    ref = await system.start(Serial, name="ask")
    message = Ping()
    for _ in range(REPETITIONS):
        await ref.ask(message)
    await ref.drain()


async def ask_concurrent(system: ActorSystem) -> None:
    ref = await system.start(Concurrent, name="ask-concurrent")
    message = Ping()
    for _ in range(REPETITIONS):
        await ref.ask(message)
    await ref.drain()


async def adopt(system: ActorSystem) -> None:
    for number in range(REPETITIONS):
        with system.adopt(f"session-{number}") as me:
            me.note = "waiting"
    await trio.lowlevel.checkpoint()


async def adopt_with_mailbox(system: ActorSystem) -> None:
    for number in range(REPETITIONS):
        with system.adopt(f"session-{number}", Ping) as me:
            me.ref.tell_nowait(Ping())
    await trio.lowlevel.checkpoint()


def within_system(measured: Callable[[ActorSystem], Awaitable[None]]) -> Callable[[], float]:
    async def run() -> None:
        async with open_actor_system() as system:
            await measured(system)

    return lambda: cpu_microseconds(run)


def cpu_microseconds(run: Callable[[], Awaitable[None]]) -> float:
    started = time.process_time()
    trio.run(run)
    return (time.process_time() - started) / REPETITIONS * 1e6


async def tree_of_adopted() -> float:
    """Microseconds for each of many adopted tasks in one snapshot of the tree."""
    async with open_actor_system() as system, trio.open_nursery() as nursery:

        async def session(number: int) -> None:
            with system.adopt(f"session-{number}"):
                await trio.sleep_forever()

        for number in range(ADOPTED):
            nursery.start_soon(session, number)
        await trio.testing.wait_all_tasks_blocked()
        started = time.process_time()
        assert system.tree().child_count == ADOPTED
        taken = time.process_time() - started
        nursery.cancel_scope.cancel()
    return taken / ADOPTED * 1e6


def main() -> None:
    subjects: dict[str, Callable[[], float]] = {
        "channel send + receive": lambda: cpu_microseconds(bare_channel),
        "tell": within_system(tell),
        "channel round trip": lambda: cpu_microseconds(bare_round_trip),
        "ask": within_system(ask),
        "ask, concurrent": within_system(ask_concurrent),
        "adopt": within_system(adopt),
        "adopt + mailbox + tell_nowait": within_system(adopt_with_mailbox),
    }
    best = dict.fromkeys(subjects, float("inf"))
    for _ in range(ROUNDS):
        for name, measure in subjects.items():
            best[name] = min(best[name], measure())
    base = best["channel send + receive"]
    for name, microseconds in best.items():
        print(f"{name:32s} {microseconds:6.1f} us   {microseconds / base:5.2f} x channel")
    print(f"{'tree, each place':32s} {trio.run(tree_of_adopted):6.1f} us")


if __name__ == "__main__":
    main()
