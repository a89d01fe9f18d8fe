"""The end of an actor in order, and at once."""

from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorNotRunning,
    ActorStopped,
    ActorSystem,
    Message,
    Ref,
    RestartPolicy,
    open_actor_system,
)


@dataclass(frozen=True, slots=True)
class Work(Message[str]):
    name: str
    seconds: float = 1


class Worker(Actor[Work]):
    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def handle(self, message: Work) -> str:
        await trio.sleep(message.seconds)
        self.log.append(message.name)
        return message.name

    def stopped(self) -> None:
        self.log.append("stopped")


class ConcurrentWorker(Worker):
    concurrency = 2


async def queue_up(
    nursery: trio.Nursery, ref: Ref[Work], count: int, outcomes: list[str], seconds: float = 1
) -> None:
    async def ask(name: str) -> None:
        try:
            await ref.ask(Work(name, seconds))
        except (ActorNotRunning, ActorStopped) as refusal:
            outcomes.append(f"{name} {type(refusal).__name__}")
        else:
            outcomes.append(f"{name} served")

    for number in range(count):
        nursery.start_soon(ask, str(number))
        await wait_all_tasks_blocked()


@pytest.mark.parametrize("kind", [Worker, ConcurrentWorker])
async def test_drain_refuses_the_new_and_serves_the_queued_with_their_blocked_senders(
    kind: type[Worker], autojump_clock: MockClock
) -> None:
    outcomes: list[str] = []
    log: list[str] = []
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: kind(log), name="worker", capacity=2)
        await queue_up(nursery, ref, 6, outcomes)
        nursery.start_soon(ref.drain)
        await wait_all_tasks_blocked()
        assert ref.state == "draining"
        for attempt in (ref.tell, ref.ask):
            with pytest.raises(ActorNotRunning, match="draining"):
                await attempt(Work("late"))
        with pytest.raises(ActorNotRunning, match="draining"):
            ref.tell_nowait(Work("late"))
        await ref.wait_stopped()
        assert ref.state == "stopped"
        assert system.tree().children == ()
    assert sorted(outcomes) == [f"{number} served" for number in range(6)]
    assert log[-1] == "stopped"


async def test_drain_of_an_idle_actor_ends_it_at_once(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with open_actor_system() as system:
        for capacity in (0, 1):
            ref = await system.start(lambda: Worker(log), name="worker", capacity=capacity)
            await wait_all_tasks_blocked()
            begin = trio.current_time()
            await ref.drain()
            assert trio.current_time() == begin
    assert log == ["stopped"] * 2


@pytest.mark.parametrize("kind", [Worker, ConcurrentWorker])
async def test_what_is_not_done_at_the_deadline_is_aborted_and_answered(
    kind: type[Worker], autojump_clock: MockClock
) -> None:
    outcomes: list[str] = []
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: kind([]), name="worker", capacity=2)
        await queue_up(nursery, ref, 5, outcomes, seconds=10)
        begin = trio.current_time()
        await ref.drain(begin + 15)
        assert trio.current_time() == begin + 15
        await wait_all_tasks_blocked()
        at_once = kind.concurrency
        served = [f"{number} served" for number in range(at_once)]
        # The blocked senders had moved up into the mailbox as others were taken out of it.
        assert sorted(outcomes)[:at_once] == served
        stopped = sum(outcome.endswith("ActorStopped") for outcome in outcomes)
        refused = sum(outcome.endswith("ActorNotRunning") for outcome in outcomes)
        assert (stopped, refused) == ((3, 1) if kind is Worker else (3, 0))


async def test_earliest_of_several_deadlines_counts(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: Worker([]), name="worker")
        ref.tell_nowait(Work("long", 1000))
        begin = trio.current_time()
        for seconds in (50, 5, 500):
            nursery.start_soon(ref.drain, begin + seconds)
        await ref.wait_stopped()
        assert trio.current_time() == begin + 5


async def test_drain_goes_on_without_the_caller(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Worker(log), name="worker")
        ref.tell_nowait(Work("long", 10))
        with trio.move_on_after(1):
            await ref.drain()
        assert ref.state == "draining"
        assert await ref.wait_stopped() is None
    assert log == ["long", "stopped"]


async def test_abort_answers_the_queue_at_once_and_turns_blocked_senders_away(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[str] = []
    log: list[str] = []
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: Worker(log), name="worker", capacity=2)
        await queue_up(nursery, ref, 2, outcomes, seconds=10)
        ref.tell_nowait(Work("told"))
        nursery.start_soon(queue_up, nursery, ref, 2, outcomes)
        await wait_all_tasks_blocked()
        begin = trio.current_time()
        ref.abort()
        ref.abort()
        with pytest.raises(ActorNotRunning):
            ref.tell_nowait(Work("late"))
        await ref.wait_stopped()
        await wait_all_tasks_blocked()
        assert trio.current_time() == begin
    assert sorted(outcomes) == [
        "0 ActorNotRunning",
        "0 ActorStopped",
        "1 ActorNotRunning",
        "1 ActorStopped",
    ]
    assert log == ["stopped"]
    assert [record.getMessage() for record in caplog.records] == [
        "system/worker was stopped with 1 told messages unread"
    ]


async def test_blocked_tell_is_not_taken_for_sent_when_the_actor_is_aborted(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: Worker([]), name="worker", capacity=1)

        async def tell() -> None:
            with pytest.raises(ActorNotRunning):
                await ref.tell(Work("blocked"))

        await ref.tell(Work("in hand", 100))
        await wait_all_tasks_blocked()
        await ref.tell(Work("queued"))
        nursery.start_soon(tell)
        await wait_all_tasks_blocked()
        ref.abort()


async def test_finish_is_awaited_with_the_loop_and_the_children_still_there(
    autojump_clock: MockClock,
) -> None:
    class Pump(Worker):
        async def started(self) -> None:
            self.idle = trio.Event()
            self.child = await self.context.start(lambda: Worker(self.log), name="child")

        async def run(self) -> None:
            await trio.sleep(10)
            await self.child.ask(Work("last pumped"))
            self.idle.set()
            await trio.sleep_forever()

        async def finish(self) -> None:
            self.log.append("finishing")
            await self.idle.wait()

    log: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Pump(log), name="pump")
        await ref.tell(Work("queued"))
        await ref.drain()
        assert log == ["queued", "finishing", "last pumped", "stopped", "stopped"]
        log.clear()
        ref = await system.start(lambda: Pump(log), name="pump")
        begin = trio.current_time()
        await ref.drain(begin + 5)
        assert trio.current_time() == begin + 5
        assert log == ["finishing", "stopped", "stopped"]


class Parent(Worker):
    child: Ref[Work]

    def make_child(self) -> Worker:
        return Worker(self.log)

    async def started(self) -> None:
        self.child = await self.context.start(self.make_child, name="child")


async def test_drain_of_a_parent_drains_its_children(autojump_clock: MockClock) -> None:
    log: list[str] = []
    parent = Parent(log)
    async with open_actor_system() as system:
        ref = await system.start(lambda: parent, name="parent")
        await parent.child.tell(Work("first"))
        await parent.child.tell(Work("queued"))
        await ref.drain()
    assert log == ["first", "queued", "stopped", "stopped"]


async def test_queue_is_answered_at_the_deadline_and_not_after_the_children_have_ended(
    autojump_clock: MockClock,
) -> None:
    class SlowToEnd(Worker):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 3):
                    await trio.sleep_forever()

    class ParentOfSlow(Parent):
        def make_child(self) -> Worker:
            return SlowToEnd(self.log)

    outcomes: list[str] = []
    async with open_actor_system() as system, trio.open_nursery() as nursery:
        ref = await system.start(lambda: ParentOfSlow([]), name="parent")
        await queue_up(nursery, ref, 3, outcomes, seconds=1000)
        begin = trio.current_time()
        nursery.start_soon(ref.drain, begin + 5)
        await trio.sleep(6)
        assert sorted(outcomes) == [f"{number} ActorStopped" for number in range(3)]
        await ref.wait_stopped()
        assert trio.current_time() == begin + 8


async def test_an_actor_can_stop_itself(autojump_clock: MockClock) -> None:
    class Once(Worker):
        async def handle(self, message: Work) -> str:
            self.context.stop()
            return await super().handle(message)

    log: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Once(log), name="once")
        ref.tell_nowait(Work("first"))
        ref.tell_nowait(Work("second"))
        assert await ref.wait_stopped() is None
        with pytest.raises(ActorNotRunning):
            await ref.ask(Work("late"))
    assert log == ["first", "second", "stopped"]


async def test_an_actor_can_abort_itself(autojump_clock: MockClock) -> None:
    class Hasty(Worker):
        async def handle(self, message: Work) -> str:
            self.context.ref.abort()
            return await super().handle(message)

    async with open_actor_system() as system:
        ref = await system.start(lambda: Hasty([]), name="hasty")
        with pytest.raises(ActorStopped):
            await ref.ask(Work("first"))
        assert await ref.wait_stopped() is None


async def test_crash_while_draining_restarts_for_what_is_queued(autojump_clock: MockClock) -> None:
    class Brittle(Worker):
        async def handle(self, message: Work) -> str:
            if message.name == "crash":
                raise LookupError
            return await super().handle(message)

    log: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Brittle(log), name="brittle")
        ref.tell_nowait(Work("crash"))
        ref.tell_nowait(Work("queued"))
        with trio.move_on_after(0.05):
            await ref.drain()
        assert ref.state == "draining"  # though it waits for its restart
        await ref.drain()
    assert log == ["stopped", "queued", "stopped"]


async def start_three(system: ActorSystem, log: list[str]) -> list[Ref[Work]]:
    refs = []
    for number, timeout in enumerate((5, 2, 5)):
        ref = await system.start(
            lambda: Worker(log), name=f"worker-{number}", shutdown_timeout=timeout
        )
        refs.append(ref)
    return refs


async def test_end_of_the_block_drains_each_actor_within_its_own_timeout(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    begin = trio.current_time()
    async with open_actor_system() as system:
        for number, ref in enumerate(await start_three(system, log)):
            ref.tell_nowait(Work(f"{number} first", 1))
            ref.tell_nowait(Work(f"{number} second", 3))
    # All work side by side; the drain of the last takes the 4 s that all of them need.
    assert sorted(log[:6]) == [f"{n} {which}" for n in range(3) for which in ("first", "second")]
    assert log[6:] == ["stopped"] * 3
    assert trio.current_time() - begin == 4


async def test_slow_actor_is_aborted_after_its_timeout_and_the_elder_gets_its_turn(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    begin = trio.current_time()
    async with open_actor_system() as system:
        refs = await start_three(system, log)
        refs[1].tell_nowait(Work("never done", 1000))
        refs[0].tell_nowait(Work("done", 3))
    assert log == ["stopped", "stopped", "done", "stopped"]
    assert trio.current_time() - begin == 3


async def test_drain_of_a_system_has_a_deadline_for_all(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with open_actor_system() as system:
        for ref in await start_three(system, log):
            ref.tell_nowait(Work("never done", 1000))
        begin = trio.current_time()
        await system.drain(begin + 4)
        # The last has 4 s until the deadline, and nothing is left for the other two.
        assert trio.current_time() - begin == 4
        assert system.state == "draining"
        assert system.tree().children == ()
    assert log == ["stopped"] * 3
    assert system.state == "stopped"


async def test_drain_while_down_handles_the_queue_in_the_next_life(
    autojump_clock: MockClock,
) -> None:
    class Brittle(Worker):
        async def handle(self, message: Work) -> str:
            if message.name == "crash":
                raise LookupError
            return await super().handle(message)

    log: list[str] = []
    async with open_actor_system() as system:
        policy = RestartPolicy(backoff_initial=3, jitter=0)
        ref = await system.start(lambda: Brittle(log), name="brittle", restart=policy)
        ref.tell_nowait(Work("crash"))
        ref.tell_nowait(Work("queued"))
        await wait_all_tasks_blocked()
        begin = trio.current_time()
        with trio.move_on_after(1):
            await ref.drain()
        assert ref.state == "draining"
        await ref.drain()
        assert trio.current_time() - begin == 4
    assert log == ["stopped", "queued", "stopped"]
