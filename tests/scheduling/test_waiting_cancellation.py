"""Clients that leave while they wait, and jobs that are put back: wherever the job stands, its
place and its grant are given back, and the others go on."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from waiting_room import Waiter, give_back, open_room, stand_in_line

from forebay.actors.jobs.waiting import WaitExpired
from forebay.actors.scheduling.gates import Ending

# Leaving.


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_leaving_the_queue_frees_the_place(leaver: int, autojump_clock: MockClock) -> None:
    """In front of the channel, or parked in it."""
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        holder = await room.wait("holder")
        waiters = await stand_in_line(nursery, room, "aaa")
        waiters[leaver].scope.cancel()
        await wait_all_tasks_blocked()
        assert room.lane.waiting == 2
        grants = [holder]
        for waiter in waiters:
            if waiter is not waiters[leaver]:
                give_back(grants.pop())
                await wait_all_tasks_blocked()
                assert waiter.grant is not None
                grants.append(waiter.grant)
        give_back(grants.pop())
        assert waiters[leaver].grant is None
        assert await room.is_at_rest()


async def test_leaving_in_the_moment_of_the_grant_passes_it_on(autojump_clock: MockClock) -> None:
    """It is granted to one who has left, but whose task did not run since."""
    for _ in range(40):
        async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
            holder = await room.wait("holder")
            leaver, other = await stand_in_line(nursery, room, "ab")
            leaver.scope.cancel()
            give_back(holder)
            assert leaver.place.grant is not None
            await wait_all_tasks_blocked()
            assert leaver.grant is None
            assert other.grant is not None
            give_back(other.grant)
            assert await room.is_at_rest()


async def test_leaving_after_the_grant_but_before_the_session_has_seen_it(
    autojump_clock: MockClock,
) -> None:
    """The second was parked in the channel: it leaves at its next step. The first was waiting for
    just this grant, and can't be stopped from taking it."""
    async with open_room({"concurrency": 2, "rpm": 60, "burst": 4}) as room:
        async with trio.open_nursery() as nursery:
            holders = [await room.wait("holder") for _ in range(2)]
            first, second = await stand_in_line(nursery, room, "aa")
            for holder in holders:
                give_back(holder)
            room.lane.pools[0].pump(trio.current_time())
            assert first.place.grant is not None
            assert second.place.grant is not None
            first.scope.cancel()
            second.scope.cancel()
        assert second.grant is None
        assert first.grant is not None
        give_back(first.grant, ending=Ending.UNUSED)
        assert await room.is_at_rest()
        # Nothing was sent: the requests are not counted either.
        for _ in range(2):
            give_back(await room.wait("b", max_wait=0))


async def test_a_permit_that_comes_with_the_deadline_is_taken_or_left(
    autojump_clock: MockClock,
) -> None:
    for _ in range(40):
        async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
            began = trio.current_time()
            holder = await room.wait("holder")
            waiter = Waiter(room, "a", max_wait=5.0)
            nursery.start_soon(waiter.wait)
            await trio.sleep(5.0)
            give_back(holder)
            await wait_all_tasks_blocked()
            assert waiter.ended_at == began + 5.0
            assert (waiter.grant is None) != (waiter.failure is None)
            assert room.in_flight == (waiter.grant is not None)
            if waiter.grant is not None:
                give_back(waiter.grant)
            assert await room.is_at_rest()


@pytest.mark.parametrize("seed", range(3))
async def test_hundreds_that_come_wait_give_up_and_leave_at_random(
    seed: int, autojump_clock: MockClock
) -> None:
    random = Random(seed)
    limits = [{"concurrency": 3, "rpm": 300, "burst": 2}, {"concurrency": 2}]
    async with open_room(*limits) as room:
        ends: dict[str, int] = dict.fromkeys(("served", "expired", "left", "refused"), 0)

        async def session(client: str, patience: float, stays: float) -> None:
            waiter = Waiter(room, client, max_wait=patience)
            waiter.scope.deadline = trio.current_time() + stays
            await trio.sleep(random.uniform(0, 20))
            again = waiter.wait
            while True:
                await again()
                if waiter.grant is None:
                    ends["left" if waiter.failure is None else "expired"] += 1
                    return
                assert room.in_flight <= 5
                await trio.sleep(random.uniform(0, 0.5))
                if random.random() < 0.8:
                    give_back(waiter.grant)
                    ends["served"] += 1
                    return
                ends["refused"] += 1
                waiter.put_back(random.choice([Ending.REFUSED, Ending.FAILED]))
                again = waiter.wait_again

        async with trio.open_nursery() as nursery:
            for number in range(250):
                patience = random.choice([0.0, 1.0, 30.0, 1000.0])
                stays = random.choice([0.5, 10.0, 1000.0, 1000.0])
                nursery.start_soon(session, f"client-{number % 7}", patience, stays)
        assert await room.is_at_rest()
        assert sum(ends.values()) - ends["refused"] == 250
        assert all(ends.values())


# Back to the own place.


async def test_a_job_that_is_put_back_is_before_all_others_of_its_client(
    autojump_clock: MockClock,
) -> None:
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        first, *others = await stand_in_line(nursery, room, "aaa")
        for _ in range(3):
            assert first.grant is not None
            first.put_back()
            await first.wait_again()
            assert not any(waiter.grant for waiter in others)
        for place, waiter in enumerate((first, *others)):
            # After refusals calls may be paced.
            await trio.sleep(60.0)
            assert waiter.grant is not None
            assert not any(later.grant for later in others[place:])
            give_back(waiter.grant)
        assert await room.is_at_rest()


async def test_jobs_that_are_put_back_keep_their_order(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 3}) as room, trio.open_nursery() as nursery:
        waiters = await stand_in_line(nursery, room, "aaaaa")
        for waiter in (waiters[1], waiters[2], waiters[0]):
            waiter.put_back(Ending.OVERLOADED)
            nursery.start_soon(waiter.wait_again)
        await wait_all_tasks_blocked()
        assert room.lane.waiting == 5
        order: list[Waiter] = []
        while len(order) < 5:
            await trio.sleep(1.0)
            granted = [waiter for waiter in waiters if waiter.grant and waiter not in order]
            order += granted
            for waiter in granted:
                assert waiter.grant is not None
                give_back(waiter.grant)
        assert order == waiters
        assert await room.is_at_rest()


async def test_the_deadline_holds_for_who_was_put_back(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        began = trio.current_time()
        waiter = Waiter(room, "a", max_wait=7.0)
        await waiter.wait()
        await trio.sleep(3.0)
        waiter.put_back(retry_after=60.0)
        await waiter.wait_again()
        assert isinstance(waiter.failure, WaitExpired)
        assert waiter.failure.blocker is not None
        assert waiter.failure.blocker.seconds == 56.0
        assert waiter.ended_at == began + 7.0
        room.lane.ring()
        assert await room.is_at_rest()


@pytest.mark.parametrize("late", [False, True])
async def test_leaving_after_being_put_back(late: bool, autojump_clock: MockClock) -> None:
    """While waiting again, or in the moment of the next grant."""
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        leaver, other = await stand_in_line(nursery, room, "aa")
        leaver.put_back()
        nursery.start_soon(leaver.wait_again)
        if late:
            await trio.sleep(1.0)
            assert leaver.grant is not None
            leaver.put_back()
            nursery.start_soon(leaver.wait_again)
        leaver.scope.cancel()
        await trio.sleep(1.0)
        assert leaver.place.grant is None or leaver.grant is None
        assert other.grant is not None
        give_back(other.grant)
        assert await room.is_at_rest()


async def test_another_target_may_serve_who_was_put_back_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_room({"concurrency": 1}, {"concurrency": 1}) as room:
        waiter = Waiter(room, "a")
        await waiter.wait()
        assert waiter.grant is not None
        assert waiter.grant.target is room.lane.targets[0]
        began = trio.current_time()
        waiter.put_back(retry_after=60.0)
        await waiter.wait_again()
        assert waiter.grant.target is room.lane.targets[1]
        assert trio.current_time() == began
        give_back(waiter.grant)
        assert await room.is_at_rest()
