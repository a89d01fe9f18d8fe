"""A call that is cancelled, at any await: the socket is closed, and nothing is left counted."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.upstream import ConnectionStack, OriginStatistics
from tests.upstream.conftest import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    URL,
    MemoryNetwork,
    Peer,
    answer_each,
    answer_once_with,
    chunk,
    plain,
    post,
    post_and_read,
    stack_over,
    statistics_of,
)


async def cancel_when_blocked(stack: ConnectionStack, *, url: str) -> None:
    """One call, cancelled once nothing moves any more."""
    async with trio.open_nursery() as calls:
        calls.start_soon(lambda: post_and_read(stack, url=url))
        await wait_all_tasks_blocked()
        assert statistics_of(stack).active == 1
        calls.cancel_scope.cancel()


async def test_a_call_cancelled_before_it_begins_opens_nothing(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    with trio.CancelScope() as scope:
        scope.cancel()
        await post_and_read(stack)
    assert scope.cancelled_caught
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=0)


@pytest.mark.parametrize(
    ("operation", "opened"), [("connect", 0), ("start_tls", 1), ("write", 1), ("read", 1)]
)
async def test_a_call_cancelled_at_a_hostile_stream_leaks_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock, operation: str, opened: int
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.blocked = {operation}
    stack = stack_over(network)
    await cancel_when_blocked(stack, url="https://upstream.test/")
    assert network.operations[operation] == 1
    assert network.open_connections == 0
    assert trio.current_time() == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=opened)


async def test_a_cancelled_call_on_a_reused_connection_closes_it(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    await post_and_read(stack)
    network.blocked = {"read"}
    await cancel_when_blocked(stack, url="http://upstream.test/")
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


@pytest.mark.parametrize("operation", ["start_tls", "write", "read"])
async def test_a_close_that_hangs_holds_a_cancelled_call_for_a_second_at_most(
    nursery: trio.Nursery, autojump_clock: MockClock, operation: str
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.blocked = {operation, "aclose"}
    stack = stack_over(network)
    await cancel_when_blocked(stack, url="https://upstream.test/")
    assert trio.current_time() == 1.0
    assert network.open_connections == 0
    assert statistics_of(stack).active == 0


async def test_a_close_that_hangs_holds_a_call_that_was_left_for_a_second_at_most(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_once_with(CHUNKED_HEAD))
    network.blocked = {"aclose"}
    stack = stack_over(network)
    async with post(stack):
        pass
    assert trio.current_time() == 1.0
    assert network.open_connections == 0
    assert statistics_of(stack).active == 0


async def test_the_server_sees_a_cancellation_in_the_body_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Trap 94: a client that disconnects mid-stream cancels the upstream request."""
    seen_at: list[float] = []

    async def streams(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunk(b"first"))
        await peer.client_closes()
        seen_at.append(trio.current_time())

    network = MemoryNetwork(nursery, streams)
    stack = stack_over(network)
    got: list[bytes] = []
    with trio.move_on_after(5) as scope:
        async with post(stack) as answer:
            async for piece in answer.chunks():
                got.append(piece)  # noqa: PERF401, it must be here when the loop is cancelled
    await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    assert (got, seen_at) == ([b"first"], [5.0])
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_an_error_in_the_block_passes_unchanged_and_closes(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_once_with(CHUNKED_HEAD))
    stack = stack_over(network)
    error = ConnectionError("of the caller")
    with pytest.raises(ConnectionError) as caught:
        async with post(stack):
            raise error
    assert caught.value is error
    assert network.open_connections == 0
    assert statistics_of(stack).active == 0


class CancelAtStep(trio.abc.Instrument):
    """Cancels ``scope`` before the given step of the task that made this object."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._steps_left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps_left -= 1
            if self._steps_left == 0:
                self._scope.cancel()


async def slow_chunks(peer: Peer) -> None:
    """A script: every answer in several parts, with something to wait for between them."""
    while await peer.request() is not None:
        await peer.send(CHUNKED_HEAD[:20])
        await trio.sleep(1)
        await peer.send(CHUNKED_HEAD[20:] + chunk(b"one"))
        await trio.sleep(1)
        await peer.send(chunk(b"two"))
        await trio.sleep(1)  # so that the end is what a waiting read wakes up with
        await peer.send(LAST_CHUNK)


@pytest.mark.parametrize("reused", [False, True])
async def test_a_call_cancelled_at_any_step_leaks_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock, reused: bool
) -> None:
    """Cancels one call at its first step, one at its second, and so on until one gets through."""
    outcomes: set[str] = set()
    for step in range(1, 200):
        url = URL if reused else "https://upstream.test/"
        network = MemoryNetwork(nursery, slow_chunks)
        stack = stack_over(network)
        if reused:
            assert await post_and_read(stack) == b"onetwo"
        body = b""
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            async with post(stack, url=url) as answer:
                body = await answer.read(100)
        trio.lowlevel.remove_instrument(instrument)
        statistics = statistics_of(stack)
        assert statistics.active == 0, f"step {step}"
        assert statistics.idle == network.open_connections, f"step {step}"
        assert body in (b"", b"onetwo"), f"step {step}"
        if statistics.idle:
            assert await post_and_read(stack, url=url) == b"onetwo"
        outcomes.add(f"{'cancelled' if scope.cancelled_caught else 'done'}, {statistics.idle} idle")
        if not scope.cancel_called:
            break
    assert step > 15
    assert outcomes == {"cancelled, 0 idle", "done, 1 idle"}


async def test_many_calls_cancelled_at_random_leave_nothing_behind(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, slow_chunks)
    stack = stack_over(network)
    done = 0

    async def caller(number: int) -> None:
        nonlocal done
        for call in range(10):
            with trio.move_on_after((number * 7 + call * 3) % 40 / 10):
                await post_and_read(stack)
                done += 1

    async with trio.open_nursery() as callers:
        for number in range(50):
            callers.start_soon(caller, number)
    assert 100 < done < 450
    statistics = statistics_of(stack)
    assert statistics.active == 0
    assert statistics.idle == network.open_connections
    assert statistics.opened == len(network.made)


async def test_a_cancelled_release_still_keeps_the_connection(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_once_with(plain(b"whole")))
    stack = stack_over(network)
    with trio.CancelScope() as scope:
        async with post(stack) as answer:
            assert await anext(answer.chunks()) == b"whole"
            scope.cancel()
    assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)
