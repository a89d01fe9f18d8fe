"""What is not read waits with its sender: bodies, connections, open files."""

from __future__ import annotations

import os
import resource
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPRequestEvent, Scope
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from forebay.endpoints.serving import serve_stream
from forebay.endpoints.serving._app_tasks import Inbox
from forebay.endpoints.serving._guarded_stream import GuardedStream

if TYPE_CHECKING:
    from tests.serving.conftest import App, Serving

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"


async def test_an_unread_body_stops_the_reading_until_the_app_goes_on() -> None:
    read_on = trio.Event()
    taken_by_app = 0

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal taken_by_app
        await read_on.wait()
        while (message := await receive())["type"] == "http.request":
            taken_by_app += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    near, far = lockstep_stream_pair()
    sent = 0

    async def upload() -> None:
        nonlocal sent
        for _ in range(1000):
            await near.send_all(bytes(1000))
            sent += 1000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_stream, app, far))
        await near.send_all(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n")
        nursery.start_soon(upload)
        await wait_all_tasks_blocked()
        assert 64_000 < sent < 200_000
        read_on.set()
        assert (await near.receive_some()).startswith(b"HTTP/1.1 204 ")
        assert (sent, taken_by_app) == (1_000_000, 1_000_000)
        nursery.cancel_scope.cancel()


async def test_what_follows_a_held_request_is_kept_to_a_bound(app: App) -> None:
    near, far = lockstep_stream_pair()
    sent = 0

    async def babble() -> None:
        nonlocal sent
        while True:
            await near.send_all(bytes(1000))
            sent += 1000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_stream, app, far))
        await near.send_all(b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n")
        nursery.start_soon(babble)
        await wait_all_tasks_blocked()
        assert 0 < sent < 200_000
        nursery.cancel_scope.cancel()


async def test_a_body_of_tiny_chunks_is_bounded_by_what_it_costs() -> None:
    _, far = memory_stream_pair()
    inbox = Inbox(GuardedStream(far, write_timeout=1.0))
    piece: HTTPRequestEvent = {"type": "http.request", "body": b"x", "more_body": True}
    puts = 0

    async def fill() -> None:
        nonlocal puts
        while True:
            await inbox.put(piece)
            puts += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        await wait_all_tasks_blocked()
        assert puts < 200
        nursery.cancel_scope.cancel()


async def test_at_the_cap_connections_wait_in_the_backlog(
    app: App, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app, max_connections=2) as server:
        first, second = await server.connect(), await server.connect()
        for client in (first, second):
            await client.send(HELLO)
            assert (await client.answer()).status == 200
        third, fourth = await server.connect(), await server.connect()
        for client in (third, fourth):
            await client.send(HELLO)
        with trio.move_on_after(0.05) as waited:
            await third.answer()
        assert waited.cancelled_caught
        assert server.state.connections == 2
        await first.aclose()
        with trio.fail_after(1):
            assert (await third.answer()).status == 200
        assert server.state.connections == 2
        await second.aclose()
        with trio.fail_after(1):
            assert (await fourth.answer()).status == 200
        # The others still answer at the cap.
        await third.send(HELLO)
        assert (await third.answer()).status == 200
    assert [record.getMessage() for record in caplog.records] == [
        "max_connections (2) reached: accepting goes on as connections end"
    ]


async def test_running_out_of_files_only_delays_accepting(
    app: App, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as server:
        living = await server.connect()
        await living.send(HELLO)
        await living.answer()
        late = socket.socket()
        late.setblocking(False)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            assert late.connect_ex(server.address) in (0, 115)
            await wait_all_tasks_blocked(0.005)
            await living.send(HELLO)
            assert (await living.answer()).status == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        late.sendall(HELLO)
        with trio.fail_after(2):
            await trio.lowlevel.wait_readable(late)
        assert late.recv(1000).startswith(b"HTTP/1.1 200 ")
        late.close()
    assert any("EMFILE" in record.getMessage() for record in caplog.records)
