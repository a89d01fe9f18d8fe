"""Deadlocks are refused: waiting for oneself, upward waits, and circles of waits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorSystem,
    Message,
    Ref,
    RestartPolicy,
    UpwardWait,
    WaitCycle,
    open_actor_system,
)


@dataclass(frozen=True, slots=True)
class Do(Message[object]):
    """Has the actor await something."""

    what: Callable[[], Awaitable[object]]


class Doer(Actor[Do]):
    async def handle(self, message: Do) -> object:
        return await message.what()


NEVER = RestartPolicy(intensity=0)


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


async def sleep_a_second() -> None:
    await trio.sleep(1)


@pytest.mark.parametrize("check_waits", [False, True])
async def test_an_actor_that_asks_itself_is_told_so(check_waits: bool) -> None:
    async with open_actor_system(check_waits=check_waits) as system:
        ref = await system.start(Doer, name="doer")
        with pytest.raises(WaitCycle) as caught:
            await ref.ask(Do(lambda: ref.ask(Do(nothing))))
        assert caught.value.paths == ("system/doer", "system/doer")


async def test_a_task_that_an_actor_started_counts_as_the_actor() -> None:
    async with open_actor_system() as system:
        ref = await system.start(Doer, name="doer")

        async def in_a_task() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ref.ask, Do(nothing))

        with pytest.raises(ExceptionGroup) as caught:
            await ref.ask(Do(in_a_task))
        assert caught.group_contains(WaitCycle)


async def test_an_actor_tells_itself_without_waiting_or_not_at_all() -> None:
    """Not even while there is room: that would be an error which shows under load only."""
    done: list[str] = []

    class Talkative(Actor[str]):
        async def handle(self, message: str) -> None:
            if message == "wait":
                await self.context.ref.tell("done")
            elif message == "do not wait":
                self.context.ref.tell_nowait("done")
                with pytest.raises(trio.WouldBlock):
                    self.context.ref.tell_nowait("too many")
            else:
                done.append(message)

    async def wait() -> None:
        async with open_actor_system() as system:
            ref = await system.start(Talkative, name="talkative", restart=NEVER)
            await ref.tell("wait")

    async with open_actor_system() as system:
        ref = await system.start(Talkative, name="talkative", capacity=1)
        await ref.tell("do not wait")
        await wait_all_tasks_blocked()
    with pytest.raises(ActorDied, match="use tell_nowait"):
        await wait()
    assert done == ["done"]


async def test_waits_go_to_greater_layers_only() -> None:
    async with open_actor_system() as system:
        below = await system.start(Doer, name="below", layer=2)
        beside = await system.start(Doer, name="beside", layer=1)
        above = await system.start(Doer, name="above", layer=1)
        anywhere = await system.start(Doer, name="anywhere")

        assert await above.ask(Do(lambda: below.ask(Do(nothing)))) is None
        assert await above.ask(Do(lambda: anywhere.ask(Do(nothing)))) is None
        assert await anywhere.ask(Do(lambda: above.ask(Do(nothing)))) is None
        with pytest.raises(UpwardWait, match=r"below \(layer 2\) may not wait for .*above"):
            await below.ask(Do(lambda: above.ask(Do(nothing))))
        with pytest.raises(UpwardWait, match="greater layer numbers only"):
            await above.ask(Do(lambda: beside.tell(Do(nothing))))

        async def tell_nowait() -> None:
            above.tell_nowait(Do(nothing))
            await trio.lowlevel.checkpoint()

        assert await below.ask(Do(tell_nowait)) is None


async def test_adopted_task_has_a_layer_too() -> None:
    async with open_actor_system() as system:
        ref = await system.start(Doer, name="doer", layer=1)
        with system.adopt("session-1", layer=0):
            assert await ref.ask(Do(nothing)) is None
        with system.adopt("session-2", layer=1), pytest.raises(UpwardWait, match="session-2"):
            await ref.ask(Do(nothing))


async def chain_of_asks(system: ActorSystem, length: int) -> None:
    """The first asks the second, and so on; the last asks the first."""
    refs = [await system.start(Doer, name=f"doer-{n}") for n in range(length)]

    async def ask_next(number: int) -> object:
        last = number == length - 1
        if last:
            return await refs[0].ask(Do(nothing))
        return await refs[number + 1].ask(Do(lambda: ask_next(number + 1)))

    await refs[0].ask(Do(lambda: ask_next(0)))


@pytest.mark.parametrize("length", [2, 3, 7])
async def test_circle_of_asks_is_refused_by_the_one_that_would_close_it(length: int) -> None:
    async with open_actor_system("s", check_waits=True) as system:
        with pytest.raises(WaitCycle) as caught:
            await chain_of_asks(system, length)
    around = [f"s/doer-{n}" for n in range(length)]
    assert caught.value.paths == (around[-1], *around)


async def test_circle_of_asks_deadlocks_where_waits_are_not_checked(
    autojump_clock: MockClock,
) -> None:
    """What the check is for."""
    async with open_actor_system() as system:
        with trio.move_on_after(3600) as hour:
            await chain_of_asks(system, 2)
        assert hour.cancelled_caught


async def test_circle_of_blocking_tells_is_refused() -> None:
    """Each of two actors sends more than the other has room for (kernel notes, section 4)."""
    seen: list[WaitCycle] = []

    class Flooder(Actor[int]):
        peer: Ref[int]

        async def handle(self, message: int) -> None:
            try:
                await self.peer.tell(1)
                await self.peer.tell(2)
            except WaitCycle as cycle:
                seen.append(cycle)
                self.context.stop()

    one, other = Flooder(), Flooder()
    async with open_actor_system("s", check_waits=True) as system:
        one_ref = await system.start(lambda: one, name="one", capacity=1)
        other_ref = await system.start(lambda: other, name="other", capacity=1)
        one.peer, other.peer = other_ref, one_ref
        with trio.fail_after(5):
            await one_ref.tell(0)
            while not seen:
                await trio.lowlevel.checkpoint()
            await system.abort()
    assert set(seen[0].paths) == {"s/one", "s/other"}


async def test_a_tell_that_need_not_wait_is_no_wait() -> None:
    async with open_actor_system(check_waits=True) as system:
        above = await system.start(Doer, name="above", capacity=1)
        below = await system.start(Doer, name="below")

        async def report_up() -> None:
            await above.tell(Do(nothing))

        assert await above.ask(Do(lambda: below.ask(Do(report_up)))) is None


async def test_many_actors_may_wait_for_the_same_one(autojump_clock: MockClock) -> None:
    """Waits that share a target or a way are no circle, and leave nothing behind."""
    async with open_actor_system(check_waits=True) as system:
        bottom = await system.start(Doer, name="bottom")
        middles = [await system.start(Doer, name=f"middle-{n}") for n in range(3)]
        top = await system.start(Doer, name="top")

        async def ask_all() -> None:
            async with trio.open_nursery() as nursery:
                for middle in middles * 2:
                    nursery.start_soon(middle.ask, Do(lambda: bottom.ask(Do(sleep_a_second))))

        await top.ask(Do(ask_all))
        with trio.move_on_after(0.5):
            await top.ask(Do(ask_all))
        await wait_all_tasks_blocked()
        assert await bottom.ask(Do(lambda: top.ask(Do(nothing)))) is None


async def test_starting_a_child_that_asks_its_parent_to_get_ready_is_refused() -> None:
    class Child(Doer):
        def __init__(self, parent: Ref[Do]) -> None:
            self.parent = parent

        async def started(self) -> None:
            await self.parent.ask(Do(nothing))

    class Parent(Actor[Do]):
        async def handle(self, message: Do) -> None:
            await self.context.start(lambda: Child(self.context.ref), name="child")

    async with open_actor_system(check_waits=True) as system:
        parent = await system.start(Parent, name="parent")
        with pytest.raises(WaitCycle, match="parent/child -> system/parent"):
            await parent.ask(Do(nothing))


@pytest.mark.parametrize("wait", [lambda ref: ref.drain(), lambda ref: ref.wait_stopped()])
async def test_an_actor_cannot_wait_for_its_own_end_or_that_of_one_above(
    wait: Callable[[Ref[Do]], Awaitable[object]],
) -> None:
    class Parent(Doer):
        child: Ref[Do]

        async def started(self) -> None:
            self.child = await self.context.start(Doer, name="child")

    parent = Parent()
    async with open_actor_system() as system:
        ref = await system.start(lambda: parent, name="parent")
        for asked in (ref, parent.child):
            with pytest.raises(WaitCycle, match="can't wait for the end of system/parent"):
                await asked.ask(Do(lambda: wait(ref)))


async def test_waiting_for_the_end_of_another_is_a_wait() -> None:
    async with open_actor_system(check_waits=True) as system:
        ending = await system.start(Doer, name="ending")
        waiting = await system.start(Doer, name="waiting")
        with pytest.raises(WaitCycle, match="ending -> system/waiting -> system/ending"):
            await waiting.ask(Do(lambda: ending.ask(Do(lambda: waiting.ask(Do(nothing))))))
        with pytest.raises(WaitCycle):
            await waiting.ask(Do(lambda: ending.ask(Do(waiting.drain))))
        await waiting.ask(Do(ending.drain))


async def test_the_crash_of_a_waiter_ends_its_waits(autojump_clock: MockClock) -> None:
    async with open_actor_system(check_waits=True) as system:
        below = await system.start(Doer, name="below")
        above = await system.start(Doer, name="above")
        gate = trio.Event()

        async def crash_while_asking() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(below.ask, Do(gate.wait))
                await wait_all_tasks_blocked()
                raise LookupError

        await above.tell(Do(crash_while_asking))
        await wait_all_tasks_blocked()
        assert await below.ask(Do(lambda: above.ask(Do(nothing)))) is None
