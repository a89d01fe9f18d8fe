"""Parents and children: order of start and end, escalation, and what leaves the system's edge."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorError,
    ActorNotRunning,
    ActorStopped,
    Message,
    Ref,
    RestartPolicy,
    open_actor_system,
)

NEVER = RestartPolicy(intensity=0)


@dataclass(frozen=True, slots=True)
class Work(Message[str]):
    seconds: float = 0


class Crash:
    pass


class Child(Actor[Work | Crash]):
    """Writes down what happens to it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def started(self) -> None:
        await trio.sleep(1)
        self.log.append(f"{self.name} started")

    async def handle(self, message: Work | Crash) -> str:
        if isinstance(message, Crash):
            raise LookupError(self.name)
        try:
            await trio.sleep(message.seconds)
        except trio.Cancelled:
            self.log.append(f"{self.name} cancelled")
            raise
        return f"{self.name} worked"

    def stopped(self) -> None:
        self.log.append(f"{self.name} stopped")


class Parent(Child):
    """Starts two children; the second needs the first."""

    first: Ref[Work | Crash]
    second: Ref[Work | Crash]

    async def started(self) -> None:
        await super().started()
        start = self.context.start
        self.first = await start(lambda: Child("first", self.log), name="first", restart=NEVER)
        self.second = await start(lambda: Child("second", self.log), name="second")


async def test_children_start_in_order_and_stop_in_reverse(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with open_actor_system() as system:
        await system.start(lambda: Parent("parent", log), name="parent")
        await system.start(lambda: Child("last", log), name="last")
    starts = ["parent", "first", "second", "last"]
    ends = ["last", "second", "first", "parent"]
    assert log == [f"{name} started" for name in starts] + [f"{name} stopped" for name in ends]


async def cancel(scope: trio.CancelScope) -> None:
    scope.cancel()
    await trio.lowlevel.checkpoint()


async def fail(scope: trio.CancelScope) -> None:
    raise KeyError("the block")


@pytest.mark.parametrize("end", [cancel, fail])
async def test_children_stop_in_reverse_also_when_the_block_is_cancelled_or_fails(
    end: Callable[[trio.CancelScope], Awaitable[None]], autojump_clock: MockClock
) -> None:
    log: list[str] = []

    async def block(scope: trio.CancelScope) -> None:
        async with open_actor_system() as system:
            await system.start(lambda: Parent("parent", log), name="parent")
            last = await system.start(lambda: Child("last", log), name="last")
            await last.tell(Work(100))
            await wait_all_tasks_blocked()
            log.clear()
            await end(scope)

    outcome = pytest.raises(KeyError, match="the block") if end is fail else nullcontext()
    with trio.CancelScope() as scope, outcome:
        await block(scope)
    assert scope.cancelled_caught == (end is cancel)
    names = ["last", "second", "first", "parent"]
    assert log == ["last cancelled", *(f"{name} stopped" for name in names)]


async def test_an_elder_still_works_while_those_after_it_end(autojump_clock: MockClock) -> None:
    answers: list[str] = []

    class Farewell(Child):
        elder: Ref[Work | Crash]

        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                    answers.append(await self.elder.ask(Work(1)))

    log: list[str] = []
    with trio.CancelScope() as scope:
        async with open_actor_system() as system:
            farewell = Farewell("farewell", log)
            farewell.elder = await system.start(lambda: Child("elder", log), name="elder")
            await system.start(lambda: farewell, name="farewell")
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert answers == ["elder worked"]


async def test_child_that_crashes_too_often_crashes_its_parent_which_starts_anew(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    parents: list[Parent] = []

    def parent() -> Parent:
        parents.append(Parent("parent", log))
        return parents[-1]

    async with open_actor_system() as system:
        ref = await system.start(parent, name="parent")
        log.clear()
        await parents[0].first.tell(Crash())
        await wait_all_tasks_blocked()
        assert log == ["first stopped", "second stopped", "parent stopped"]
        assert await ref.ask(Work()) == "parent worked"
        assert len(parents) == 2
        assert await parents[1].first.ask(Work()) == "first worked"
        with pytest.raises(ActorNotRunning):
            await parents[0].first.ask(Work())
        snapshot = system.tree().children[0]
        assert snapshot.restarts == 1
        assert [child.name for child in snapshot.children] == ["first", "second"]


async def test_child_that_crashes_rarely_is_restarted_alone(autojump_clock: MockClock) -> None:
    log: list[str] = []
    parent = Parent("parent", log)
    async with open_actor_system() as system:
        await system.start(lambda: parent, name="parent", restart=NEVER)
        log.clear()
        await parent.second.tell(Crash())
        assert await parent.second.ask(Work()) == "second worked"
        assert log == ["second stopped", "second started"]


async def test_crashing_parent_ends_its_children_before_it_restarts(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Parent("parent", log), name="parent")
        log.clear()
        await ref.tell(Crash())
        assert await ref.ask(Work()) == "parent worked"
    ends = ["second stopped", "first stopped", "parent stopped"]
    assert log == [*ends, "parent started", "first started", "second started", *ends]


async def test_dead_top_level_actor_cancels_the_block_and_leaves_as_one_typed_error(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []

    async def block() -> None:
        async with open_actor_system("s") as system:
            parent = Parent("parent", log)
            await system.start(lambda: parent, name="parent", restart=NEVER)
            await parent.first.tell(Crash())
            await trio.sleep_forever()

    with pytest.raises(ActorDied, match="s/parent died") as caught:
        await block()
    assert isinstance(caught.value.__cause__, ActorDied)
    assert caught.value.__cause__.path == "s/parent/first"
    assert isinstance(caught.value.__cause__.__cause__, LookupError)


async def test_two_deaths_at_once_still_leave_as_one_error(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def block() -> None:
        async with open_actor_system("s") as system:
            refs = [
                await system.start(lambda: Child("child", []), name=name, restart=NEVER)
                for name in ("one", "two")
            ]
            for ref in refs:
                ref.tell_nowait(Crash())
            with pytest.raises(ActorDied):
                await refs[0].ask(Work())
            raise ActorError("what the block made of it")

    with pytest.raises(ActorDied, match="died: LookupError"):
        await block()
    died = {record.getMessage() for record in caplog.records}
    assert {"s/one died", "s/two died"} <= died


async def test_error_of_the_block_beside_a_death_hides_neither(autojump_clock: MockClock) -> None:
    async def block() -> None:
        async with open_actor_system("s") as system:
            ref = await system.start(lambda: Child("child", []), name="child", restart=NEVER)
            ref.tell_nowait(Crash())
            with trio.CancelScope(shield=True):
                await ref.wait_stopped()
            raise KeyError("the block")

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert caught.group_contains(KeyError)
    assert caught.group_contains(ActorDied)


async def test_group_that_the_block_raises_is_left_as_it_is() -> None:
    async def block() -> None:
        async with open_actor_system():
            raise ExceptionGroup("of the block", [KeyError()])

    with pytest.raises(ExceptionGroup, match="of the block"):
        await block()


async def test_wait_stopped_says_what_an_actor_died_of(autojump_clock: MockClock) -> None:
    class Watching(Parent):
        async def run(self) -> None:
            with trio.CancelScope(shield=True):
                failure = await self.first.wait_stopped()
            self.log.append(f"first died of {failure!r}")

    log: list[str] = []
    watching = Watching("watching", log)

    async def block() -> None:
        async with open_actor_system() as system:
            await system.start(lambda: watching, name="watching", restart=NEVER)
            await watching.first.tell(Crash())
            await trio.sleep_forever()

    with pytest.raises(ActorDied):
        await block()
    assert "first died of LookupError('first')" in log


async def test_crash_of_an_actor_with_500_waiters_leaves_none_hanging(
    autojump_clock: MockClock,
) -> None:
    class Crowded(Child):
        concurrency = 10

        async def started(self) -> None:
            await trio.sleep(1)

    outcomes: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Crowded("model", []), name="model", capacity=20)

        async def wait() -> None:
            try:
                outcomes.append(await ref.ask(Work(1)))
            except ActorDied:
                outcomes.append("died")

        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await ref.tell(Crash())
            for _ in range(491):
                nursery.start_soon(wait)
    # The nine in hand are lost with the crash; all others waited for the next life.
    assert (outcomes.count("died"), outcomes.count("model worked")) == (9, 491)


async def test_failure_during_an_abort_is_logged_and_goes_no_further(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Sore(Child):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("sore")

        def stopped(self) -> None:
            raise KeyError("very sore")

    async with open_actor_system("s") as system:
        ref = await system.start(lambda: Sore("sore", []), name="sore")
        ref.abort()
        failure = await ref.wait_stopped()
    assert isinstance(failure, KeyError)
    assert [record.getMessage() for record in caplog.records] == [
        "stopped() of s/sore failed",
        "s/sore failed while it was aborted",
    ]


async def test_actor_that_ignores_its_abort_is_named_and_does_not_hold_up_its_elders_for_long(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Child):
        async def run(self) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(60)

    class Noting(Child):
        def stopped(self) -> None:
            self.log.append(f"{self.name} stopped after {trio.current_time() - begin:g} s")

    log: list[str] = []
    with trio.CancelScope() as scope:
        async with open_actor_system("s") as system:
            await system.start(lambda: Noting("first", log), name="first")
            await system.start(lambda: Noting("second", log), name="second")
            await system.start(lambda: Stubborn("stubborn", log), name="stubborn")
            log.clear()
            await wait_all_tasks_blocked()
            begin = trio.current_time()
            scope.cancel()
            await trio.sleep_forever()
    assert sorted(log[:2]) == ["first stopped after 5 s", "second stopped after 5 s"]
    assert log[2:] == ["stubborn stopped"]
    assert trio.current_time() - begin == 60
    assert [record.getMessage() for record in caplog.records] == [
        "s/stubborn goes on in spite of being aborted"
    ]


async def test_no_actor_can_be_started_once_the_end_has_begun(autojump_clock: MockClock) -> None:
    async with open_actor_system("s") as system:
        await system.drain()
        with pytest.raises(ActorNotRunning, match="s takes no messages: it is draining"):
            await system.start(lambda: Child("late", []), name="late")
    with pytest.raises(ActorNotRunning, match="it is stopped"):
        await system.start(lambda: Child("late", []), name="late")


async def test_system_ending_during_a_start_tells_the_starter(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system, trio.open_nursery() as nursery:

        async def start() -> None:
            with pytest.raises(ActorStopped):
                await system.start(lambda: Child("slow", []), name="slow")

        nursery.start_soon(start)
        await wait_all_tasks_blocked()
        await system.abort()


async def test_every_system_is_its_own_world(autojump_clock: MockClock) -> None:
    async with open_actor_system("a") as one, open_actor_system("b") as other:
        for system in (one, other):
            ref = await system.start(lambda: Child("same", []), name="same")
            assert await ref.ask(Work()) == "same worked"
        await one.abort()
        assert [place.path for place in other.tree().children] == ["b/same"]


async def test_system_in_an_actor_of_another_system(autojump_clock: MockClock) -> None:
    """A handler may open a system of its own; its end cancels that like any other block."""

    class Host(Actor[Work]):
        async def handle(self, message: Work) -> str:
            async with open_actor_system("inner") as inner:
                ref = await inner.start(lambda: Child("guest", log), name="guest")
                return await ref.ask(message)

    log: list[str] = []
    async with open_actor_system("outer") as system:
        host = await system.start(Host, name="host")
        assert await host.ask(Work()) == "guest worked"
        with trio.move_on_after(5):
            await host.ask(Work(100))
        await wait_all_tasks_blocked()
    first, second = log[:2], log[2:]
    assert first == ["guest started", "guest stopped"]
    assert second == ["guest started", "guest cancelled", "guest stopped"]
