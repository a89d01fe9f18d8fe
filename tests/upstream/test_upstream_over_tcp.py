"""The same over real sockets of the loopback interface, where the kernel has its say. Few tests,
and in real time: none waits for a timeout."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

import httpx
import pytest
import trio

from forebay.actors.upstream import (
    AnswerBroken,
    ConnectFailed,
    ConnectionStack,
    NoAnswer,
    OriginStatistics,
)
from tests.upstream.conftest import (
    CHUNKED_HEAD,
    Peer,
    answer_each,
    chunk,
    plain,
    post,
    post_and_read,
    statistics_of,
)

Handler = Callable[[trio.SocketStream], Awaitable[None]]


async def listen(nursery: trio.Nursery, handler: Handler) -> int:
    """Serves ``handler`` on a free port of loopback."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    port: int = listeners[0].socket.getsockname()[1]

    async def serve_one(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream)

    nursery.start_soon(trio.serve_listeners, serve_one, listeners)
    return port


def speaking(script: Callable[[Peer], Awaitable[None]]) -> Handler:
    """``script`` over plain TCP."""

    async def handler(stream: trio.SocketStream) -> None:
        await script(Peer(stream, lambda _: None))

    return handler


def over_tls(script: Callable[[Peer], Awaitable[None]]) -> Handler:
    """``script`` over TLS without a certificate."""

    async def handler(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(
            stream, anonymous(ssl.PROTOCOL_TLS_SERVER), server_side=True, https_compatible=True
        )
        await script(Peer(tls, lambda _: None))

    return handler


def anonymous(side: int) -> ssl.SSLContext:
    """TLS with anonymous key exchange: real handshakes and records, and no certificate to keep."""
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


def tcp_stack() -> ConnectionStack:
    """A stack over the real network."""
    return ConnectionStack(ssl_context=anonymous(ssl.PROTOCOL_TLS_CLIENT))


async def socket_of_a_call(stack: ConnectionStack, url: str) -> trio.socket.SocketType:
    """The client's socket, after one call over it."""
    response = await stack.handle_async_request(httpx.Request("POST", url, content=b""))
    await response.aread()
    client_socket = response.extensions["network_stream"].get_extra_info("socket")
    assert isinstance(client_socket, trio.socket.SocketType)
    return client_socket


async def reset(stream: trio.SocketStream) -> None:
    """Closes with a reset: what was sent and not yet read is lost."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


@pytest.mark.parametrize("tls", [False, True])
async def test_sequential_requests_use_one_connection_over_tcp(
    nursery: trio.Nursery, tls: bool
) -> None:
    port = await listen(nursery, (over_tls if tls else speaking)(answer_each))
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/"
    async with tcp_stack() as stack:
        for _ in range(10):
            assert await post_and_read(stack, url=url) == b"{}"
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)


async def test_a_large_body_goes_up_and_comes_down_over_tcp(nursery: trio.Nursery) -> None:
    port = await listen(nursery, speaking(answer_each))
    body = bytes(range(256)) * 8192
    async with (
        tcp_stack() as stack,
        post(stack, url=f"http://127.0.0.1:{port}/", body=body) as answer,
    ):
        assert await answer.read(len(body)) == body


async def test_many_requests_at_once_over_tcp(nursery: trio.Nursery) -> None:
    port = await listen(nursery, speaking(answer_each))
    async with tcp_stack() as stack:
        for _ in range(2):
            async with trio.open_nursery() as calls:
                for _ in range(200):
                    calls.start_soon(lambda: post_and_read(stack, url=f"http://127.0.0.1:{port}/"))
        statistics = statistics_of(stack)
        assert statistics.active == 0
        assert statistics.idle == statistics.opened <= 200


async def test_a_socket_closed_by_the_server_while_idle_is_not_used(nursery: trio.Nursery) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(plain(b"ok"))

    port = await listen(nursery, speaking(once))
    async with tcp_stack() as stack:
        for _ in range(3):
            client_socket = await socket_of_a_call(stack, f"http://127.0.0.1:{port}/")
            await trio.lowlevel.wait_readable(client_socket)  # the end of the connection is here
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=3)


async def test_a_port_that_nobody_listens_on_is_a_failed_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with tcp_stack() as stack:
            with pytest.raises(ConnectFailed) as caught:
                await post_and_read(stack, url=f"http://127.0.0.1:{port}/")
    assert str(caught.value) == f"could not connect to 127.0.0.1:{port}: Connection refused"


async def test_a_server_without_tls_is_a_failed_connection(nursery: trio.Nursery) -> None:
    async def speaks_first(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 smtp.test ready\r\n")
        await stream.receive_some(1000)

    port = await listen(nursery, speaks_first)
    async with tcp_stack() as stack:
        with pytest.raises(ConnectFailed, match="TLS: wrong version number"):
            await post_and_read(stack, url=f"https://127.0.0.1:{port}/")


async def test_a_server_that_hangs_up_on_a_handshake_is_a_failed_connection(
    nursery: trio.Nursery,
) -> None:
    async def hangs_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await reset(stream)

    port = await listen(nursery, hangs_up)
    async with tcp_stack() as stack:
        with pytest.raises(ConnectFailed):
            await post_and_read(stack, url=f"https://127.0.0.1:{port}/")
        assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_a_cancelled_handshake_closes_its_socket(nursery: trio.Nursery) -> None:
    """httpcore alone leaves this socket to the garbage collector."""
    hello_came, closed = trio.Event(), trio.Event()

    async def never_answers(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        hello_came.set()
        while await stream.receive_some(1000):
            pass
        closed.set()

    port = await listen(nursery, never_answers)
    async with tcp_stack() as stack, trio.open_nursery() as calls:
        calls.start_soon(lambda: post_and_read(stack, url=f"https://127.0.0.1:{port}/"))
        await hello_came.wait()
        calls.cancel_scope.cancel()
    with trio.fail_after(5):
        await closed.wait()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_server_sees_a_cancelled_stream_end_over_tcp(
    nursery: trio.Nursery, tls: bool
) -> None:
    closed = trio.Event()

    async def streams(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunk(b"first"))
        await peer.client_closes()
        closed.set()

    port = await listen(nursery, (over_tls if tls else speaking)(streams))
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/"
    async with tcp_stack() as stack:
        with trio.CancelScope() as scope:
            async with post(stack, url=url) as answer:
                assert await anext(answer.chunks()) == b"first"
                scope.cancel()
                await anext(answer.chunks())
        assert scope.cancelled_caught
        with trio.fail_after(5):
            await closed.wait()
        assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_a_reset_before_the_head_is_no_answer(nursery: trio.Nursery) -> None:
    async def resets(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await reset(stream)

    port = await listen(nursery, resets)
    async with tcp_stack() as stack:
        with pytest.raises(NoAnswer, match="Connection reset by peer") as caught:
            await post_and_read(stack, url=f"http://127.0.0.1:{port}/")
    assert not caught.value.timed_out


async def test_a_reset_in_the_body_is_a_broken_answer(nursery: trio.Nursery) -> None:
    first_was_read = trio.Event()

    async def resets(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(CHUNKED_HEAD + chunk(b"first"))
        await first_was_read.wait()
        await reset(stream)

    port = await listen(nursery, resets)
    async with tcp_stack() as stack, post(stack, url=f"http://127.0.0.1:{port}/") as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"first"
        first_was_read.set()
        with pytest.raises(AnswerBroken, match="Connection reset by peer") as caught:
            await anext(chunks)
    assert not caught.value.timed_out


async def test_idle_connections_are_probed_by_the_system(nursery: trio.Nursery) -> None:
    port = await listen(nursery, speaking(answer_each))
    async with tcp_stack() as stack:
        client_socket = await socket_of_a_call(stack, f"http://127.0.0.1:{port}/")
        assert client_socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
