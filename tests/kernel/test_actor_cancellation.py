"""Nothing is lost, leaked or left hanging, wherever a cancellation, a crash or an abort strikes.

First every operation is cancelled at each turn of the loop that it takes; then many askers meet
deadlines, crashes, aborts and drains at random, from fixed seeds, in virtual time.
"""

import gc
import logging
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import assert_never

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorNotRunning,
    ActorState,
    ActorStopped,
    ActorSystem,
    Message,
    Ref,
    RestartPolicy,
    open_actor_system,
)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Echo(Message[int]):
    number: int
    turns: int = 0
    seconds: float = 0


class Refused(Exception):
    """Raised by a handler in answer to an ask."""


@dataclass(frozen=True, slots=True)
class Refuse(Message[int]):
    pass


@dataclass(frozen=True, slots=True)
class Crash:
    pass


AnyMessage = Echo | Refuse | Crash


class Bookkeeper(Actor[AnyMessage]):
    """Counts what is in hand, in all lives together."""

    def __init__(self, in_hand: Counter[str], below: Ref[AnyMessage] | None = None) -> None:
        self.in_hand = in_hand
        self.below = below

    async def started(self) -> None:
        self.in_hand["instances"] += 1
        await trio.lowlevel.checkpoint()

    async def handle(self, message: AnyMessage) -> int:
        self.in_hand["handlers"] += 1
        try:
            match message:
                case Echo():
                    for _ in range(message.turns):
                        await trio.lowlevel.checkpoint()
                    if message.seconds:
                        await trio.sleep(message.seconds)
                    if self.below is not None:
                        return await self.below.ask(message)
                    return message.number
                case Refuse():
                    raise Refused
                case Crash():
                    raise LookupError
                case _:
                    assert_never(message)
        finally:
            self.in_hand["handlers"] -= 1

    def stopped(self) -> None:
        self.in_hand["instances"] -= 1


class ConcurrentBookkeeper(Bookkeeper):
    concurrency = 3


async def cancelled_after(turns: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Run an operation and cancel it after so many turns of the loop; whether it was cut off."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def strike() -> None:
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(strike)
            await operation()
            nursery.cancel_scope.cancel()
    return scope.cancelled_caught


OPERATIONS: dict[str, Callable[[ActorSystem, Ref[AnyMessage]], Awaitable[object]]] = {
    "ask": lambda _, ref: ref.ask(Echo(1, turns=2)),
    "tell": lambda _, ref: ref.tell(Echo(1, turns=2)),
    "tell with a full mailbox": lambda _, ref: tell_thrice(ref),
    "start": lambda system, _: start_and_abort(system),
    "drain": lambda _, ref: ask_and_drain(ref),
}


async def tell_thrice(ref: Ref[AnyMessage]) -> None:
    for number in range(3):
        await ref.tell(Echo(number, turns=2))


async def start_and_abort(system: ActorSystem) -> None:
    child = await system.start(lambda: Bookkeeper(Counter()), name="child")
    child.abort()


async def ask_and_drain(ref: Ref[AnyMessage]) -> None:
    await ref.tell(Echo(1, turns=2))
    await ref.drain()


@pytest.mark.parametrize("kind", [Bookkeeper, ConcurrentBookkeeper])
@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_cancelled_at_any_turn_leaves_the_actor_well(
    kind: type[Bookkeeper], capacity: int, operation: str
) -> None:
    async def cancel_it_after(turns: int) -> bool:
        in_hand: Counter[str] = Counter()
        async with open_actor_system(check_waits=True) as system:
            tasks_at_start = trio.lowlevel.current_statistics().tasks_living
            ref = await system.start(lambda: kind(in_hand), name="bookkeeper", capacity=capacity)
            was_cut_off = await cancelled_after(turns, lambda: OPERATIONS[operation](system, ref))
            await wait_all_tasks_blocked()
            assert in_hand["handlers"] == 0
            assert ref.state is ActorState.RUNNING or operation == "drain"
            for place in system.tree().children:
                assert place.name == "bookkeeper"
                assert (place.depth, place.blocked_senders) == (0, 0)
            if operation != "drain":
                assert await ref.ask(Echo(7)) == 7
            await system.drain()
            assert trio.lowlevel.current_statistics().tasks_living == tasks_at_start
        assert in_hand["instances"] == 0
        return was_cut_off

    cut_off = [await cancel_it_after(turns) for turns in range(25)]
    assert not cut_off[-1]
    assert any(cut_off) or operation == "tell"  # which may be over in a single turn


@pytest.mark.parametrize("ending", ["abort", "crash", "drain"])
@pytest.mark.parametrize("kind", [Bookkeeper, ConcurrentBookkeeper])
async def test_ask_is_answered_whenever_its_actor_ends(
    kind: type[Bookkeeper], ending: str, autojump_clock: MockClock
) -> None:
    """One ask, and an end that strikes at each of the turns that it takes."""

    async def end(ref: Ref[AnyMessage], turns: int) -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        match ending:
            case "abort":
                ref.abort()
            case "crash":
                ref.tell_nowait(Crash())
            case _:
                await ref.drain()

    async def ask_and_end_after(turns: int) -> str:
        in_hand: Counter[str] = Counter()
        async with open_actor_system() as system, trio.open_nursery() as nursery:
            ref = await system.start(lambda: kind(in_hand), name="bookkeeper", capacity=2)
            nursery.start_soon(end, ref, turns)
            with trio.fail_after(100):
                try:
                    outcome = str(await ref.ask(Echo(7, turns=3)))
                except (ActorDied, ActorNotRunning, ActorStopped) as error:
                    outcome = type(error).__name__
        assert not +in_hand
        return outcome

    outcomes = [await ask_and_end_after(turns) for turns in range(15)]
    assert outcomes[-1] == "7"
    match ending:
        case "abort":
            assert "ActorStopped" in outcomes
        case "drain":
            assert set(outcomes) <= {"7", "ActorNotRunning"}
        case _:  # one message at a time: the crash comes before the ask or after it
            assert ("ActorDied" in outcomes) == (kind is ConcurrentBookkeeper)


class Storm:
    """Actors under askers, crashes, aborts and drains, all at random."""

    KINDS = (Bookkeeper, ConcurrentBookkeeper)

    def __init__(self, system: ActorSystem, seed: int) -> None:
        self.system = system
        self.random = Random(seed)
        self.in_hand: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.messages: weakref.WeakSet[Echo] = weakref.WeakSet()
        self.refs: list[Ref[AnyMessage]] = []
        self.started = 0

    async def start(self, place: int) -> None:
        """Start the actor of one place (again). The second half asks the first half on."""
        kind = self.random.choice(self.KINDS)
        below = self.refs[place - 2] if place >= 2 else None
        self.started += 1
        ref = await self.system.start(
            lambda: kind(self.in_hand, below),
            name=f"actor-{self.started}",
            capacity=self.random.choice([0, 1, 3]),
            layer=4 - place,
            restart=RestartPolicy(intensity=1000, backoff_max=0.3),
            shutdown_timeout=1,
        )
        self.refs[place : place + 1] = [ref]

    async def ask(self, number: int) -> None:
        await trio.sleep(self.random.random() * 20)
        message = Echo(number, self.random.randrange(4), self.random.choice([0, 0.1, 1]))
        self.messages.add(message)
        patience = self.random.choice([0, 0, 0.1, 0.5, 5, float("inf")])
        ref = self.random.choice(self.refs)
        with trio.CancelScope() as scope:
            if patience or self.random.random() < 0.5:
                scope.deadline = trio.current_time() + patience
            try:
                if self.random.random() < 0.1:
                    await ref.ask(Refuse())
                else:
                    assert await ref.ask(message) == number
                    self.outcomes["answered"] += 1
            except (Refused, ActorDied, ActorNotRunning, ActorStopped) as error:
                self.outcomes[type(error).__name__] += 1
        if scope.cancelled_caught:
            self.outcomes["cancelled"] += 1

    async def strike(self) -> None:
        await trio.sleep(self.random.random() * 20)
        place = self.random.randrange(len(self.refs))
        ref = self.refs[place]
        match self.random.choice(["crash", "crash", "abort", "drain"]):
            case "crash":
                with trio.move_on_after(1):
                    try:
                        await ref.tell(Crash())
                    except ActorNotRunning:
                        return
            case "abort":
                ref.abort()
                await self.start(place)
            case _:
                with trio.move_on_after(self.random.random()):
                    await ref.drain(trio.current_time() + self.random.random())
                await self.start(place)


@pytest.mark.parametrize("seed", range(10))
async def test_every_ask_ends_exactly_once_in_a_storm(
    seed: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # The tracebacks in log records would hold messages, and pytest keeps the records.
    caplog.set_level(logging.CRITICAL + 1, logger="forebay.actors.kernel")
    askers = 200
    async with open_actor_system(check_waits=True) as system:
        tasks_at_start = trio.lowlevel.current_statistics().tasks_living
        storm = Storm(system, seed)
        for position in range(4):
            await storm.start(position)
        async with trio.open_nursery() as nursery:
            for number in range(askers):
                nursery.start_soon(storm.ask, number)
            for _ in range(20):
                nursery.start_soon(storm.strike)
        assert storm.outcomes.total() == askers
        assert {"answered", "cancelled"} <= storm.outcomes.keys()
        await trio.sleep(10)
        assert storm.in_hand["handlers"] == 0
        for place in system.tree().children:
            assert (place.depth, place.blocked_senders) == (0, 0)
        for ref in storm.refs[:2]:  # those above may hold refs of actors that were ended
            assert await ref.ask(Echo(7)) == 7
        await system.drain()
        assert trio.lowlevel.current_statistics().tasks_living == tasks_at_start
    assert not +storm.in_hand
    gc.collect()
    assert len(storm.messages) == 0
