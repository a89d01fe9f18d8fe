"""Which connection a request gets, and when one is kept or closed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
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
    answer_once_and_close,
    answer_once_with,
    chunk,
    plain,
    post,
    post_and_read,
    stack_over,
    statistics_of,
)


async def open_idle(stack: ConnectionStack, network: MemoryNetwork, count: int) -> None:
    """Leaves ``count`` idle connections, opened and released in the order of ``network.made``."""
    releases = [trio.Event() for _ in range(count)]

    async def one_call(release: trio.Event) -> None:
        async with post(stack) as answer:
            await release.wait()
            await answer.read(100)

    async with trio.open_nursery() as nursery:
        for release in releases:
            nursery.start_soon(one_call, release)
            await wait_all_tasks_blocked()
        for release in releases:
            release.set()
            await wait_all_tasks_blocked()
    assert len(network.made) == count


async def test_many_sequential_requests_use_one_connection(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    for _ in range(50):
        assert await post_and_read(stack) == b"{}"
    assert stack.stats() == {"http://upstream.test:80": OriginStatistics(1, 0, 1)}
    assert network.asked_for == [("upstream.test", 80)]


async def test_the_connection_released_last_is_used_first(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    await open_idle(stack, network, 3)
    await post_and_read(stack)
    assert [len(connection.sends) for connection in network.made] == [1, 1, 2]


async def test_an_idle_connection_serves_until_its_expiry_and_not_after(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network, keepalive_expiry=60.0)
    await post_and_read(stack)
    await trio.sleep(60)
    await post_and_read(stack)
    assert len(network.made) == 1
    await trio.sleep(60.001)
    await post_and_read(stack)
    assert [connection.closed_at is None for connection in network.made] == [False, True]
    assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=2)


async def test_what_a_burst_left_behind_is_closed_under_a_little_traffic(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network, keepalive_expiry=60.0)
    await open_idle(stack, network, 20)
    for _ in range(16):
        await trio.sleep(10)
        await post_and_read(stack)
    assert network.open_connections == 1
    assert len(network.made) == 20, "the newest one has served all the traffic"


async def test_more_idle_connections_than_allowed_close_the_oldest(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network, max_idle_per_origin=2)
    await open_idle(stack, network, 4)
    assert [connection.closed_at is None for connection in network.made] == [
        False,
        False,
        True,
        True,
    ]
    assert statistics_of(stack).idle == 2


async def test_with_no_idle_connections_allowed_each_request_opens_one(
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network, max_idle_per_origin=0)
    for _ in range(3):
        await post_and_read(stack)
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=3)


async def test_a_connection_closed_by_the_server_while_idle_is_not_written_to(
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(nursery, answer_once_and_close(plain(b"ok")))
    stack = stack_over(network)
    for _ in range(3):
        assert await post_and_read(stack) == b"ok"
        await wait_all_tasks_blocked()
    assert [len(connection.sends) for connection in network.made] == [1, 1, 1]
    assert network.open_connections == 1


async def test_bytes_on_an_idle_connection_are_never_taken_for_an_answer(
    nursery: trio.Nursery,
) -> None:
    first_was_read = trio.Event()

    async def says_too_much(peer: Peer) -> None:
        await peer.request()
        await peer.send(plain(b"first"))
        await first_was_read.wait()
        await peer.send(plain(b"", status=408))
        await peer.client_closes()

    network = MemoryNetwork(nursery, says_too_much)
    stack = stack_over(network)
    assert await post_and_read(stack) == b"first"
    first_was_read.set()
    await wait_all_tasks_blocked()
    assert await post_and_read(stack) == b"first"
    assert len(network.made) == 2


async def test_bytes_behind_an_answer_never_reach_the_next_request(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_once_with(plain(b"mine") + plain(b"someone else's")))
    stack = stack_over(network)
    for _ in range(2):
        assert await post_and_read(stack) == b"mine"
        assert network.open_connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(plain(b"x", headers=b"Connection: close\r\n"), id="asked to close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", id="HTTP 1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nx", id="body until the end of the connection"),
    ],
)
async def test_a_connection_that_the_answer_ends_is_not_kept(
    nursery: trio.Nursery, answer: bytes
) -> None:
    network = MemoryNetwork(nursery, answer_once_and_close(answer))
    stack = stack_over(network)
    assert await post_and_read(stack) == b"x"
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_a_body_left_unread_closes_its_connection(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_once_with(plain(b"never read")))
    stack = stack_over(network)
    async with post(stack) as answer:
        assert answer.status == 200
        assert statistics_of(stack) == OriginStatistics(idle=0, active=1, opened=1)
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_a_body_is_read_to_its_end_when_the_end_came_with_the_last_chunk(
    nursery: trio.Nursery,
) -> None:
    """A reader of an event stream stops at its last event and never asks for more."""
    answer_bytes = CHUNKED_HEAD + chunk(b"data: [DONE]\n\n") + LAST_CHUNK
    network = MemoryNetwork(nursery, answer_once_with(answer_bytes))
    stack = stack_over(network)
    async with post(stack) as answer:
        assert await anext(answer.chunks()) == b"data: [DONE]\n\n"
    assert statistics_of(stack).idle == 1


async def test_a_thousand_requests_in_flight_have_a_thousand_connections(
    nursery: trio.Nursery,
) -> None:
    everybody_is_there = trio.Event()
    arrived = 0

    async def answer_when_all_are_there(peer: Peer) -> None:
        nonlocal arrived
        while await peer.request() is not None:
            arrived += 1
            if arrived == 1000:
                everybody_is_there.set()
            await everybody_is_there.wait()
            await peer.send(plain(b"ok"))

    network = MemoryNetwork(nursery, answer_when_all_are_there)
    stack = stack_over(network, max_idle_per_origin=1000)
    for _ in range(2):
        async with trio.open_nursery() as calls:
            for _ in range(1000):
                calls.start_soon(post_and_read, stack)
        assert statistics_of(stack) == OriginStatistics(idle=1000, active=0, opened=1000)
        everybody_is_there, arrived = trio.Event(), 0
    assert network.operations["is_readable"] == 1000, "each request looks at one connection"


async def test_each_origin_has_its_own_connections(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    for url in ("http://a.test/", "https://a.test/", "http://a.test:8080/", "http://[::1]:8080/"):
        await post_and_read(stack, url=url)
    assert network.asked_for == [("a.test", 80), ("a.test", 443), ("a.test", 8080), ("::1", 8080)]
    assert stack.stats() == {
        name: OriginStatistics(idle=1, active=0, opened=1)
        for name in (
            "http://a.test:80",
            "https://a.test:443",
            "http://a.test:8080",
            "http://[::1]:8080",
        )
    }
    assert network.operations["start_tls"] == 1


async def test_closing_the_stack_closes_idle_connections_now_and_others_when_they_end(
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    await open_idle(stack, network, 2)
    async with post(stack) as answer:
        await stack.aclose()
        assert network.open_connections == 1
        assert await answer.read(100) == b"{}"
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=2)
    with pytest.raises(RuntimeError, match="closed"):
        await post_and_read(stack)


async def test_head_and_body_of_a_request_leave_in_one_send(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    async with post(stack, body=b"x" * 10_000) as answer:
        assert await answer.read(10_000) == b"x" * 10_000
    (sent,) = network.made[0].sends
    assert sent.startswith(b"POST /v1/chat HTTP/1.1\r\n")
    assert sent.endswith(b"\r\n\r\n" + b"x" * 10_000)


async def test_a_large_body_is_not_copied_to_be_sent(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    body = b"x" * 1_000_000
    async with post(stack, body=body) as answer:
        assert await answer.read(1_000_000) == body
    assert network.made[0].sends[1] is body


async def test_it_serves_an_ordinary_httpx_client(nursery: trio.Nursery) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece "

    network = MemoryNetwork(nursery, answer_each)

    async def unchunked(peer: Peer) -> None:
        request = await peer.request()
        assert request is not None
        assert request.headers["transfer-encoding"] == "chunked"
        await peer.send(plain(b"ok"))
        await peer.client_closes()

    async with httpx.AsyncClient(transport=stack_over(network)) as client:
        assert (await client.post(URL, json={"a": 1})).json() == {"a": 1}
        async with client.stream("POST", URL, content=b"abc") as response:
            assert [piece async for piece in response.aiter_raw()] == [b"abc"]
        assert len(network.made) == 1
    assert network.open_connections == 0
    network = MemoryNetwork(nursery, unchunked)
    async with httpx.AsyncClient(transport=stack_over(network)) as client:
        assert (await client.post(URL, content=in_pieces())).text == "ok"


async def test_a_url_of_another_scheme_is_refused(nursery: trio.Nursery) -> None:
    async with httpx.AsyncClient(transport=stack_over(MemoryNetwork(nursery, answer_each))) as c:
        with pytest.raises(httpx.UnsupportedProtocol, match="http://"):
            await c.get("ftp://upstream.test/")


async def test_a_request_on_a_used_connection_leaves_before_anybody_else_runs(
    nursery: trio.Nursery,
) -> None:
    """In its task's first step: a slot of the upstream stands empty for as long as it takes."""
    network = MemoryNetwork(nursery, answer_each)
    stack = stack_over(network)
    await post_and_read(stack)
    for number in range(2, 30):
        async with trio.open_nursery() as callers:
            callers.start_soon(post_and_read, stack)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()  # the caller's first step may come after ours
            assert network.operations["write"] == number
