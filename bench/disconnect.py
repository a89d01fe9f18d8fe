"""Clients that leave: does everything they held come back, and at once?

First a thousand clients wait for the only slot and leave together, then clients leave one after the
other in the middle of a stream. Gateway, sandbox and clients run in a process each, over TCP on
loopback, in real time. Takes half a minute.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish, quantile
from harness.http import Connection
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process, sandbox
from harness.scene import (
    MODEL,
    change_sandbox,
    chat_request,
    crowd_waits,
    gateway_config,
    gateway_state,
    nobody_waits,
    upstream_counts,
    wait_until,
)

CLIENTS: Final = 50
OPENING_AT_ONCE: Final = 100
WAIT_TARGET_SECONDS: Final = 1.0
STREAM_TARGET_MS: Final = 100.0
TOKEN_INTERVAL_MS: Final = 20
_GIVE_UP_SECONDS: Final = 30.0


async def crowd_leaves(server: Server, upstream: Server, count: int) -> Report:
    """``count`` clients wait behind one call and leave together."""
    # One request beforehand, so that what is made once has been made before the baseline.
    warm = await Connection.open(server.port)
    await warm.exchange(chat_request())
    warm.close()
    await trio.sleep(0.5)  # the gateway closes its end by then
    bystanders = Bystanders(server, upstream)
    files_before = server.resources().open_files
    sessions_before = (await gateway_state(server)).sessions
    calls_before = (await upstream_counts(upstream)).received

    await change_sandbox(upstream, latency_ms=600_000)
    occupant = await Connection.open(server.port)
    await occupant.send(chat_request())
    await _in_flight_reaches(server, 1)
    crowd = await _crowd(server, count)
    await crowd_waits(server, count)
    waiting = server.resources()

    left_at = trio.current_time()
    for connection in crowd:
        connection.close()
    gone_at = await nobody_waits(server)
    # All but the one that holds the slot, and whoever asks for the status.
    files_freed_at = await _files_fall_to(server, files_before + 2)
    calls = (await upstream_counts(upstream)).received - calls_before - 1
    spent = server.resources().cpu_seconds - waiting.cpu_seconds

    occupant.close()
    await _in_flight_reaches(server, 0)
    await _files_fall_to(server, files_before)
    files_after = server.resources().open_files
    sessions_after = (await gateway_state(server)).sessions
    figures = (
        at_most("until nobody waits", gone_at - left_at, WAIT_TARGET_SECONDS, "s"),
        at_most("until their sockets closed", files_freed_at - left_at, WAIT_TARGET_SECONDS, "s"),
        at_most("calls that the upstream saw of them", calls, 0),
        at_most("open files more than before", files_after - files_before, 0),
        at_most("sessions more than before", sessions_after - sessions_before, 0),
        Figure("open files with all waiting", waiting.open_files),
        Figure("gateway CPU per client that left", 1000 * spent / count, "ms"),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    )
    return Report(f"{count} waiting clients leave at once", figures)


async def _crowd(server: Server, count: int) -> list[Connection]:
    """Clients that have sent a request each and do not read."""
    crowd: list[Connection] = []
    limiter = trio.CapacityLimiter(OPENING_AT_ONCE)

    async def join(number: int) -> None:
        async with limiter:
            connection = await Connection.open(server.port)
            await connection.send(chat_request(client=number % CLIENTS))
            crowd.append(connection)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(join, number)
    return crowd


async def _in_flight_reaches(server: Server, count: int) -> None:
    async def holds() -> bool:
        return (await gateway_state(server)).in_flight == count

    await wait_until(holds, every=0.02, timeout=_GIVE_UP_SECONDS)


async def _files_fall_to(server: Server, count: int) -> float:
    """When the gateway had no more files open than that, or when that took too long."""

    async def holds() -> bool:
        return server.resources().open_files <= count

    with suppress(trio.TooSlowError):
        await wait_until(holds, every=0.005, timeout=5)
    return trio.current_time()


async def _calls_cancelled(upstream: Server, count: int) -> float:
    """When the sandbox had seen so many clients leave."""

    async def holds() -> bool:
        return (await upstream_counts(upstream)).cancelled >= count

    return await wait_until(holds, every=0.001, timeout=_GIVE_UP_SECONDS)


async def streams_are_cut(server: Server, upstream: Server, times: int) -> Report:
    """Clients leave after the first pieces of a stream, one after the other."""
    await change_sandbox(
        upstream, latency_ms=0, token_interval_ms=TOKEN_INTERVAL_MS, reply_tokens=5000
    )
    bystanders = Bystanders(server, upstream)
    until_cancelled: list[float] = []
    for number in range(times):
        cancelled = (await upstream_counts(upstream)).cancelled
        client = await Connection.open(server.port)
        await client.send(chat_request(client=number % CLIENTS, stream=True))
        data = b""
        while data.count(b"data:") < 5:
            data += await client.receive()
        client.close()
        left_at = trio.current_time()
        gone_at = await _calls_cancelled(upstream, cancelled + 1)
        until_cancelled.append(1000 * (gone_at - left_at))
    state = await gateway_state(server)
    figures = (
        Figure("until the upstream call was ended, median", quantile(until_cancelled, 0.5), "ms"),
        at_most("slowest", max(until_cancelled), STREAM_TARGET_MS, "ms"),
        at_most("calls still in flight", state.in_flight, 0),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    )
    return Report(f"{times} clients leave in the middle of a stream", figures)


async def measure(server: Server, upstream: Server, *, quick: bool) -> list[Report]:
    """Both, one after the other."""
    return [
        await crowd_leaves(server, upstream, 200 if quick else 1000),
        await streams_are_cut(server, upstream, 5 if quick else 30),
    ]


def main() -> int:
    """Starts the servers, measures, ends them."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    with sandbox() as upstream:
        config = gateway_config(
            {MODEL: upstream}, limits={MODEL: {"concurrency": 1}}, clients=CLIENTS
        )
        with gateway(config) as server:
            reports = trio.run(partial(measure, server, upstream, quick=chosen.quick))
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
