"""Connections that do harm or nothing: are others served, and does the gateway end in time?

Thousands of connections are opened and left idle, half of them in the middle of a request's head;
others ask by HTTP/2, send a body without end, don't read their stream, or send more after an early
404. Beside them one client asks, one request after the other, and is measured against the same
before they came. Then the gateway is told to end while all of them are still there. A process each,
over TCP on loopback, in real time. Takes half a minute.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish, quantile
from harness.http import Connection
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process, sandbox
from harness.scene import MODEL, change_sandbox, chat_request, gateway_config, wait_until

REQUESTS: Final = 200
OPENING_AT_ONCE: Final = 100
BAD_ONES: Final = 20
"""Of each kind."""
DRAIN_SECONDS: Final = 0.5
END_TARGET_SECONDS: Final = 5.0
"""The drain, and what it takes to close all that is left."""
_HEAD: Final = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: appl"
_HTTP2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
_ENDLESS: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    b"authorization: Bearer bench-key-0\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"4\r\n[1,2\r\n"
    * 200
)
_AFTER_404: Final = (
    b"POST /no/such/path HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000\r\n\r\n"
    + b"x" * 5000
)


async def open_idle(server: Server, count: int, connections: list[Connection]) -> None:
    """``count`` connections, every second one with half a head sent."""
    limiter = trio.CapacityLimiter(OPENING_AT_ONCE)

    async def one(number: int) -> None:
        async with limiter:
            connection = await Connection.open(server.port)
            if number % 2:
                await connection.send(_HEAD)
            connections.append(connection)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)


async def open_bad(server: Server, connections: list[Connection]) -> None:
    """Some of each kind that harms servers."""
    for _ in range(BAD_ONES):
        for said in (_HTTP2, _ENDLESS, _AFTER_404, chat_request(stream=True)):
            connection = await Connection.open(server.port)
            await connection.send(said)
            connections.append(connection)  # and nobody reads what comes


async def ask(server: Server) -> tuple[list[float], int]:
    """Seconds of each answer, and how many were not 200."""
    connection = await Connection.open(server.port)
    answers = [await connection.exchange(chat_request(client=1)) for _ in range(REQUESTS)]
    connection.close()
    return [each.seconds for each in answers], sum(each.status != 200 for each in answers)


async def measure(server: Server, upstream: Server, count: int) -> Report:
    """Ask, add the neighbours, ask again, and end the gateway."""
    await ask(server)
    bystanders = Bystanders(server, upstream)
    before, failed_before = await ask(server)
    memory_before = server.resources().rss_bytes
    connections: list[Connection] = []
    await open_idle(server, count, connections)
    await change_sandbox(upstream, reply_tokens=100_000)
    await open_bad(server, connections)
    await trio.sleep(1)  # what they have sent is read by then, and their streams have begun
    await change_sandbox(upstream, reply_tokens=50)
    beside, failed_beside = await ask(server)
    held = server.resources()
    faults = server.faults_logged()
    bystander_figure = bystanders.figure()
    told_at = trio.current_time()
    os.kill(server.pid, signal.SIGTERM)
    ended = await _ends(server, within=END_TARGET_SECONDS + 5)
    took = trio.current_time() - told_at
    for connection in connections:
        connection.close()
    figures = (
        at_most("requests not answered 200", failed_before + failed_beside, 0),
        Figure("median without them", 1000 * quantile(before, 0.5), "ms"),
        Figure("median beside them", 1000 * quantile(beside, 0.5), "ms"),
        at_most("ratio", quantile(beside, 0.5) / quantile(before, 0.5), 1.5),
        Figure("memory for each of them", (held.rss_bytes - memory_before) / count / 1024, "KiB"),
        Figure("open files with all of them", held.open_files),
        at_most("from SIGTERM to the end", took, END_TARGET_SECONDS, "s"),
        at_most("did not end", int(not ended), 0),
        at_most("errors in the gateway's log", faults, 0),
        bystander_figure,
    )
    return Report(f"{count} idle connections and {4 * BAD_ONES} bad ones", figures)


async def _ends(server: Server, *, within: float) -> bool:
    async def holds() -> bool:
        return server.has_ended()

    with suppress(trio.TooSlowError):
        await wait_until(holds, every=0.01, timeout=within)
    return server.has_ended()


def main() -> int:
    """Starts the servers, measures, ends them."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    with sandbox(token_interval_ms=0) as upstream:
        config = gateway_config({MODEL: upstream}, clients=2)
        with gateway(config) as server:
            count = 500 if chosen.quick else 5000
            report = trio.run(partial(measure, server, upstream, count))
    return publish([report], as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
