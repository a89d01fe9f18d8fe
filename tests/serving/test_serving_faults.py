"""One connection's fault is never another's: each fault here ends a stock Hypercorn worker, or
harms the other clients of one, unless something contains it. All over loopback sockets."""

from __future__ import annotations

import logging
import resource
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from forebay.endpoints.serving import serve_stream
from forebay.endpoints.serving._serve import probe_silent_peers

if TYPE_CHECKING:
    from tests.serving.conftest import App, Client, Server, Serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
UPGRADE = (
    b"GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_http2_by_prior_knowledge_is_refused_in_plain_words(
    app: App, serving: Serving
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(PREFACE + EMPTY_SETTINGS)
        answer = await client.answer()
        assert answer.status == 505
        assert answer.header(b"connection") == b"close"
        assert await client.rest() == b""
        await server.says_hello()
    assert app.events == [("began /hello", app.events[0][1]), ("ended /hello", app.events[1][1])]


@pytest.mark.parametrize("version", [b"2.0", b"3.0", b"0.9", b"1.2"])
async def test_other_versions_of_http_are_refused(
    app: App, serving: Serving, version: bytes
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"GET /hello HTTP/" + version + b"\r\nhost: test\r\n\r\n")
        assert (await client.answer()).status == 505
        assert await client.rest() == b""


async def test_an_upgrade_to_h2c_is_answered_in_http_1_1(app: App, serving: Serving) -> None:
    """What ``curl --http2`` sends. The connection stays usable."""
    async with serving(app) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(
                b"GET /hello HTTP/1.1\r\nhost: test\r\nconnection: Upgrade, HTTP2-Settings\r\n"
                b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__AAIAAAAA\r\n\r\n"
            )
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the start of TLS
        b"\xff" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nlong: " + b"x" * 100_000,
        UPGRADE.replace(b"version: 13", b"version: 13\r\nsec-websocket-protocol: \xe9"),
    ],
)
async def test_garbage_ends_its_own_connection_only(
    app: App, serving: Serving, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(garbage)
        with trio.fail_after(1):
            rest = await client.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 4")
        await server.says_hello()
    assert [record for record in caplog.records if record.exc_info] == []


async def test_data_after_an_early_404_is_harmless(app: App, serving: Serving) -> None:
    """The client gets its answer although nobody reads its body, and then a clean close."""
    async with serving(app) as server:
        client = await server.connect()
        await client.send(
            b"POST /nothing HTTP/1.1\r\nhost: test\r\ncontent-length: 3000000\r\n\r\n"
        )
        await app.until("ended /nothing")
        for _ in range(30):
            await client.send(bytes(100_000))
        answer = await client.answer()
        assert (answer.status, answer.body) == (404, b"no such thing")
        assert answer.header(b"connection") == b"close"
        assert await client.rest() == b""
        await server.says_hello()


async def test_an_early_answer_does_not_wait_for_a_full_inbox(app: App, serving: Serving) -> None:
    """The reader waits for an app that will never read: the answer must get past it."""
    async with serving(app) as server:
        client = await server.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                client.send,
                b"POST /late404 HTTP/1.1\r\nhost: test\r\ncontent-length: 10000000\r\n\r\n"
                + bytes(10_000_000),
            )
            assert (await client.answer()).status == 404
        assert await client.rest() == b""


async def test_a_body_that_never_ends_is_bounded_after_the_answer(
    app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.endpoints.serving._connection.LINGER_BYTES", 5_000_000)
    async with serving(app) as server:
        client = await server.connect()
        await client.send(
            b"POST /nothing HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        with trio.fail_after(2):
            sent = await _send_chunks(client)
        # What the kernel buffers comes on top.
        assert sent < 30_000_000
        await server.says_hello()


async def test_a_websocket_upgrade_with_trailing_data_is_contained(
    app: App, serving: Serving
) -> None:
    """Reproducer for https://github.com/pgjones/hypercorn/issues/225."""
    async with serving(app) as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\x00not a frame at all" * 10)
        with trio.fail_after(1):
            assert (await client.rest()).startswith(b"HTTP/1.1 101 ")
        await server.says_hello()


async def test_a_reset_in_the_handshake_of_tcp_is_contained(app: App, serving: Serving) -> None:
    async with serving(app) as server:
        for _ in range(20):
            with socket.socket() as hasty:
                hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                hasty.connect(server.address)
        await server.says_hello()


class FaultyStream(trio.abc.Stream):
    """Brings one request, then fails in a way that no stream should."""

    def __init__(self, request: bytes, *, in_receiving: bool) -> None:
        self._incoming = [request]
        self._in_receiving = in_receiving

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await wait_all_tasks_blocked()
        if self._incoming:
            return self._incoming.pop()
        if self._in_receiving:
            self._fail()
        return b""

    async def aclose(self) -> None:
        if not self._in_receiving:
            self._fail()

    def _fail(self) -> None:
        raise ZeroDivisionError("first line\nsecond line\x1b[31m" + "x" * 1000)


@pytest.mark.parametrize("in_receiving", [True, False])
async def test_an_unexpected_fault_is_one_line_in_the_log(
    app: App, caplog: pytest.LogCaptureFixture, in_receiving: bool
) -> None:
    stream = FaultyStream(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n", in_receiving=in_receiving)
    await serve_stream(app, stream, client=("192.0.2.7", 4711))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("forebay.serving", logging.WARNING)
    assert record.exc_info is None
    message = record.getMessage()
    assert "ZeroDivisionError: first line" in message
    assert "192.0.2.7" in message
    assert message.isprintable()
    assert len(message) < 500
    # The app hears of it as of any other end.
    assert [name for name, _ in app.events][-2:] == ["disconnect", "ended /held"]


@pytest.fixture
def many_files() -> int:
    """Room for 2,000 connections with both ends in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 6000:
        enough = 6000 if hard == resource.RLIM_INFINITY else min(6000, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    return 2000


async def test_all_faults_at_once_leave_the_others_alone(
    app: App, serving: Serving, many_files: int
) -> None:
    async with serving(app, write_timeout=300.0) as server:
        bad = [await server.connect() for _ in range(8)]
        await bad[0].send(PREFACE + EMPTY_SETTINGS)
        await bad[1].send(b"\x00\x01\x02" * 1000)
        await bad[2].send(b"GET /hel")
        await bad[3].send(UPGRADE + b"\xff" * 500)
        await bad[4].send(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")  # and never reads
        await bad[5].send(b"GET /crash HTTP/1.1\r\nhost: test\r\n\r\n")
        await bad[6].send(b"POST /nothing HTTP/1.1\r\nhost: test\r\ncontent-length: 9999\r\n\r\n")
        await bad[6].send(bytes(5000))
        await bad[7].send(b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n")
        await app.until("began /flood")
        await wait_all_tasks_blocked(0.02)  # the flood has filled every buffer on its way
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sends_for_ever, server)
            async with trio.open_nursery() as connecting:
                for _ in range(many_files):
                    connecting.start_soon(server.connect)
            await wait_all_tasks_blocked(0.02)
            assert server.state.connections >= many_files
            await server.says_hello()
            nursery.cancel_scope.cancel()


async def _sends_for_ever(server: Server) -> None:
    client = await server.connect()
    await client.send(b"POST /unread HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n")
    await _send_chunks(client)


async def _send_chunks(client: Client) -> int:
    """Sends a body without an end; returns how many bytes left before the connection ended."""
    sent = 0
    with suppress(trio.BrokenResourceError):
        while True:
            await client.send(b"ffff\r\n" + bytes(65535) + b"\r\n")
            sent += 65535
    return sent


async def test_a_client_whose_machine_vanished_is_probed_for() -> None:
    """No close ever comes from it, and a held request sends nothing that could fail."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    probe_silent_peers(listener.socket)
    client = await trio.open_tcp_stream(*listener.socket.getsockname())
    accepted = await listener.accept()
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    for stream in (client, accepted, listener):
        await stream.aclose()
