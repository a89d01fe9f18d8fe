"""A full queue of one model: does it add to the wait of another?

One gateway, two models at two sandboxes: ``scarce`` lets six requests a minute through, ``free``
all. The latency of ``free`` is measured twice, without anybody at ``scarce`` and with a crowd
waiting there. Gateway, sandboxes and clients run in a process each, over TCP on loopback, in real
time. Takes half a minute.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish, quantile
from harness.http import Connection
from harness.loops import Outcomes, open_loop
from harness.processes import Resources, Server, gateway, prepare_process, sandbox
from harness.scene import chat_request, crowd_waits, gateway_config, upstream_counts

CLIENTS: Final = 50
PER_SECOND: Final = 50
CALL_MS: Final = 20
SCARCE: Final = {"rpm": 6, "burst": 1}
P50_TARGET: Final = 1.05
P99_TARGET: Final = 1.5
"""Two runs without any crowd differ by as much on a machine that does other things too."""


async def visit_free(server: Server, seconds: float) -> Outcomes:
    """The same load on the free model each time."""
    return await open_loop(
        server.port,
        [chat_request(client=number, model="free") for number in range(CLIENTS)],
        per_second=PER_SECOND,
        seconds=seconds,
        patience=20,
    )


async def flood(server: Server, count: int) -> list[Connection]:
    """``count`` clients that wait for the scarce model."""
    crowd: list[Connection] = []
    for number in range(count):
        connection = await Connection.open(server.port)
        await connection.send(chat_request(client=number % CLIENTS, model="scarce"))
        crowd.append(connection)
    # One passes at once, and another every ten seconds.
    await crowd_waits(server, count - 3)
    return crowd


async def measure(
    server: Server, scarce: Server, count: int, seconds: float, *, told: bool
) -> Report:
    """Without the crowd and with it."""
    await visit_free(server, 1)
    before = server.resources()
    alone = await visit_free(server, seconds)
    between = server.resources()
    crowd = await flood(server, count)
    flooded = server.resources()
    beside = await visit_free(server, seconds)
    after = server.resources()
    tried = await upstream_counts(scarce)
    for connection in crowd:
        connection.close()
    quiet = [1000 * answer.seconds for answer in alone.served]
    loud = [1000 * answer.seconds for answer in beside.served]
    figures = (
        at_most("requests not answered 200", alone.unserved + beside.unserved, 0),
        Figure("median without the crowd", quantile(quiet, 0.5), "ms"),
        Figure("median beside the crowd", quantile(loud, 0.5), "ms"),
        at_most("ratio", quantile(loud, 0.5) / quantile(quiet, 0.5), P50_TARGET),
        Figure("99th percentile without the crowd", quantile(quiet, 0.99), "ms"),
        Figure("99th percentile beside the crowd", quantile(loud, 0.99), "ms"),
        at_most("ratio", quantile(loud, 0.99) / quantile(quiet, 0.99), P99_TARGET),
        Figure("gateway CPU per request, without", _cpu_ms(before, between, alone), "ms"),
        Figure("gateway CPU per request, beside", _cpu_ms(flooded, after, beside), "ms"),
        Figure("calls to the scarce model", tried.received),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
    )
    knows = "told to the gateway" if told else "unknown to the gateway"
    return Report(f"{count} wait for another model, its limit {knows}", figures)


def _cpu_ms(before: Resources, after: Resources, outcomes: Outcomes) -> float:
    return 1000 * (after.cpu_seconds - before.cpu_seconds) / max(1, outcomes.sent)


def run(*, told: bool, quick: bool) -> Report:
    """Start the servers, measure, end them."""
    with sandbox(**SCARCE) as scarce, sandbox(latency_ms=CALL_MS) as free:
        config = gateway_config(
            {"scarce": scarce, "free": free},
            limits={"scarce": {**SCARCE}} if told else {},
            clients=CLIENTS,
        )
        with gateway(config) as server:
            count, seconds = (100, 3.0) if quick else (500, 10.0)
            return trio.run(partial(measure, server, scarce, count, seconds, told=told))


def main() -> int:
    """Runs it with the scarce limit told to the gateway, and not."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    reports = (run(told=told, quick=chosen.quick) for told in (True, False))
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
