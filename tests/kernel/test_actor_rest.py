"""Actors that crash too often and may rest: nobody else is concerned, and they come back."""

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorNotRunning,
    ActorState,
    ActorSystem,
    Message,
    Ref,
    RestartPolicy,
    open_actor_system,
)

RESTS = RestartPolicy(intensity=2, jitter=0, rest=300)


class Life(Message[int]):
    """Answered with the number of the life."""


class Feverish(Actor[str | Life]):
    """Crashes on every told message; counts its lives."""

    def __init__(self, births: list[float]) -> None:
        births.append(trio.current_time())
        self.births = births

    async def handle(self, message: str | Life) -> int:
        if isinstance(message, str):
            raise LookupError(message)
        return len(self.births)


async def start(
    system: ActorSystem,
    births: list[float],
    *,
    restart: RestartPolicy = RESTS,
    on_rest: Callable[[Exception], None] | None = None,
) -> Ref[str | Life]:
    return await system.start(
        lambda: Feverish(births), name="feverish", restart=restart, on_rest=on_rest
    )


async def crash_thrice(ref: Ref[str | Life]) -> None:
    for number in range(3):
        await ref.tell(f"crash {number}")
    await trio.sleep(1)


async def test_an_actor_that_crashed_too_often_rests_and_comes_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    births: list[float] = []
    told: list[str] = []
    async with open_actor_system("s") as system:
        begin = trio.current_time()
        ref = await start(system, births, on_rest=lambda failure: told.append(repr(failure)))
        await crash_thrice(ref)
        assert ref.state is ActorState.RESTING
        assert told == ["LookupError('crash 2')"]
        assert await ref.ask(Life()) == 4  # the mailbox stays open: it was only put off
        (snapshot,) = system.tree().children
        assert (snapshot.state, snapshot.restarts) == (ActorState.RUNNING, 3)
        assert [at - begin for at in births] == pytest.approx([0, 0.1, 0.3, 300.3])
    assert [record.getMessage() for record in caplog.records] == [
        "s/feverish crashed and restarts in 0.100 s",
        "s/feverish crashed and restarts in 0.200 s",
        "s/feverish crashed too often and rests for 300 s",
    ]
    assert all(record.levelno == logging.ERROR for record in caplog.records)
    assert caplog.records[2].exc_info


async def test_siblings_and_the_block_go_on_meanwhile(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        well = await system.start(lambda: Feverish([]), name="well")
        ill = await start(system, [])
        await crash_thrice(ill)
        for _ in range(10):
            assert await well.ask(Life()) == 1
            await trio.sleep(10)
        assert (well.state, ill.state) == (ActorState.RUNNING, ActorState.RESTING)
        assert system.tree().children[0].restarts == 0


async def test_an_actor_that_does_not_recover_rests_again_and_again(
    autojump_clock: MockClock,
) -> None:
    rests: list[float] = []
    async with open_actor_system() as system:
        ref = await start(system, [], on_rest=lambda _: rests.append(trio.current_time()))
        with trio.move_on_after(1000):
            while True:
                await ref.tell("crash")
        assert [b - a for a, b in pairwise(rests)] == pytest.approx([300.3] * (len(rests) - 1))
        assert len(rests) == 4


async def test_a_drain_ends_the_rest_and_what_is_queued_is_handled(
    autojump_clock: MockClock,
) -> None:
    answers: list[int] = []
    births: list[float] = []
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await start(system, births)
        await crash_thrice(ref)

        async def ask() -> None:
            answers.append(await ref.ask(Life()))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        begin = trio.current_time()
        await ref.drain()
        assert trio.current_time() == begin
    assert answers == [4]


async def test_a_crash_too_many_during_a_drain_ends_the_actor_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_actor_system("s") as system:
        ref = await start(system, [])
        await crash_thrice(ref)
        ref.tell_nowait("crash 3")
        await ref.drain()
        assert isinstance(await ref.wait_stopped(), LookupError)
        with pytest.raises(ActorNotRunning):
            await ref.ask(Life())
        assert (await (await system.start(lambda: Feverish([]), name="other")).ask(Life())) == 1
    assert caplog.records[-1].getMessage() == "s/feverish failed while it was drained"


async def test_an_abort_ends_the_rest(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        ref = await start(system, [])
        await crash_thrice(ref)
        begin = trio.current_time()
        ref.abort()
        assert await ref.wait_stopped() is None
        assert trio.current_time() == begin


async def test_a_system_ends_while_an_actor_rests(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        ref = await start(system, [])
        await crash_thrice(ref)
        begin = trio.current_time()
    assert trio.current_time() == begin
    assert ref.state is ActorState.STOPPED


async def test_who_fails_to_hear_of_the_rest_makes_it_a_death(autojump_clock: MockClock) -> None:
    def fail(failure: Exception) -> None:
        raise KeyError("can't hear")

    async def block() -> None:
        async with open_actor_system("s") as system:
            await crash_thrice(await start(system, [], on_rest=fail))
            await trio.sleep_forever()

    with pytest.raises(ActorDied, match="s/feverish died: KeyError"):
        await block()


async def test_a_start_that_fails_is_never_rested_from(autojump_clock: MockClock) -> None:
    policy = RestartPolicy(intensity=0, rest=300)
    async with open_actor_system() as system:
        with pytest.raises(ZeroDivisionError):
            await system.start(lambda: Feverish([1 / 0]), name="stillborn", restart=policy)
        assert system.tree().children == ()


async def test_a_parent_that_rests_ends_its_children_and_starts_them_anew(
    autojump_clock: MockClock,
) -> None:
    class Parent(Feverish):
        child: Ref[str | Life]

        async def started(self) -> None:
            self.child = await self.context.start(lambda: Feverish([]), name="child")

    async with open_actor_system() as system:
        births: list[float] = []
        policy = RestartPolicy(intensity=0, rest=10)
        ref = await system.start(lambda: Parent(births), name="parent", restart=policy)
        await ref.tell("crash")
        await trio.sleep(1)
        (snapshot,) = system.tree().children
        assert (snapshot.state, snapshot.children) == (ActorState.RESTING, ())
        assert await ref.ask(Life()) == 2
        assert [child.name for child in system.tree().children[0].children] == ["child"]


@pytest.mark.parametrize("rest", [0, -1, float("inf"), float("nan")])
def test_an_impossible_rest_is_refused_by_name(rest: float) -> None:
    with pytest.raises(ValueError, match="rest"):
        RestartPolicy(rest=rest)
