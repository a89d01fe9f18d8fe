"""The contract, in virtual time: rate-limited upstreams never show, and waiting is bounded."""

from __future__ import annotations

import trio
from trio.testing import MockClock
from worlds import one_provider, open_world

from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.job import ANONYMOUS, Job
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.requests import ChatRequest, user_turn
from forebay.protocol.dialects.openai import OPENAI


async def test_a_request_passes_through(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer = await world.ask("hello")
        assert answer.status_code == 200
        assert answer.headers["x-forebay-target"] == "up/sandbox-chat"
        assert answer.headers["x-forebay-attempts"] == "1"
        assert await world.is_at_rest()


async def test_jobs_wait_for_a_configured_rate_and_are_never_refused(
    autojump_clock: MockClock,
) -> None:
    limits = SandboxOptions(requests_per_minute=600, burst=10)
    async with open_world(
        sandboxes={"up": limits}, provider={"limits": {"rpm": 600, "burst": 10}}
    ) as world:
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await world.ask()).status_code)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(ask)
        elapsed = trio.current_time() - began
        assert statuses == [200] * 60
        assert abs(elapsed - 5.0) < 0.05
        assert world.sandbox.statistics().refused == {}
        assert await world.is_at_rest()


async def test_max_wait_ends_in_an_honest_429_at_the_exact_time(
    autojump_clock: MockClock,
) -> None:
    config = one_provider(limits={"rpm": 60, "burst": 1})
    config["wait"] = {"max_wait_ms": 2500}
    async with open_world(config) as world:
        ended: list[tuple[float, int]] = []

        async def ask() -> None:
            answer = await world.ask()
            ended.append((trio.current_time() - began, answer.status_code))
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.headers["x-should-retry"] == "false"
                assert answer.headers["x-forebay-waited-ms"] == "2500"
                error = answer.json()["error"]
                assert error["code"] == "rate_limit_exceeded"
                assert error["retry_after"] == int(answer.headers["retry-after"])

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert sorted(round(at, 3) for at, status in ended if status == 429) == [2.5] * 7
        assert sum(status == 200 for _, status in ended) == 3
        assert await world.is_at_rest()


async def test_waiting_clients_that_disconnect_leave_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    async with open_world(provider={"limits": {"rpm": 6, "burst": 1}}) as world:
        await world.ask()
        received = world.sandbox.statistics().received
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(world.ask)
            await trio.sleep(1)
            assert world.gateway.waiting == 100
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()
        assert world.sandbox.statistics().received == received


async def test_the_next_call_is_under_way_before_the_answer_is_written(
    autojump_clock: MockClock,
) -> None:
    """A slot that somebody waits for stands empty for no longer than a request takes to write."""
    async with open_world(
        sandboxes={"up": SandboxOptions(latency_ms=100)}, provider={"limits": {"concurrency": 1}}
    ) as world:
        under_way: list[int] = []
        request = ChatRequest(model="fast", turns=(user_turn("hello"),))
        resolution = await world.gateway.catalog.resolve("fast", OPENAI, ANONYMOUS)

        async def ask() -> None:
            now = trio.current_time()
            job = Job(operation=ChatOperation(request), arrived_at=now, deadline=now + 100)
            async with world.gateway.open_answer(job, resolution):
                upstream = world.connections_to_sandboxes.stats()["http://up.test:80"]
                under_way.append(upstream.active)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert under_way == [1] * 19 + [0]
        assert await world.is_at_rest()
