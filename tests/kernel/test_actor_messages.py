"""Tell and ask: what is delivered, in which order, and how every ask is answered."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never, assert_type

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorNotRunning,
    ActorState,
    AskExpired,
    Message,
    Ref,
    open_actor_system,
)
from forebay.actors.kernel._messages import Call


@dataclass(frozen=True, slots=True)
class Add(Message[None]):
    number: int


@dataclass(frozen=True, slots=True)
class Total(Message[int]):
    pass


@dataclass(frozen=True, slots=True)
class Foreign(Message[str]):
    pass


class Adder(Actor[Add | Total]):
    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def handle(self, message: Add | Total) -> int | None:
        match message:
            case Add():
                self.numbers.append(message.number)
                return None
            case Total():
                return sum(self.numbers)
            case _:
                assert_never(message)


@dataclass(frozen=True, slots=True)
class Run(Message[object]):
    """Runs a function in the actor, and answers with what it returns."""

    work: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Sleep(Message[float]):
    """Answered with the deadline that the handler saw."""

    seconds: float


class Worker(Actor[Run | Sleep]):
    async def handle(self, message: Run | Sleep) -> object:
        match message:
            case Run():
                return message.work()
            case Sleep():
                await trio.sleep(message.seconds)
                return trio.current_effective_deadline()
            case _:
                assert_never(message)


class ConcurrentWorker(Worker):
    concurrency = 2


def fail() -> object:
    raise LookupError("no such thing")


async def test_tells_are_handled_in_order_before_a_later_ask() -> None:
    adder = Adder()
    async with open_actor_system() as system:
        ref = await system.start(lambda: adder, name="adder", capacity=2)
        for number in range(10):
            await ref.tell(Add(number))
        assert await ref.ask(Total()) == 45
    assert adder.numbers == list(range(10))


async def test_types_of_refs_and_replies_are_known_to_the_type_checker() -> None:
    """The ignores below are needed: strict mypy reports an ignore that hides nothing."""
    async with open_actor_system() as system:
        ref = await system.start(Adder, name="adder")
        assert_type(ref, Ref[Add | Total])
        assert_type(await ref.ask(Total()), int)
        totals_only: Ref[Total] = ref
        assert await totals_only.ask(Total()) == 0
        with pytest.raises(AssertionError):
            await ref.ask(Foreign())  # type: ignore[arg-type]
        with pytest.raises(AssertionError):
            await totals_only.ask("a told message only")  # type: ignore[arg-type]


async def test_tell_nowait_on_a_full_mailbox_would_block() -> None:
    async with open_actor_system() as system:
        ref = await system.start(Worker, name="worker", capacity=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.ask, Sleep(float("inf")))
            await wait_all_tasks_blocked()
            ref.tell_nowait(Sleep(0))
            with pytest.raises(trio.WouldBlock):
                ref.tell_nowait(Sleep(0))
            nursery.cancel_scope.cancel()


async def test_blocked_senders_are_served_in_the_order_in_which_they_came() -> None:
    adder = Adder()
    gate = trio.Event()

    class Gated(Adder):
        async def handle(self, message: Add | Total) -> int | None:
            await gate.wait()
            return await adder.handle(message)

    async with open_actor_system() as system:
        ref = await system.start(Gated, name="gated", capacity=1)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ref.tell, Add(number))
                await wait_all_tasks_blocked()
            assert system.tree().children[0].blocked_senders == 18
            gate.set()
    assert adder.numbers == list(range(20))


async def test_a_blocked_sender_that_gives_up_sends_nothing_and_frees_its_place(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system:
        ref = await system.start(Worker, name="worker", capacity=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.ask, Sleep(10))
            await wait_all_tasks_blocked()
            with trio.move_on_after(1) as impatience:
                await ref.tell(Run(fail))
            assert impatience.cancelled_caught
            assert system.tree().children[0].blocked_senders == 0
        assert await ref.ask(Run(lambda: "alive")) == "alive"
        assert system.tree().children[0].handled == 2


async def test_handler_works_under_the_deadline_of_its_asker(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        ref = await system.start(Worker, name="worker")
        with trio.fail_after(7) as patience:
            assert await ref.ask(Sleep(0)) == patience.deadline
        assert await ref.ask(Sleep(0)) == float("inf")


async def test_deadline_travels_through_an_ask_within_an_ask(autojump_clock: MockClock) -> None:
    class Middle(Actor[Sleep]):
        def __init__(self, below: Ref[Sleep]) -> None:
            self.below = below

        async def handle(self, message: Sleep) -> float:
            with trio.CancelScope(deadline=trio.current_time() + 1000):
                return await self.below.ask(message)
            raise AssertionError

    async with open_actor_system() as system:
        worker = await system.start(Worker, name="worker")
        middle = await system.start(lambda: Middle(worker), name="middle")
        with trio.fail_after(7) as patience:
            assert await middle.ask(Sleep(1)) == patience.deadline


@pytest.mark.parametrize("kind", [Worker, ConcurrentWorker])
async def test_cancelling_the_asker_cancels_the_handler_in_the_same_instant(
    kind: type[Worker], autojump_clock: MockClock
) -> None:
    ends: list[float] = []

    class Noting(Worker):
        concurrency = kind.concurrency

        async def handle(self, message: Run | Sleep) -> object:
            try:
                return await super().handle(message)
            finally:
                ends.append(trio.current_time() - begin)

    async with open_actor_system() as system:
        ref = await system.start(Noting, name="worker")
        begin = trio.current_time()
        with trio.move_on_after(3):
            await ref.ask(Sleep(100))
        await wait_all_tasks_blocked()
        assert ends == [3]
        assert await ref.ask(Run(lambda: "alive")) == "alive"


async def test_queued_ask_whose_asker_left_is_skipped(autojump_clock: MockClock) -> None:
    ran: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(Worker, name="worker")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.ask, Sleep(10))
            await wait_all_tasks_blocked()
            with trio.move_on_after(1):
                await ref.ask(Run(lambda: ran.append("left")))
            assert system.tree().children[0].depth == 1  # it keeps its place until its turn
        await ref.ask(Run(lambda: ran.append("stayed")))
        snapshot = system.tree().children[0]
    assert ran == ["stayed"]
    assert snapshot.handled == 2


async def test_asker_who_moved_its_deadline_gets_ask_expired(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        ref = await system.start(Worker, name="worker")
        async with trio.open_nursery() as nursery:
            with trio.CancelScope(deadline=trio.current_time() + 1) as patience:

                async def have_more_patience() -> None:
                    await trio.sleep(0.5)
                    patience.deadline += 100

                nursery.start_soon(have_more_patience)
                with pytest.raises(AskExpired):
                    await ref.ask(Sleep(50))
            assert not patience.cancelled_caught
        assert await ref.ask(Run(lambda: "alive")) == "alive"


@pytest.mark.parametrize("kind", [Worker, ConcurrentWorker])
async def test_error_of_one_ask_goes_to_its_asker_is_logged_once_and_kills_nobody(
    kind: type[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    class Middle(Actor[Run]):
        def __init__(self, below: Ref[Run]) -> None:
            self.below = below

        async def handle(self, message: Run) -> object:
            return await self.below.ask(message)

    async with open_actor_system("s") as system:
        worker = await system.start(kind, name="worker")
        middle = await system.start(lambda: Middle(worker), name="middle")
        with pytest.raises(LookupError, match="no such thing") as caught:
            await middle.ask(Run(fail))
        assert caught.value.__notes__ == ["Raised in actor s/worker while it answered Run"]
        assert await middle.ask(Run(lambda: "alive")) == "alive"
        assert [place.restarts for place in system.tree().children] == [0, 0]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "unexpected exception in s/worker while it answered Run"
    ]


async def test_asks_in_hand_at_a_crash_get_actor_died_and_queued_ones_are_served_by_the_next_life(
    autojump_clock: MockClock,
) -> None:
    outcomes: list[str] = []
    async with open_actor_system() as system:
        ref = await system.start(ConcurrentWorker, name="worker", capacity=10)

        async def ask(name: str, message: Sleep) -> None:
            try:
                await ref.ask(message)
            except ActorDied:
                outcomes.append(f"{name} died")
            else:
                outcomes.append(f"{name} served")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "in hand", Sleep(5))
            await wait_all_tasks_blocked()
            await ref.tell(Run(fail))
            nursery.start_soon(ask, "queued", Sleep(5))
    assert outcomes == ["in hand died", "queued served"]


async def test_concurrent_actor_handles_as_many_at_once_as_it_says(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system:
        ref = await system.start(ConcurrentWorker, name="worker", capacity=1)
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(ref.ask, Sleep(1))
            await wait_all_tasks_blocked()
            snapshot = system.tree().children[0]
            assert (snapshot.depth, snapshot.blocked_senders) == (1, 3)
        assert trio.current_time() - begin == 3


async def test_message_for_which_there_is_no_task_yet_can_still_be_answered_by_an_abort(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system:
        ref = await system.start(ConcurrentWorker, name="worker", capacity=0)
        async with trio.open_nursery() as nursery:

            async def refused() -> None:
                with pytest.raises(ActorNotRunning):
                    await ref.ask(Run(fail))

            for _ in range(2):
                nursery.start_soon(ref.tell, Sleep(100))
                await wait_all_tasks_blocked()
            nursery.start_soon(refused)
            await wait_all_tasks_blocked()
            ref.abort()


@pytest.mark.parametrize("limit", [0, -1])
async def test_impossible_concurrency_fails_the_start(limit: int) -> None:
    class Odd(Adder):
        concurrency = limit

    async with open_actor_system() as system:
        with pytest.raises(ValueError, match="concurrency: must be 1 or more"):
            await system.start(Odd, name="odd")


async def test_impossible_arguments_are_named() -> None:
    async with open_actor_system() as system:
        with pytest.raises(ValueError, match="capacity: must be 0 or more"):
            await system.start(Adder, name="adder", capacity=-1)
        with pytest.raises(ValueError, match="shutdown_timeout: must be 0 or more"):
            await system.start(Adder, name="adder", shutdown_timeout=-1)
        for name in ("", "a/b"):
            with pytest.raises(ValueError, match="name:"):
                await system.start(Adder, name=name)
        await system.start(Adder, name="adder")
        with pytest.raises(ValueError, match="'system/adder' is taken"):
            await system.start(Adder, name="adder")
        assert system.tree().child_count == 1


async def test_context_is_there_from_started_on_and_not_before() -> None:
    class Early(Adder):
        def __init__(self) -> None:
            super().__init__()
            self.context.note = "too early"

    async with open_actor_system() as system:
        with pytest.raises(RuntimeError, match="not there before started"):
            await system.start(Early, name="early")
        assert system.tree().children == ()


async def test_ref_of_an_ended_actor_says_so_at_once() -> None:
    async with open_actor_system() as system:
        ref = await system.start(Adder, name="adder")
        await ref.drain()
        assert ref.state is ActorState.STOPPED
        for attempt in (ref.tell, ref.ask):
            with pytest.raises(ActorNotRunning, match="system/adder takes no messages"):
                await attempt(Add(1))
        with pytest.raises(ActorNotRunning) as caught:
            ref.tell_nowait(Add(1))
        assert caught.value.state is ActorState.STOPPED


def test_envelope_is_answered_once() -> None:
    call = Call(Total(), deadline=float("inf"))
    call.reply(1)
    call.fail(LookupError())
    call.reply(2)
    assert call.result() == 1
    call = Call(Total(), deadline=float("inf"))
    call.fail(LookupError("first"))
    call.reply(1)
    call.fail(LookupError("second"))
    with pytest.raises(LookupError, match="first"):
        call.result()
