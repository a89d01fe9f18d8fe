"""When a request is sent a second time, because its connection was closed while it was idle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import trio
from trio.testing import MockClock

from forebay.actors.upstream import NoAnswer, OriginStatistics
from tests.upstream.conftest import (
    URL,
    MemoryNetwork,
    Peer,
    Received,
    plain,
    post,
    post_and_read,
    stack_over,
    statistics_of,
)

Ending = Callable[[Peer], Awaitable[None]]


class FadingServer:
    """Answers the first request of its first connection, and does ``ending`` to the second one.
    Later connections answer each request; ``seen`` has every request that was received whole."""

    def __init__(self, ending: Ending, *, connections_that_end: int = 1) -> None:
        self._ending = ending
        self._connections_that_end = connections_that_end
        self._connections = 0
        self.seen: list[Received] = []

    async def __call__(self, peer: Peer) -> None:
        self._connections += 1
        number, served = self._connections, 0
        while (request := await peer.request()) is not None:
            self.seen.append(request)
            served += 1
            if number <= self._connections_that_end and served > (1 if number == 1 else 0):
                await self._ending(peer)
                return
            await peer.send(plain(request.body))


async def close(peer: Peer) -> None:
    """The request crosses the server's close."""
    await peer.aclose()


async def test_a_request_that_crosses_the_close_of_an_idle_connection_is_sent_again(
    nursery: trio.Nursery,
) -> None:
    server = FadingServer(close)
    network = MemoryNetwork(nursery, server)
    stack = stack_over(network)
    await post_and_read(stack)
    async with post(stack, headers={"x-call": "2"}, body=b'{"second":1}') as answer:
        assert await answer.read(100) == b'{"second":1}'
    assert server.seen[1] == server.seen[2], "the same method, path, headers and body"
    assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=2)
    assert network.open_connections == 1


async def test_a_request_that_can_not_be_written_any_more_is_sent_again(
    nursery: trio.Nursery,
) -> None:
    async def closes_unseen(peer: Peer) -> None:
        await peer.request()
        await peer.send(plain(b"first"))
        await peer.aclose(seen=False)

    network = MemoryNetwork(nursery, closes_unseen)
    stack = stack_over(network)
    for _ in range(2):
        assert await post_and_read(stack) == b"first"
        network.made[-1].arrived = 0
    assert [len(connection.sends) for connection in network.made] == [1, 1]


async def test_a_write_that_breaks_late_is_sent_again_since_half_a_request_is_never_served(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def closes_while_it_is_written_to(peer: Peer) -> None:
        await peer.request()
        await peer.send(plain(b"ok"))
        await trio.sleep(25)
        await peer.aclose(seen=False)

    network = MemoryNetwork(nursery, closes_while_it_is_written_to)
    stack = stack_over(network)
    await post_and_read(stack)
    network.made[0].write_breaks_after = 20.0
    assert await post_and_read(stack) == b"ok"
    assert trio.current_time() == 25.0
    assert len(network.made) == 2


async def test_there_is_no_third_attempt(nursery: trio.Nursery) -> None:
    server = FadingServer(close, connections_that_end=3)
    network = MemoryNetwork(nursery, server)
    stack = stack_over(network)
    await post_and_read(stack)
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack)
    assert not caught.value.timed_out
    assert len(server.seen) == 3
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=2)


async def test_a_fresh_connection_that_breaks_is_not_retried(nursery: trio.Nursery) -> None:
    async def hangs_up(peer: Peer) -> None:
        await peer.request()

    network = MemoryNetwork(nursery, hangs_up)
    with pytest.raises(NoAnswer, match=r"upstream\.test:80") as caught:
        await post_and_read(stack_over(network))
    assert not caught.value.timed_out
    assert len(network.made) == 1


async def test_a_request_is_not_repeated_once_a_byte_of_its_answer_has_come(
    nursery: trio.Nursery,
) -> None:
    async def one_byte(peer: Peer) -> None:
        await peer.send(b"H")

    server = FadingServer(one_byte)
    stack = stack_over(MemoryNetwork(nursery, server))
    await post_and_read(stack)
    with pytest.raises(NoAnswer):
        await post_and_read(stack)
    assert len(server.seen) == 2


async def test_a_request_that_the_server_has_worked_on_is_not_repeated(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def breaks_down_over_it(peer: Peer) -> None:
        await trio.sleep(1.001)

    server = FadingServer(breaks_down_over_it)
    stack = stack_over(MemoryNetwork(nursery, server))
    await post_and_read(stack)
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack)
    assert not caught.value.timed_out
    assert len(server.seen) == 2


async def test_a_request_that_timed_out_is_not_repeated(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = FadingServer(Peer.client_closes)
    stack = stack_over(MemoryNetwork(nursery, server))
    await post_and_read(stack)
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack)
    assert caught.value.timed_out
    assert len(server.seen) == 2


async def test_a_body_that_can_be_read_only_once_is_not_repeated(nursery: trio.Nursery) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"only once"

    network = MemoryNetwork(nursery, FadingServer(close))
    async with httpx.AsyncClient(transport=stack_over(network)) as client:
        await client.post(URL, content=b"{}")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(URL, content=once())
    assert len(network.made) == 1


@pytest.mark.parametrize("size", [10, 200_000])
async def test_a_request_whose_send_failed_does_not_leave_its_connection_for_others(
    nursery: trio.Nursery, size: int
) -> None:
    """A server may refuse a body early: it answers, and stops reading what still comes."""

    async def refuses_early(peer: Peer) -> None:
        await peer.send(plain(b"too large", status=413))
        await peer.client_closes()

    network = MemoryNetwork(nursery, refuses_early)
    network.write_breaks_after = 0.0
    stack = stack_over(network)
    async with post(stack, body=b"x" * size) as answer:
        assert (answer.status, await answer.read(100)) == (413, b"too large")
    assert network.open_connections == 0
