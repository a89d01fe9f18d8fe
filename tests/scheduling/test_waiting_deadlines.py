"""Waiting in a lane's channels, in virtual time: order, exact deadlines, and nothing left over."""

from __future__ import annotations

import gc
import warnings
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from waiting_room import WaitingRoom, give_back, key, open_room

from forebay.actors.jobs.places import Place
from forebay.actors.jobs.waiting import WaitExpired
from forebay.actors.scheduling.gates import Demand
from forebay.actors.scheduling.grants import Grant


async def _expired_at(room: WaitingRoom, max_wait: float, client: str, times: list[float]) -> None:
    with pytest.raises(WaitExpired):
        await room.wait(client, max_wait=max_wait)
    times.append(trio.current_time())


async def _take_turn(room: WaitingRoom, client: str, seconds: float, turns: list[str]) -> None:
    grant = await room.wait(client)
    turns.append(client)
    await trio.sleep(seconds)
    give_back(grant)


async def test_a_free_target_is_granted_at_once(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        began = trio.current_time()
        grant = await room.wait("a")
        assert trio.current_time() == began
        assert room.in_flight == 1
        give_back(grant)
        assert await room.is_at_rest()
        assert room.times_idle == 1


async def test_no_wait_at_all_is_enough_for_a_free_target(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 4, "rpm": 0.6, "burst": 4}) as room:
        await trio.sleep(0.1)
        grants = [await room.wait("a", max_wait=0) for _ in range(3)]
        grants.append(await room.wait("b", max_wait=0))
        with pytest.raises(WaitExpired) as expired:
            await room.wait("b", max_wait=0)
        assert expired.value.position == 1
        for grant in grants:
            give_back(grant)
        assert await room.is_at_rest()


async def test_no_wait_at_all_is_enough_for_the_second_target(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}, {"concurrency": 1}) as room:
        grants = [await room.wait("a", max_wait=0) for _ in range(2)]
        assert [grant.target.pool.name for grant in grants] == ["provider-0", "provider-1"]
        for grant in grants:
            give_back(grant)
        assert await room.is_at_rest()


async def test_deadlines_are_exact_wherever_the_job_stands(autojump_clock: MockClock) -> None:
    """The first of its client stands in front, the others are parked in the channel."""
    async with open_room({"concurrency": 1}) as room:
        began = trio.current_time()
        holder = await room.wait("holder")
        waits = [3.0, 0.25, 1.5, 7.0, 0.0, 2.0]
        times: list[float] = []
        async with trio.open_nursery() as nursery:
            for max_wait in waits:
                for client in "ab":
                    nursery.start_soon(_expired_at, room, max_wait, client, times)
        assert [at - began for at in times] == sorted(waits * 2)
        give_back(holder)
        assert await room.is_at_rest()


async def test_who_gives_up_learns_what_it_waited_for(autojump_clock: MockClock) -> None:
    async with open_room({"rpm": 60, "burst": 1}) as room:
        give_back(await room.wait("a"))
        with pytest.raises(WaitExpired) as expired:
            await room.wait("a", max_wait=0.25)
        blocker = expired.value.blocker
        assert blocker is not None
        assert blocker.target == "provider-0/model"
        assert blocker.gate == "provider-0: requests per minute"
        assert blocker.seconds == pytest.approx(0.75)
        assert expired.value.position == 1
        assert await room.is_at_rest()


async def test_a_grant_and_a_deadline_in_the_same_instant_lose_nothing(
    autojump_clock: MockClock,
) -> None:
    """Each second one is granted and the time of two is up, in whichever order tasks then run."""
    async with open_room({"rpm": 60, "burst": 1}) as room:
        served = 0

        async def try_for(seconds: float) -> None:
            nonlocal served
            try:
                give_back(await room.wait("a", max_wait=seconds))
            except WaitExpired:
                return
            served += 1

        began = trio.current_time()
        give_back(await room.wait("a"))
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(try_for, float(1 + number // 2))
                await wait_all_tasks_blocked()
        # Two have their last chance in each second: one of them takes it, or the next does.
        assert 29 <= served <= 30
        assert room.lane.pools[0].grants == 1 + served
        assert trio.current_time() - began == 30
        assert await room.is_at_rest()


async def test_within_a_client_first_come_is_first_served(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        order: list[int] = []

        async def one(number: int) -> None:
            grant = await room.wait("a")
            order.append(number)
            await trio.sleep(1)
            give_back(grant)

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, number)
                await wait_all_tasks_blocked()
        assert order == list(range(30))
        assert await room.is_at_rest()


async def test_a_noisy_client_delays_a_quiet_one_by_a_turn(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        turns: list[str] = []
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(_take_turn, room, "noisy", 1.0, turns)
            await trio.sleep(10.5)
            began = trio.current_time()
            await _take_turn(room, "quiet", 1.0, turns)
            assert trio.current_time() - began <= 3
        assert await room.is_at_rest()


async def test_someone_with_less_need_goes_on_when_the_first_gives_up(
    autojump_clock: MockClock,
) -> None:
    async with open_room({"tpm": 600}) as room:  # 10 tokens a second, at most 100 at once
        give_back(await room.wait("a", tokens=100.0), tokens=100.0)
        began = trio.current_time()
        order: list[str] = []

        async def large() -> None:
            with pytest.raises(WaitExpired):
                await room.wait("a", tokens=5000.0, max_wait=2.0)
            order.append("large")
            assert trio.current_time() == began + 2

        async def small() -> None:
            await trio.sleep(0.5)
            give_back(await room.wait("a", tokens=1.0))
            order.append("small")
            assert trio.current_time() == began + 2

        async with trio.open_nursery() as nursery:
            nursery.start_soon(large)
            nursery.start_soon(small)
        assert order == ["large", "small"]
        assert await room.is_at_rest()


async def test_flows_and_the_lane_are_gone_when_nobody_waits(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        turns: list[str] = []
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(
                        partial(_take_turn, room, f"client-{number % 5}", 0.5, turns)
                    )
                await wait_all_tasks_blocked()
                assert len(room.lane.flows) == 5
                assert room.lane.targets[0].lanes == {room.lane}
            assert await room.is_at_rest()
        assert room.times_idle == 3
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            gc.collect()


async def test_what_a_lane_says_of_its_queue(autojump_clock: MockClock) -> None:
    async with open_room({"concurrency": 1}) as room:
        grants: list[Grant] = [await room.wait("a")]
        async with trio.open_nursery() as nursery:
            for client in "abb":
                nursery.start_soon(_take_turn, room, client, 0.0, [])
            await wait_all_tasks_blocked()
            assert room.lane.waiting == 3
            assert room.lane.waiting_tokens == 30.0
            assert {flow.client: room.lane.flows[flow].waiting for flow in room.lane.flows} == {
                "a": 1,
                "b": 2,
            }
            # The third of its client, behind all others.
            with pytest.raises(WaitExpired) as expired:
                await room.lane.wait(Place(Demand(10.0)), key("b"), 1.0, trio.current_time())
            assert expired.value.position == 4
            give_back(grants.pop())
        assert await room.is_at_rest()
