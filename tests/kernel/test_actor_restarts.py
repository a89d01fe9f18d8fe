"""When crashed actors come back: the arithmetic, and what it does to actors in virtual time."""

import logging
from dataclasses import dataclass
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorDied,
    ActorNotRunning,
    ActorState,
    Message,
    RestartPolicy,
    open_actor_system,
)
from forebay.actors.kernel._restarts import RestartHistory

EXACT = RestartPolicy(jitter=0)


@dataclass(frozen=True, slots=True)
class Crash(Message[None]):
    pass


@dataclass(frozen=True, slots=True)
class Life(Message[int]):
    """Answered with the number of the life."""


class Mortal(Actor[Crash | Life]):
    """What is worth keeping, here the times of its births, is outside of the instance."""

    def __init__(self, births: list[float]) -> None:
        births.append(trio.current_time())
        self.births = births

    async def handle(self, message: Crash | Life) -> int:
        if isinstance(message, Crash):
            raise LookupError("crash on demand")
        return len(self.births)


def test_waits_double_up_to_the_maximum() -> None:
    policy = RestartPolicy(intensity=9, period=1e6, jitter=0)
    history = RestartHistory(policy, Random(1))
    delays = [history.delay_after_crash(float(n)) for n in range(10)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, None]


def test_too_many_restarts_are_those_within_one_period() -> None:
    history = RestartHistory(RestartPolicy(intensity=2, period=10, jitter=0), Random(1))
    assert history.delay_after_crash(0) == 0.1
    assert history.delay_after_crash(9) == 0.2
    assert history.delay_after_crash(9.9) is None
    assert history.delay_after_crash(10) == 0.2  # the one at 0 has left the period
    assert history.delay_after_crash(18.9) is None
    assert history.delay_after_crash(1000) == 0.1


def test_intensity_zero_never_restarts() -> None:
    assert RestartHistory(RestartPolicy(intensity=0), Random(1)).delay_after_crash(0) is None


def test_huge_intensity_stays_at_the_maximum() -> None:
    policy = RestartPolicy(intensity=5000, period=1e9, jitter=0)
    history = RestartHistory(policy, Random(1))
    assert [history.delay_after_crash(0.0) for _ in range(5000)][-1] == 5


def test_jitter_is_repeated_with_the_same_seed() -> None:
    def delays(seed: int) -> list[float | None]:
        history = RestartHistory(RestartPolicy(jitter=0.5), Random(seed))
        return [history.delay_after_crash(0) for _ in range(5)]

    assert delays(7) == delays(7)
    assert delays(7) != delays(8)


@given(
    jitter=st.floats(0, 1),
    seed=st.integers(),
    crashes=st.lists(st.floats(0, 1e6), max_size=30).map(sorted),
)
def test_delays_stay_in_their_range_and_restarts_within_intensity(
    jitter: float, seed: int, crashes: list[float]
) -> None:
    policy = RestartPolicy(intensity=3, period=100, jitter=jitter)
    history = RestartHistory(policy, Random(seed))
    restarts: list[float] = []
    for crash in crashes:
        recent = [time for time in restarts if time > crash - policy.period]
        delay = history.delay_after_crash(crash)
        if delay is None:
            assert len(recent) == policy.intensity
        else:
            exact = policy.backoff_initial * 2 ** len(recent)
            assert exact * (1 - jitter) <= delay <= exact
            restarts.append(crash)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"intensity": -1}, "intensity"),
        ({"period": 0}, "period"),
        ({"backoff_initial": -0.1}, "backoff_initial"),
        ({"backoff_initial": 6}, "backoff_initial, backoff_max"),
        ({"backoff_max": float("inf")}, "backoff_max"),
        ({"jitter": 1.1}, "jitter"),
    ],
)
def test_impossible_policies_are_refused_by_name(arguments: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RestartPolicy(**arguments)  # type: ignore[arg-type]


async def test_crashed_actor_comes_back_after_exact_waits_and_dies_beyond_its_intensity(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    births: list[float] = []
    begin = trio.current_time()

    async def crash_six_times() -> None:
        async with open_actor_system("s") as system:
            ref = await system.start(lambda: Mortal(births), name="mortal", restart=EXACT)
            for _ in range(6):
                await ref.tell(Crash())
            await trio.sleep_forever()

    with pytest.raises(ActorDied, match="s/mortal died: LookupError") as caught:
        await crash_six_times()
    assert [time - begin for time in births] == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1])
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.path == "s/mortal"
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "s/mortal crashed and restarts in 0.100 s"
    assert messages[5:] == ["s/mortal died"]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_jitter_of_a_system_comes_from_its_random(autojump_clock: MockClock) -> None:
    births: list[float] = []
    async with open_actor_system(random=Random(3)) as system:
        ref = await system.start(lambda: Mortal(births), name="mortal")
        await ref.tell(Crash())
        assert await ref.ask(Life()) == 2
    assert births[1] - births[0] == pytest.approx(0.1 * (1 - 0.1 * Random(3).random()))


async def test_restart_loses_only_the_message_that_crashed(autojump_clock: MockClock) -> None:
    births: list[float] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Mortal(births), name="mortal", capacity=2, restart=EXACT)
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await ref.ask(Life()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.tell, Crash())
            await wait_all_tasks_blocked()
            # Down for 0.1 s: the mailbox fills, and more senders wait.
            assert system.tree().children[0].state is ActorState.STARTING
            for _ in range(5):
                nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            snapshot = system.tree().children[0]
            assert (snapshot.depth, snapshot.blocked_senders) == (2, 3)
        assert answers == [2] * 5
        snapshot = system.tree().children[0]
        assert (snapshot.state, snapshot.restarts) == (ActorState.RUNNING, 1)


async def test_background_loop_that_crashes_restarts_the_actor_and_one_that_ends_does_not(
    autojump_clock: MockClock,
) -> None:
    class Pump(Mortal):
        async def run(self) -> None:
            await trio.sleep(10)
            if len(self.births) == 1:
                raise LookupError("pump")

    births: list[float] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Pump(births), name="pump", restart=EXACT)
        await trio.sleep(100)
        assert [time - births[0] for time in births] == pytest.approx([0, 10.1])
        assert await ref.ask(Life()) == 2


async def test_task_of_an_actor_that_crashes_restarts_the_actor(
    autojump_clock: MockClock,
) -> None:
    class Helped(Mortal):
        async def started(self) -> None:
            if len(self.births) == 1:
                self.context.start_soon(self.crash_after, 10)

        async def crash_after(self, seconds: float) -> None:
            await trio.sleep(seconds)
            raise LookupError("helper")

    births: list[float] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: Helped(births), name="helped", restart=EXACT)
        await trio.sleep(100)
        assert await ref.ask(Life()) == 2


async def test_failed_first_start_goes_to_the_starter_and_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    released: list[str] = []

    class Unready(Mortal):
        async def started(self) -> None:
            await trio.sleep(1)
            raise LookupError("not ready")

        def stopped(self) -> None:
            released.append("stopped")

    async with open_actor_system() as system:
        with pytest.raises(LookupError, match="not ready"):
            await system.start(lambda: Unready([]), name="mortal")
        assert system.tree().children == ()
        with pytest.raises(ZeroDivisionError):
            await system.start(lambda: Mortal([1 / 0]), name="mortal")
        ref = await system.start(lambda: Mortal([]), name="mortal")
        assert await ref.ask(Life()) == 1
    assert released == ["stopped"]


async def test_failed_start_of_a_restart_is_a_crash_like_others(
    autojump_clock: MockClock,
) -> None:
    class UnreadyTwice(Mortal):
        async def started(self) -> None:
            if len(self.births) in (2, 3):
                raise LookupError("not ready")

    births: list[float] = []
    async with open_actor_system() as system:
        ref = await system.start(lambda: UnreadyTwice(births), name="mortal", restart=EXACT)
        await ref.tell(Crash())
        assert await ref.ask(Life()) == 4
    assert [time - births[0] for time in births] == pytest.approx([0, 0.1, 0.3, 0.7])


async def test_cancelled_start_aborts_the_actor_and_frees_its_name(
    autojump_clock: MockClock,
) -> None:
    class Slow(Mortal):
        async def started(self) -> None:
            await trio.sleep(10)

    async with open_actor_system() as system:
        with trio.move_on_after(1):
            await system.start(lambda: Slow([]), name="mortal")
        await wait_all_tasks_blocked()
        assert system.tree().children == ()
        await system.start(lambda: Mortal([]), name="mortal")


async def test_abort_while_down_ends_the_wait_and_answers_the_queue(
    autojump_clock: MockClock,
) -> None:
    async with open_actor_system() as system:
        policy = RestartPolicy(backoff_initial=1000, backoff_max=1000)
        ref = await system.start(lambda: Mortal([]), name="mortal", restart=policy)
        await ref.tell(Crash())
        await wait_all_tasks_blocked()
        begin = trio.current_time()
        ref.abort()
        assert await ref.wait_stopped() is None
        assert trio.current_time() == begin
        with pytest.raises(ActorNotRunning):
            await ref.ask(Life())


async def test_last_crash_answers_the_queue_with_actor_died(autojump_clock: MockClock) -> None:
    queued: list[str] = []

    async def crash_with_a_queue() -> None:
        async with open_actor_system() as system, trio.open_nursery() as nursery:
            never = RestartPolicy(intensity=0)
            ref = await system.start(lambda: Mortal([]), name="mortal", restart=never)

            async def ask() -> None:
                with trio.CancelScope(shield=True):
                    try:
                        await ref.ask(Life())
                    except ActorDied as death:
                        queued.append(str(death))

            ref.tell_nowait(Crash())
            for _ in range(3):
                nursery.start_soon(ask)

    with pytest.raises(ActorDied, match="died: LookupError"):
        await crash_with_a_queue()
    assert queued == ["system/mortal crashed before it answered"] * 3
