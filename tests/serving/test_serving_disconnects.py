"""A client that leaves is noticed within 100 ms, whatever it sent after its request."""

from __future__ import annotations

import os
import resource
import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from trio.testing import wait_all_tasks_blocked

from forebay.endpoints.serving import CLIENT_GONE, ClientDisconnected
from forebay.endpoints.serving._guarded_stream import unacknowledged_bytes
from forebay.endpoints.serving._hang_up import UNREAD_BYTES, HangUpWatch

if TYPE_CHECKING:
    from tests.serving.conftest import App, Client, Linked, Serving

GET_HELD = b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n"
POST_HELD = b"POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nbody"
H2C_HELD = b"GET /held HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
HELD = {
    "plain": [POST_HELD],
    "stray line end": [POST_HELD + b"\r\n"],
    "late stray line end": [POST_HELD, b"\r\n"],
    "pipelined": [POST_HELD + GET_HELD],
    "late pipelined": [GET_HELD, GET_HELD, GET_HELD],
    "offer of h2c": [H2C_HELD],
}


async def _fin(client: Client) -> None:
    await client.aclose()


async def _half_close(client: Client) -> None:
    await client.stream.send_eof()


async def _reset(client: Client) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()


@pytest.mark.parametrize("leave", [_fin, _half_close, _reset])
@pytest.mark.parametrize("pieces", HELD.values(), ids=HELD.keys())
async def test_leaving_is_noticed_while_a_request_is_held(
    app: App, serving: Serving, pieces: list[bytes], leave: Leave
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        for piece in pieces:
            await client.send(piece)
            await app.until("held")
        left = trio.current_time()
        await leave(client)
        with trio.fail_after(1):
            noticed = await app.until("disconnect")
            assert noticed - left < 0.1
            await app.until("ended /held")
        assert [name for name, _ in app.events].count("began /held") == 1


POST_UNREAD = b"POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: 100000000\r\n\r\n"


async def _send_what_goes(client: Client, size: int) -> None:
    """Hands ``size`` bytes to the kernel, or as many as it takes."""
    assert isinstance(client.stream, trio.SocketStream)
    sock = client.stream.socket
    left = size
    with trio.move_on_after(0.02):
        while left:
            left -= await sock.send(bytes(min(left, 65536)))


async def _arrived(client: Client) -> None:
    """Returns when the other side's kernel has all that was sent."""
    assert isinstance(client.stream, trio.SocketStream)
    while True:
        if not unacknowledged_bytes(client.stream.socket):
            return
        await trio.sleep(0.002)


@pytest.mark.parametrize("leave", [_fin, _half_close, _reset])
@pytest.mark.parametrize("size", [1000, 100_000, 300_000, 2_000_000])
async def test_leaving_is_noticed_by_an_app_that_does_not_read_its_body(
    app: App, serving: Serving, leave: Leave, size: int
) -> None:
    """Also behind bytes that nobody has read, and that are left with the kernel."""
    async with serving(app) as server:
        client = await server.connect()
        await client.send(POST_UNREAD)
        await app.until("began /unread")
        await _send_what_goes(client, size)
        with trio.fail_after(2):
            await _arrived(client)
        left = trio.current_time()
        await leave(client)
        with trio.fail_after(1):
            assert await app.until("gone") - left < 0.1
        assert server.state.hang_ups.left == UNREAD_BYTES


async def test_a_close_that_overtakes_the_last_bytes_is_noticed_when_they_come(
    app: App, serving: Serving
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(POST_UNREAD)
        await app.until("began /unread")
        await _send_what_goes(client, 2_000_000)
        await client.aclose()
        with trio.fail_after(1):
            await app.until("gone")


@pytest.mark.parametrize("request_head", [POST_HELD, POST_UNREAD])
async def test_a_reset_is_noticed_behind_any_number_of_bytes(
    serving: Serving, request_head: bytes
) -> None:
    """What the kernel may take in unread is bounded, but a reset waits for nothing."""
    began = trio.Event()
    gone_at: list[float] = []

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        began.set()
        gone = scope["extensions"][CLIENT_GONE]  # type: ignore[typeddict-item]
        assert isinstance(gone, trio.Event)
        await gone.wait()
        gone_at.append(trio.current_time())
        with pytest.raises(ClientDisconnected):
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async with serving(app) as server:
        client = await server.connect()
        await client.send(request_head)
        await began.wait()
        with trio.move_on_after(0.05) as stuck:
            await client.send(bytes(50_000_000))
        assert stuck.cancelled_caught
        left = trio.current_time()
        await _reset(client)
        with trio.fail_after(1):
            await wait_all_tasks_blocked()
        assert gone_at[0] - left < 0.1
        assert server.state.connections == 0


async def test_a_client_that_half_closes_behind_unread_bytes_can_still_be_told_something(
    serving: Serving,
) -> None:
    """A half-close means the same whatever lies before it: the app hears that the client has
    left, and what it still says at once arrives."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        gone = scope["extensions"][CLIENT_GONE]  # type: ignore[typeddict-item]
        assert isinstance(gone, trio.Event)
        await gone.wait()
        headers = [(b"content-length", b"7")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": b"too bad", "more_body": False})

    async with serving(app) as server:
        client = await server.connect()
        await client.send(POST_UNREAD)
        await _send_what_goes(client, 300_000)
        await _half_close(client)
        with trio.fail_after(1):
            answer = await client.answer()
        assert (answer.status, answer.body) == (400, b"too bad")


async def test_what_watched_connections_leave_unread_has_one_bound(app: App) -> None:
    watch = HangUpWatch(unread_bytes=8 * 1024 * 1024)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listener.socket.getsockname()
    pairs = [(await trio.open_tcp_stream(*address), await listener.accept()) for _ in range(40)]
    seen: list[bool] = []

    async def see(sock: trio.socket.SocketType) -> None:
        seen.append(await watch.hung_up(sock))

    async with trio.open_nursery() as nursery:
        for _, accepted in pairs:
            nursery.start_soon(see, accepted.socket)
        await wait_all_tasks_blocked()
        assert 0 < watch.left < 8 * 256 * 1024  # less than the least for one, of its share
        raised = [
            accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) > 1 for _, accepted in pairs
        ]
        assert 0 < sum(raised) < 40
        assert seen == []
        # The others are watched all the same.
        await pairs[-1][0].aclose()
        pairs[-2][0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await pairs[-2][0].aclose()
        with trio.fail_after(1):
            await wait_all_tasks_blocked()
        assert sorted(seen) == [False, True]
        nursery.cancel_scope.cancel()
    assert watch.left == 8 * 1024 * 1024
    for near, far in pairs:
        assert far.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
        await near.aclose()
        await far.aclose()
    await listener.aclose()


async def test_without_a_file_to_watch_by_a_close_is_waited_for_and_nothing_breaks() -> None:
    near, far = socket.socketpair()
    near.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        with trio.move_on_after(0.01) as waiting:
            await HangUpWatch().hung_up(trio.socket.from_stdlib_socket(far))
        assert waiting.cancelled_caught
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        far.close()


async def test_an_app_that_does_not_care_is_cancelled_after_the_grace(
    app: App,
    linked: Linked,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with linked(app, disconnect_grace=5.0) as client:
        await client.send(b"GET /stubborn HTTP/1.1\r\nhost: test\r\n\r\n")
        await app.until("began /stubborn")
        await client.aclose()
        assert await app.until("cancelled /stubborn") == trio.current_time()
        assert trio.current_time() == pytest.approx(app.events[0][1] + 5.0)
    assert len(caplog.records) == 1


async def test_a_client_that_half_closes_can_still_get_a_quick_answer(
    app: App, linked: Linked
) -> None:
    async with linked(app) as client:
        await client.send(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n")
        await client.stream.send_eof()
        assert (await client.answer()).body == b"hello"
        assert await client.rest() == b""


async def test_sending_to_a_client_that_has_gone_raises(
    app: App, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """Else an app that only sends would go on for ever."""
    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")
        await client.stream.receive_some()
        await _reset(client)
        with trio.fail_after(1):
            await app.until("unreachable /flood")
        await server.says_hello()
    assert caplog.records == []


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Leave = Callable[[Client], Awaitable[None]]
