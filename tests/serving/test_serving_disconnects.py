"""A client that leaves is noticed within 100 ms, whatever it sent after its request."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from trio.testing import wait_all_tasks_blocked

from forebay.endpoints.serving import ClientDisconnected

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


async def test_leaving_is_noticed_by_an_app_that_does_not_read_its_body(
    app: App, serving: Serving
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(
            b"POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n"
            + bytes(100_000)
        )
        await app.until("began /unread")
        left = trio.current_time()
        await client.aclose()
        with trio.fail_after(1):
            assert await app.until("gone") - left < 0.1


async def test_past_the_bound_of_reading_ahead_leaving_is_noticed_with_the_answer(
    serving: Serving,
) -> None:
    began, release = trio.Event(), trio.Event()
    received: list[str] = []

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        received.append((await receive())["type"])
        began.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(ClientDisconnected):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        received.append((await receive())["type"])

    async with serving(app) as server:
        client = await server.connect()
        await client.send(POST_HELD)
        await began.wait()
        with trio.move_on_after(0.05) as stuck:
            await client.send(bytes(50_000_000))
        assert stuck.cancelled_caught
        await _reset(client)
        release.set()
        with trio.fail_after(1):
            await wait_all_tasks_blocked()
        assert received == ["http.request", "http.disconnect"]
        assert server.state.connections == 0


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
