"""Tasks that somebody else made, in the tree for a while."""

from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorNotRunning,
    ActorState,
    ActorStopped,
    Message,
    TellRef,
    UpwardWait,
    WaitCycle,
    open_actor_system,
)


@dataclass(frozen=True, slots=True)
class Hangup:
    reason: str


@dataclass(frozen=True, slots=True)
class Greet(Message[None]):
    back_to: TellRef[Hangup]


class Host(Actor[Greet]):
    async def handle(self, message: Greet) -> None:
        message.back_to.tell_nowait(Hangup("hello and goodbye"))


async def test_adopted_task_is_in_the_tree_for_the_length_of_the_block() -> None:
    async with open_actor_system("s") as system:
        with system.adopt("session-17", layer=0) as me:
            me.note = "waiting"
            assert (me.name, me.path, me.note) == ("session-17", "s/session-17", "waiting")
            (place,) = system.tree().children
            assert (place.path, place.kind, place.note) == ("s/session-17", "adopted", "waiting")
            assert (place.state, place.layer, place.capacity) == (ActorState.RUNNING, 0, 1)
        assert system.tree().children == ()


async def test_adopted_task_receives_what_an_actor_sends_to_it() -> None:
    async with open_actor_system() as system:
        host = await system.start(Host, name="host")
        with system.adopt("session", Hangup) as me:
            await host.tell(Greet(me.ref))
            assert await me.receive() == Hangup("hello and goodbye")
            assert system.tree().children[1].handled == 1


async def test_mailbox_of_an_adopted_task_is_bounded_and_blocks_its_senders() -> None:
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        refs: list[TellRef[Hangup]] = []
        received: list[str] = []
        ready = trio.Event()

        async def session() -> None:
            with system.adopt("session", Hangup, capacity=2) as me:
                refs.append(me.ref)
                await ready.wait()
                received.extend([(await me.receive()).reason for _ in range(4)])

        nursery.start_soon(session)
        await wait_all_tasks_blocked()
        for number in range(4):
            nursery.start_soon(refs[0].tell, Hangup(str(number)))
            await wait_all_tasks_blocked()
        with pytest.raises(trio.WouldBlock):
            refs[0].tell_nowait(Hangup("too many"))
        place = system.tree().children[0]
        assert (place.depth, place.capacity, place.blocked_senders) == (2, 2, 2)
        ready.set()
    assert received == ["0", "1", "2", "3"]


async def test_end_of_the_block_turns_senders_away() -> None:
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        refs: list[TellRef[Hangup]] = []

        async def session() -> None:
            with system.adopt("session", Hangup) as me:
                refs.append(me.ref)
                me.ref.tell_nowait(Hangup("unread"))
                await wait_all_tasks_blocked()

        nursery.start_soon(session)
        while not refs:
            await trio.lowlevel.checkpoint()
        with pytest.raises(ActorNotRunning, match="session takes no messages: it is stopped"):
            await refs[0].tell(Hangup("blocked"))
        with pytest.raises(ActorNotRunning):
            refs[0].tell_nowait(Hangup("late"))


async def test_adopted_task_does_not_wait_for_its_own_mailbox() -> None:
    async with open_actor_system() as system:
        with system.adopt("session", Hangup) as me, pytest.raises(WaitCycle, match="tell_nowait"):
            await me.ref.tell(Hangup("note to myself"))


async def test_ref_taken_after_the_end_is_that_of_an_ended_place() -> None:
    async with open_actor_system() as system:
        with system.adopt("session", Hangup) as me:
            pass
        with pytest.raises(ActorNotRunning):
            me.ref.tell_nowait(Hangup("late"))
        with pytest.raises(ActorStopped):
            await me.receive()


async def test_cancelled_receive_takes_nothing(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        with system.adopt("session", Hangup) as me:
            with trio.move_on_after(1) as impatience:
                await me.receive()
            assert impatience.cancelled_caught
            me.ref.tell_nowait(Hangup("kept"))
            with trio.CancelScope() as scope:
                scope.cancel()
                await me.receive()
            assert await me.receive() == Hangup("kept")


async def test_cancelling_the_adopted_task_frees_its_place_and_its_name(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system:
        for _ in range(2):
            with trio.move_on_after(1), system.adopt("session"):
                await trio.sleep_forever()
            assert system.tree().children == ()
        with pytest.raises(KeyError), system.adopt("session"):
            raise KeyError
        assert system.tree().children == ()


async def test_names_are_unique_among_actors_and_adopted_tasks() -> None:
    async with open_actor_system() as system:
        await system.start(Host, name="host")
        with pytest.raises(ValueError, match="'system/host' is taken"), system.adopt("host"):
            pass
        with system.adopt("session"):
            with pytest.raises(ValueError, match="'system/session' is taken"):
                system.adopt("session").__enter__()
            with pytest.raises(ValueError, match="is taken"):
                await system.start(Host, name="session")
        assert [place.name for place in system.tree().children] == ["host"]


async def test_a_place_is_entered_once() -> None:
    async with open_actor_system() as system:
        place = system.adopt("session")
        with place:
            pass
        with pytest.raises(RuntimeError, match="adopt the task anew"), place:
            pass


async def test_adoptions_nest_and_the_inner_place_is_the_one_that_waits() -> None:
    async with open_actor_system() as system:
        host = await system.start(Host, name="host", layer=1)
        with system.adopt("connection", layer=1), system.adopt("session", Hangup, layer=0) as me:
            await host.ask(Greet(me.ref))
            assert await me.receive() == Hangup("hello and goodbye")


async def test_after_the_block_the_task_waits_in_its_own_name_again() -> None:
    async with open_actor_system() as system:
        host = await system.start(Host, name="host", layer=1)
        with system.adopt("session", Hangup, layer=1) as me:
            ref = me.ref
            with pytest.raises(UpwardWait):
                await host.ask(Greet(ref))
        with pytest.raises(ActorNotRunning, match="session"):
            await host.ask(Greet(ref))


async def test_adopted_task_outlives_its_system_unharmed() -> None:
    async with open_actor_system("outer") as outer, trio.open_nursery() as nursery:
        done = trio.Event()

        async def session() -> None:
            with system.adopt("session", Hangup) as me:
                with pytest.raises(ActorStopped):
                    await me.receive()
                with pytest.raises(ActorStopped):
                    await me.receive()
                done.set()

        async with open_actor_system("inner") as system:
            nursery.start_soon(session)
            await wait_all_tasks_blocked()
        await done.wait()
        with pytest.raises(ActorNotRunning, match="inner takes no messages"):
            system.adopt("late").__enter__()
        assert outer.tree().children == ()


async def test_sessions_may_still_come_while_the_system_drains(autojump_clock: MockClock) -> None:
    class Slow(Host):
        async def handle(self, message: Greet) -> None:
            await trio.sleep(10)

    async with open_actor_system() as system, trio.open_nursery() as nursery:
        slow = await system.start(Slow, name="slow", shutdown_timeout=60)
        with system.adopt("first", Hangup) as me:
            nursery.start_soon(slow.ask, Greet(me.ref))
            await wait_all_tasks_blocked()
            nursery.start_soon(system.drain)
            await wait_all_tasks_blocked()
            with system.adopt("second"):
                assert [place.name for place in system.tree().children] == [
                    "slow",
                    "first",
                    "second",
                ]


async def test_ten_thousand_adopted_tasks_come_and_go() -> None:
    async with open_actor_system() as system:
        tasks_before = trio.lowlevel.current_statistics().tasks_living
        gate = trio.Event()

        async def session(number: int) -> None:
            with system.adopt(f"session-{number}") as me:
                me.note = "waiting"
                await gate.wait()

        async with trio.open_nursery() as nursery:
            for number in range(10_000):
                nursery.start_soon(session, number)
            await wait_all_tasks_blocked()
            tree = system.tree()
            assert tree.child_count == len(tree.children) == 10_000
            assert {place.note for place in tree.children} == {"waiting"}
            shortened = system.tree(limit=10)
            assert (shortened.child_count, len(shortened.children)) == (10_000, 10)
            gate.set()
        assert system.tree().child_count == 0
        assert trio.lowlevel.current_statistics().tasks_living == tasks_before
