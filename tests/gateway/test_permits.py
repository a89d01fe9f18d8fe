"""Permits for programs that make their calls themselves."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import World, open_world

from forebay.actors.gateway import Client, JobFailure, RequestSize
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.providers.base import CallFailure, FailureKind

SIZE = RequestSize(text_bytes=100)
ONE_SLOT = {"limits": {"concurrency": 1}}


def refused(retry_after: float | None = None) -> CallFailure:
    error = ApiError(kind=ErrorKind.RATE_LIMITED, message="too fast")
    return CallFailure(kind=FailureKind.RATE_LIMITED, error=error, retry_after=retry_after)


async def hold(world: World, name: str, seconds: float, order: list[tuple[str, float]]) -> None:
    async with world.gateway.permit("fast", size=SIZE, client=Client(name=name)) as permit:
        order.append((name, trio.current_time()))
        await trio.sleep(seconds)
        permit.settle(Usage(input_uncached=25, output=10))


async def test_permits_are_taken_in_turns_and_held_as_long_as_the_block(
    autojump_clock: MockClock,
) -> None:
    order: list[tuple[str, float]] = []
    async with open_world(provider=ONE_SLOT) as world:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in "aab":
                nursery.start_soon(hold, world, name, 2.0, order)
                await wait_all_tasks_blocked()
        assert [(name, at - began) for name, at in order] == [("a", 0), ("b", 2), ("a", 4)]
        assert await world.is_at_rest()


async def test_who_leaves_without_settling_returns_it_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async with open_world(provider=ONE_SLOT) as world:
        with pytest.raises(ZeroDivisionError):
            async with world.gateway.permit("fast", size=SIZE):
                raise ZeroDivisionError
        with trio.move_on_after(5):
            async with world.gateway.permit("fast", size=SIZE):
                await trio.sleep_forever()
        async with world.gateway.permit("fast", size=SIZE) as permit:
            assert permit.target.name == "up/sandbox-chat"
        assert await world.is_at_rest()


async def test_a_refused_call_goes_back_to_its_own_place(autojump_clock: MockClock) -> None:
    order: list[tuple[str, float]] = []
    async with open_world(provider=ONE_SLOT) as world, trio.open_nursery() as nursery:
        began = trio.current_time()
        async with world.gateway.permit("fast", size=SIZE, client=Client(name="a")) as permit:
            nursery.start_soon(hold, world, "b", 1.0, order)
            await wait_all_tasks_blocked()
            await permit.wait_again(refused(retry_after=3.0))
            # Not behind the other, who came later.
            assert trio.current_time() - began == pytest.approx(3.0)
            assert not order
            assert permit.history().attempts == 2
            permit.settle(Usage(input_uncached=25, output=10))


async def test_the_time_to_wait_is_bounded(autojump_clock: MockClock) -> None:
    async with open_world(provider=ONE_SLOT) as world:
        async with world.gateway.permit("fast", size=SIZE):
            began = trio.current_time()
            with pytest.raises(JobFailure) as caught:
                async with world.gateway.permit("fast", size=SIZE, max_wait=7):
                    raise AssertionError("two at once")
            assert caught.value.error.kind is ErrorKind.RATE_LIMITED
            assert trio.current_time() - began == pytest.approx(7)
        assert await world.is_at_rest()


async def test_models_that_are_not_there_and_gateways_that_end_give_none(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        with pytest.raises(ApiFailure) as caught:
            async with world.gateway.permit("slow", size=SIZE):
                raise AssertionError("there is no such model")
        assert caught.value.error.kind is ErrorKind.MODEL_NOT_FOUND
        world.gateway.begin_drain()
        with pytest.raises(JobFailure, match="shutting down"):
            async with world.gateway.permit("fast", size=SIZE):
                raise AssertionError("it takes no new jobs")
