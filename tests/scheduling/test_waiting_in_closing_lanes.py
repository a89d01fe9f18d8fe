"""Lanes that close: everybody in them is told at once, wherever they stand, and nothing is left."""

from __future__ import annotations

import gc
import warnings

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from waiting_room import Waiter, give_back, open_room, stand_in_line

from forebay.actors.jobs.models import Model
from forebay.actors.jobs.waiting import NoTargetLeft


async def test_all_who_wait_are_told_when_the_lane_closes(autojump_clock: MockClock) -> None:
    """Those in front, and those that are parked in the channel."""
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        holder = await room.wait("holder")
        waiters = await stand_in_line(nursery, room, "aaabbc")
        closed_at = trio.current_time()
        room.lane.close("the gateway is shutting down")
        await wait_all_tasks_blocked()
        for waiter in waiters:
            assert isinstance(waiter.failure, NoTargetLeft)
            assert str(waiter.failure) == "the gateway is shutting down"
            assert waiter.ended_at == closed_at
        # The call that is under way goes on.
        assert room.in_flight == 1
        give_back(holder)
        assert await room.is_at_rest()
        room.lane.close("again")


async def test_nobody_enters_a_closed_lane(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        waiter = Waiter(room, "a")
        await waiter.wait()
        room.lane.close("over")
        with pytest.raises(NoTargetLeft, match="over"):
            await room.wait("b")
        with pytest.raises(NoTargetLeft, match="over"):
            waiter.put_back()
        assert await room.is_at_rest()


async def test_a_lane_that_closes_right_after_a_job_was_put_back(
    autojump_clock: MockClock,
) -> None:
    """Its refusal says that the account is of no use any more."""
    async with open_room({"concurrency": 1}) as room:
        waiter = Waiter(room, "a")
        await waiter.wait()
        waiter.put_back()
        room.providers[0].take_out("the key is dead")
        await waiter.wait_again()
        assert isinstance(waiter.failure, NoTargetLeft)
        assert str(waiter.failure) == "provider-0/model: the key is dead"
        assert await room.is_at_rest()


async def test_a_lane_that_closes_while_a_job_waits_again(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        waiter = Waiter(room, "a")
        await waiter.wait()
        waiter.put_back(retry_after=60.0)
        nursery.start_soon(waiter.wait_again)
        await wait_all_tasks_blocked()
        room.lane.close("over")
        await wait_all_tasks_blocked()
        assert isinstance(waiter.failure, NoTargetLeft)
        assert await room.is_at_rest()


async def test_a_grant_that_came_before_the_lane_closed_counts(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        holder = await room.wait("holder")
        first, second = await stand_in_line(nursery, room, "ab")
        give_back(holder)
        room.lane.pools[0].pump(trio.current_time())
        room.lane.close("over")
        await wait_all_tasks_blocked()
        assert first.grant is not None
        assert isinstance(second.failure, NoTargetLeft)
        give_back(first.grant)
        assert await room.is_at_rest()


async def test_leaving_a_lane_while_it_closes(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
        holder = await room.wait("holder")
        waiters = await stand_in_line(nursery, room, "aab")
        for waiter in waiters:
            waiter.scope.cancel()
        room.lane.close("over")
        await wait_all_tasks_blocked()
        assert not any(waiter.grant for waiter in waiters)
        give_back(holder)
        assert await room.is_at_rest()


async def test_a_lane_stays_open_while_one_target_is_left(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}, {"concurrency": 1}) as room:
        async with trio.open_nursery() as nursery:
            holders = [await room.wait("holder") for _ in range(2)]
            (waiter,) = await stand_in_line(nursery, room, "a")
            room.providers[0].take_out("no credit")
            await wait_all_tasks_blocked()
            assert waiter.ended_at is None
            for holder in holders:
                give_back(holder)
        assert waiter.grant is not None
        assert waiter.grant.target is room.lane.targets[1]
        give_back(waiter.grant)
        assert await room.is_at_rest()


async def test_all_are_told_why_when_the_last_target_is_taken_out(
    autojump_clock: MockClock,
) -> None:
    async with open_room({"concurrency": 1}, {"concurrency": 1}) as room:
        async with trio.open_nursery() as nursery:
            holders = [await room.wait("holder") for _ in range(2)]
            waiters = await stand_in_line(nursery, room, "aab")
            for provider, reason in zip(room.providers, ("no credit", "no key"), strict=True):
                provider.take_out(reason)
        for waiter in waiters:
            assert str(waiter.failure) == "provider-0/model: no credit; provider-1/model: no key"
        for holder in holders:
            give_back(holder)
        assert await room.is_at_rest()


async def test_a_closed_lane_leaves_no_open_channel(autojump_clock: MockClock) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        async with open_room({"concurrency": 1}) as room, trio.open_nursery() as nursery:
            holder = await room.wait("holder")
            await stand_in_line(nursery, room, "aab")
            room.lane.close("over")
            await wait_all_tasks_blocked()
            give_back(holder)
            assert await room.is_at_rest()
        del room
        gc.collect()


async def test_a_model_keeps_a_lane_only_while_jobs_wait_in_it(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        targets = (room.providers[0].target("model"),)
        model = Model("fast")
        room.lane = model.lane(targets)
        grant = await room.wait("a")
        assert len(model.lanes) == 0
        room.lane = model.lane(targets)
        async with trio.open_nursery() as nursery:
            (waiter,) = await stand_in_line(nursery, room, "b")
            assert list(model.lanes) == [room.lane]
            assert model.waiting == 1
            give_back(grant)
        assert len(model.lanes) == 0
        assert waiter.grant is not None
        give_back(waiter.grant)
        assert await room.is_at_rest()
