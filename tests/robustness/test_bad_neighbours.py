"""One connection can't hurt another: what a client does to its own, others never feel."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

import pytest
import trio
from loopback_gateway import Loopback, RawClient, open_loopback
from spoken_errors import CHAT_PATHS, assert_spoken, request_of

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

CHAT = "/v1/chat/completions"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
GARBAGE = {
    "TLS": bytes.fromhex("16030100f4010000f0030300") + bytes(range(200)),
    "zeros": bytes(70_000),
    "a long line": b"GET /" + b"a" * 200_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    "no method": b" / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "a bad length": b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    "two lengths": (
        b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n"
        b"content-length: 2\r\n\r\n"
    ),
    "a length and chunks": (
        b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n\r\nZZ\r\n"
    ),
    "a bad chunk": (
        b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nnope\r\n"
    ),
    "folded headers": b"GET / HTTP/1.1\r\nhost: localhost\r\n folded\r\n\r\n",
    "one byte": b"\xff",
}


def reset(client: RawClient) -> None:
    """Close with a reset, as a crashed client's machine does."""
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()


async def stream_slowly(gateway: Loopback, tokens: int = 60_000) -> RawClient:
    """A client that asked for a long stream and reads none of it."""
    stream = await trio.open_tcp_stream(gateway.host, gateway.port)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = RawClient(stream)
    gateway.clients.append(client)
    body = dumps(request_of(CHAT, stream=True, max_tokens=tokens))
    await client.send(gateway.head("POST", CHAT, {"content-length": str(len(body))}) + body)
    return client


async def test_http2_by_prior_knowledge_ends_only_its_own_connection() -> None:
    async with open_loopback() as gateway:
        clients = [await gateway.connect() for _ in range(20)]
        for client in clients:
            await client.send(HTTP2)
        for client in clients:
            assert (await client.answer()).status == 505
        await gateway.serves()


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_ends_only_its_own_connection(name: str) -> None:
    async with open_loopback() as gateway:
        for resets in (False, True):
            client = await gateway.connect()
            with suppress(trio.BrokenResourceError):  # refused before it was all sent
                await client.send(GARBAGE[name])
            await gateway.serves()
            if resets:
                reset(client)
            await gateway.serves()


async def test_data_after_an_early_answer_hurts_nobody() -> None:
    async with open_loopback() as gateway:
        for path in ("/v1/nothing", CHAT):
            client = await gateway.connect()
            headers = {"content-length": "50000000"}
            await client.send(gateway.head("POST", path, headers, host="localhost"))
            status = (await client.answer()).status
            assert status == (404 if path == "/v1/nothing" else 413)
            with suppress(trio.BrokenResourceError):
                for _ in range(50):
                    await client.send(bytes(100_000))
            await gateway.serves()


async def test_requests_in_one_packet_are_answered_in_order() -> None:
    async with open_loopback() as gateway:
        client = await gateway.connect()
        body = dumps(request_of(CHAT))
        chat = gateway.head("POST", CHAT, {"content-length": str(len(body))}) + body
        await client.send(chat + gateway.head("GET", "/v1/nothing") + chat)
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]


async def test_a_reader_that_stalls_for_ever_holds_up_nobody_and_is_cut() -> None:
    sandbox = SandboxOptions(reply_tokens=100_000)
    async with open_loopback(
        sandbox=sandbox, server={"write_timeout_ms": 1500}, provider={"limits": {"concurrency": 3}}
    ) as gateway:
        for _ in range(2):
            await stream_slowly(gateway)
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 2)
        gateway.sandbox.change_options(SandboxOptions())
        for _ in range(3):
            await gateway.serves()
        await gateway.until(gateway.is_at_rest)
        assert gateway.sandbox.statistics().cancelled == 2


async def test_a_body_that_never_ends_holds_up_nobody() -> None:
    async with open_loopback(server={"max_body_bytes": 1 << 20}) as gateway:
        async with trio.open_nursery() as nursery:

            async def pour() -> None:
                client = await gateway.connect()
                await client.send(gateway.head("POST", CHAT, {"transfer-encoding": "chunked"}))
                chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
                with suppress(trio.BrokenResourceError):
                    while True:
                        await client.send(chunk)

            async def drip() -> None:
                client = await gateway.connect()
                await client.send(gateway.head("POST", CHAT, {"transfer-encoding": "chunked"}))
                while True:
                    await client.send(b"1\r\n \r\n")
                    await trio.sleep(0.001)

            for _ in range(5):
                nursery.start_soon(pour)
                nursery.start_soon(drip)
            for _ in range(10):
                await gateway.serves()
            nursery.cancel_scope.cancel()
        for client in gateway.clients:
            reset(client)
        gateway.clients.clear()
        await gateway.until(gateway.is_at_rest)


async def test_a_thousand_idle_connections_cost_the_others_nothing() -> None:
    async with open_loopback() as gateway:
        idle = [await gateway.connect() for _ in range(1000)]
        half = gateway.head("POST", CHAT)[:30]
        for client in idle[:300]:
            await client.send(half)
        # In time of this process's own, so that a busy machine makes no difference.
        began = time.process_time()
        for _ in range(10):
            await gateway.serves()
        assert time.process_time() - began < 1
        for client in idle:
            reset(client)
        gateway.clients.clear()
        await gateway.serves()


async def test_a_full_house_makes_newcomers_wait_and_then_serves_them() -> None:
    async with open_loopback(server={"max_sessions": 5}) as gateway:
        held = [await gateway.connect() for _ in range(5)]
        for client in held:  # so that they are surely accepted
            await client.send(gateway.head("GET", "/healthz"))
            assert (await client.answer()).status == 200
        async with trio.open_nursery() as nursery:
            served = trio.Event()

            async def ask() -> None:
                await gateway.serves()
                served.set()

            nursery.start_soon(ask)
            await trio.sleep(0.05)
            assert not served.is_set()
            await held[0].aclose()


async def test_many_clients_that_break_off_anywhere_leave_the_gateway_as_it_was() -> None:
    async with open_loopback(sandbox=SandboxOptions(latency_ms=20)) as gateway:
        for path, dialect in CHAT_PATHS.items():
            body = dumps(request_of(path))
            whole = gateway.head("POST", path, {"content-length": str(len(body))}) + body
            for end in range(1, len(whole) + 1, 7):
                client = await gateway.connect()
                await client.send(whole[:end])
                if end % 2:
                    reset(client)
                else:
                    await client.aclose()
            gateway.clients.clear()
            answer = await gateway.request("POST", path, body=b"{")
            assert_spoken(dialect, 400, answer.status, answer.headers, answer.body)
        await gateway.until(gateway.is_at_rest)
