"""CPU per upstream request: httpx's own pool, our connection stack under httpx's client, and
`open_call` over the stack, against a bare Trio server in a process of its own.

Run ``python bench/upstream_connections.py``; it ends by itself within a minute. Read the ratios,
which come from one run on one machine, rather than the milliseconds. Only the CPU time of this
process counts: the server's is its own.
"""

from __future__ import annotations

import argparse
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import trio

from forebay.actors.upstream import CallTimeouts, ConnectionStack, open_call

IN_FLIGHT: Final = (1, 100, 1000)
SECONDS_PER_CASE: Final = 6.0
SECONDS_IN_ALL: Final = 50.0
REQUEST_BODY: Final = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 960)
ANSWER_BODY: Final = b'{"content":"%s"}' % (b"y" * 1000)
CHUNKS: Final = 100
CHUNK: Final = b"data: %s\n\n" % (b"z" * 192)
HEADERS: Final = {"content-type": "application/json", "authorization": "Bearer bench"}
NO_LIMIT: Final = CallTimeouts(connect=30.0, first_byte=30.0, between_bytes=30.0)

Request = Callable[[str], Awaitable[int]]
"""Sends one POST to a URL, reads the answer to its end, and says in how many pieces it came."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one case gave."""

    cpu_ms: float
    """CPU milliseconds of this process per request."""
    at_least: bool
    """The case was cut short: what it had spent by then, per request that it had begun."""
    requests: int
    """How many were made."""
    pieces: float
    """Pieces of body per answer."""


async def serve_connection(stream: trio.SocketStream) -> None:
    """Answers POSTs: ``/now`` at once, ``/delay`` after 0.2 s, ``/burst`` and ``/paced`` with
    chunks, all at once or 5 ms apart."""
    one = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(ANSWER_BODY),
        ANSWER_BODY,
    )
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK)
    buffer = b""
    async with stream:
        while True:
            while b"\r\n\r\n" not in buffer or len(buffer.split(b"\r\n\r\n", 1)[1]) < len(
                REQUEST_BODY
            ):
                received = await stream.receive_some(65_536)
                if not received:
                    return
                buffer += received
            path = buffer.split(b" ", 2)[1]
            buffer = buffer.split(b"\r\n\r\n", 1)[1][len(REQUEST_BODY) :]
            if path == b"/burst":
                await stream.send_all(head + chunk * CHUNKS + b"0\r\n\r\n")
            elif path == b"/paced":
                await stream.send_all(head)
                for _ in range(CHUNKS):
                    await stream.send_all(chunk)
                    await trio.sleep(0.005)
                await stream.send_all(b"0\r\n\r\n")
            else:
                if path == b"/delay":
                    await trio.sleep(0.2)
                await stream.send_all(one)


async def serve() -> None:
    """The child process: listens on a free port of loopback, says which, serves until killed."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    print(listeners[0].socket.getsockname()[1], flush=True)

    async def contained(stream: trio.SocketStream) -> None:
        try:
            await serve_connection(stream)
        except trio.BrokenResourceError:
            return

    await trio.serve_listeners(contained, listeners)


@asynccontextmanager
async def httpx_pool() -> AsyncIterator[Request]:
    """httpx's client on its own transport, without the limit of 100 connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as client:
        yield _through(client)


@asynccontextmanager
async def client_on_stack() -> AsyncIterator[Request]:
    """httpx's client on our transport."""
    async with httpx.AsyncClient(
        transport=_stack(), verify=_no_tls(), timeout=30.0, trust_env=False
    ) as client:
        yield _through(client)


@asynccontextmanager
async def open_call_on_stack() -> AsyncIterator[Request]:
    """What the gateway does."""
    async with _stack() as stack:

        async def request(url: str) -> int:
            async with open_call(
                stack, "POST", url, headers=HEADERS, body=REQUEST_BODY, timeouts=NO_LIMIT
            ) as answer:
                return len([chunk async for chunk in answer.chunks()])

        yield request


def _through(client: httpx.AsyncClient) -> Request:
    async def request(url: str) -> int:
        async with client.stream("POST", url, headers=HEADERS, content=REQUEST_BODY) as answer:
            return len([chunk async for chunk in answer.aiter_raw()])

    return request


def _stack() -> ConnectionStack:
    return ConnectionStack(ssl_context=_no_tls(), max_idle_per_origin=max(IN_FLIGHT))


def _no_tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


VARIANTS: Final = {
    "httpx on its own pool": httpx_pool,
    "httpx on the stack": client_on_stack,
    "open_call on the stack": open_call_on_stack,
}


async def measure(request: Request, url: str, *, in_flight: int, rounds: int) -> Sample:
    """``rounds`` rounds of ``in_flight`` requests each, after one that opens the connections. A
    case that does not get through the first one in its time is reported from there."""
    done = pieces = 0

    async def worker(times: int) -> None:
        nonlocal done, pieces
        for _ in range(times):
            came_in = await request(url)
            pieces += came_in
            done += 1

    async def all_workers(times: int) -> Sample:
        nonlocal done, pieces
        done = pieces = 0
        began = time.process_time()
        with trio.move_on_at(deadline) as scope:
            async with trio.open_nursery() as nursery:
                for _ in range(in_flight):
                    nursery.start_soon(worker, times)
        spent = time.process_time() - began
        begun = min(done + in_flight, in_flight * times)
        return Sample(spent / begun * 1000, scope.cancelled_caught, done, pieces / max(done, 1))

    deadline = trio.current_time() + SECONDS_PER_CASE
    opening = await all_workers(1)
    return opening if opening.at_least else await all_workers(rounds)


async def report(base: str) -> None:
    """Runs every case and prints a line for each."""
    print(f"{'CPU ms per request':34}{'requests':>9}{'ms':>9}{'ratio':>8}   pieces per answer")
    cases = [
        *((f"{n} in flight", "/now" if n == 1 else "/delay", n, 600 // n + 1) for n in IN_FLIGHT),
        (f"{CHUNKS} chunks in a burst", "/burst", 1, 40),
        (f"{CHUNKS} chunks 5 ms apart", "/paced", 4, 2),
    ]
    for title, path, in_flight, rounds in cases:
        print(title)
        samples: dict[str, Sample] = {}
        for name, variant in VARIANTS.items():
            async with variant() as request:
                samples[name] = await measure(
                    request, base + path, in_flight=in_flight, rounds=rounds
                )
        floor = samples["open_call on the stack"].cpu_ms
        for name, sample in samples.items():
            milliseconds = f"{'>' if sample.at_least else ''}{sample.cpu_ms:.3f}"
            ratio = f"{'>' if sample.at_least else ''}{sample.cpu_ms / floor:.1f}"
            print(f"  {name:32}{sample.requests:9}{milliseconds:>9}{ratio:>8}{sample.pieces:10.1f}")


async def bounded_report(base: str) -> None:
    """The report, cut off where a busy machine makes it take too long."""
    with trio.move_on_after(SECONDS_IN_ALL) as scope:
        await report(base)
    if scope.cancelled_caught:
        print(f"stopped after {SECONDS_IN_ALL:.0f} s")


def main() -> None:
    """Starts the server process, measures against it, ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="be the server process")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    if parser.parse_args().serve:
        trio.run(serve)
        return
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            trio.run(bounded_report, f"http://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
