"""WebSockets under the guard: early frames, too long messages, vanished clients."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from forebay.endpoints.serving import ServingOptions, serve_stream

if TYPE_CHECKING:
    from tests.serving.conftest import App, Client, Linked

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Peer:
    """The client's side of a WebSocket."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._frames = Connection(ConnectionType.CLIENT)
        self._events = self._frames.events()

    def frame(self, event: Event) -> bytes:
        return self._frames.send(event)

    async def accepted(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += bytes(await self._client.stream.receive_some())
        head, _, rest = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        self._frames.receive_data(rest)

    async def send(self, event: Event) -> None:
        await self._client.send(self.frame(event))

    async def event(self) -> Event:
        """The next thing that is not a ping."""
        while isinstance(event := await self.any_event(), Ping):
            pass
        return event

    async def any_event(self) -> Event:
        while True:
            for event in self._frames.events():
                return event
            data = bytes(await self._client.stream.receive_some())
            assert data, "the connection has ended"
            self._frames.receive_data(data)


async def test_messages_go_both_ways(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        peer = Peer(client)
        await client.send(UPGRADE)
        await peer.accepted()
        await peer.send(TextMessage("one"))
        assert await peer.event() == TextMessage("one")
        await peer.send(BytesMessage(b"two"))
        received = await peer.event()
        assert isinstance(received, BytesMessage)
        assert bytes(received.data) == b"two"
        await peer.send(CloseConnection(1000))
        assert isinstance(await peer.event(), CloseConnection)
        assert await client.rest() == b""
    assert "disconnect" in [name for name, _ in app.events]


async def test_frames_that_come_before_the_accept_are_kept_for_it(app: App, linked: Linked) -> None:
    """Issue 225 of Hypercorn, from the side of a client that is only impatient."""
    async with linked(app) as client:
        peer = Peer(client)
        await client.send(UPGRADE + peer.frame(TextMessage("early")))
        await client.send(peer.frame(TextMessage("also early")))
        await peer.accepted()
        assert await peer.event() == TextMessage("early")
        assert await peer.event() == TextMessage("also early")


async def test_a_message_that_is_too_long_closes_the_websocket(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, websocket_max_message_bytes=10_000) as client:
        peer = Peer(client)
        await client.send(UPGRADE)
        await peer.accepted()
        pieces = [peer.frame(TextMessage("x" * 11_000, message_finished=False)) for _ in range(2)]
        await client.send(pieces[0])
        closed = await peer.event()
        assert isinstance(closed, CloseConnection)
        assert closed.code == 1009
        # It does not matter that the client goes on.
        await client.send(pieces[1])
        assert await client.rest() == b""
    assert "disconnect" in [name for name, _ in app.events]


async def test_frames_after_the_close_are_contained(
    app: App, linked: Linked, caplog: pytest.LogCaptureFixture
) -> None:
    async with linked(app) as client:
        peer = Peer(client)
        await client.send(UPGRADE)
        await peer.accepted()
        late = peer.frame(TextMessage("too late"))
        await peer.send(CloseConnection(1000))
        await client.send(late)
        assert isinstance(await peer.event(), CloseConnection)
        assert await client.rest() == b""
    assert caplog.records == []


async def test_a_client_that_leaves_before_the_accept_is_noticed(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(UPGRADE + b"\x89\x80\0\0\0\0")
        await client.aclose()
    assert app.events[-1][0] == "ended /chat"
    assert "disconnect" in [name for name, _ in app.events]


async def test_a_quiet_websocket_stays_open_and_is_pinged(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, websocket_ping_interval=25.0) as client:
        peer = Peer(client)
        await client.send(UPGRADE)
        await peer.accepted()
        pings = 0
        started = trio.current_time()
        while trio.current_time() - started < 20 * 60:
            event = await peer.any_event()
            assert isinstance(event, Ping)
            await peer.send(event.response())
            pings += 1
        assert pings == 20 * 60 // 25 + 1
        await peer.send(TextMessage("still here"))
        assert await peer.event() == TextMessage("still here")


async def test_the_pings_end_with_the_connection(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, websocket_ping_interval=1000.0) as client:
        await client.send(UPGRADE)
        await Peer(client).accepted()
        closed = trio.current_time()
        await client.aclose()
        await app.until("disconnect")
    assert trio.current_time() == closed


async def test_a_bad_handshake_is_answered_and_closed(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(UPGRADE.replace(b"version: 13", b"version: 8"))
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert app.events == []


async def test_a_client_that_floods_pings_and_never_reads_is_cut(
    app: App, autojump_clock: MockClock
) -> None:
    near, far = lockstep_stream_pair()
    frames = Connection(ConnectionType.CLIENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(serve_stream, app, far, options=ServingOptions(write_timeout=60.0))
        )
        await near.send_all(UPGRADE)
        await near.receive_some()
        await near.receive_some()  # the first ping of the server
        await wait_all_tasks_blocked()
        started = trio.current_time()
        await _flood(near, frames)
        assert trio.current_time() - started == pytest.approx(60)


async def _flood(stream: trio.abc.SendStream, frames: Connection) -> None:
    """Pings until the other side ends the connection."""
    with suppress(trio.BrokenResourceError):
        while True:
            await stream.send_all(frames.send(Ping(b"x" * 100)))
