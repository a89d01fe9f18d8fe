"""A full queue of one model: does it add to the wait of another?

Two models at two sandboxes: ``scarce`` lets six requests a minute through, ``free`` all. Two
gateways that are configured alike stand before them. At the one a crowd waits for ``scarce``, at
the other nobody; both are asked for ``free`` in the same seconds, in turns, so that whatever else
the machine does is felt by both. Gateways, sandboxes and clients run in a process each, over TCP on
loopback, in real time. Takes half a minute.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_least, at_most, publish, quantile
from harness.http import Connection
from harness.loops import Outcomes, open_loop
from harness.machine import Bystanders
from harness.processes import Resources, Server, gateway, prepare_process, sandbox
from harness.scene import (
    chat_request,
    crowd_waits,
    gateway_config,
    gateway_state,
    upstream_counts,
)

CLIENTS: Final = 50
PER_SECOND: Final = 40
CALL_MS: Final = 20
SCARCE: Final = {"rpm": 6, "burst": 1}
PASSING: Final = 5
"""Of the crowd, at most so many get through while we measure."""
P50_TARGET: Final = 1.05
P99_TARGET: Final = 1.5
"""Two gateways without any crowd differ by as much on a machine that does other things too."""


class Side:
    """One of the two gateways, and what the requests for the free model met there."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.outcomes = Outcomes()
        self._before = self._after = server.resources()

    async def visit(self, seconds: float, *, delay: float = 0.0) -> None:
        """Ask for the free model."""
        await trio.sleep(delay)
        self._before = self.server.resources()
        self.outcomes = await open_loop(
            self.server.port,
            [chat_request(client=number, model="free") for number in range(CLIENTS)],
            per_second=PER_SECOND,
            seconds=seconds,
            patience=20,
        )
        self._after = self.server.resources()

    def latency_ms(self, share: float) -> float:
        return 1000 * quantile([answer.seconds for answer in self.outcomes.served], share)

    @property
    def cpu_ms(self) -> float:
        """Of the gateway, for each request."""
        return _cpu_ms(self._before, self._after, self.outcomes.sent)


def _cpu_ms(before: Resources, after: Resources, requests: int) -> float:
    return 1000 * (after.cpu_seconds - before.cpu_seconds) / max(1, requests)


async def flood(server: Server, count: int) -> list[Connection]:
    """``count`` clients that wait for the scarce model."""
    crowd: list[Connection] = []
    for number in range(count):
        connection = await Connection.open(server.port)
        await connection.send(chat_request(client=number % CLIENTS, model="scarce"))
        crowd.append(connection)
    await crowd_waits(server, count - PASSING)
    return crowd


async def measure(
    servers: tuple[Server, Server], scarce: Server, count: int, seconds: float, *, told: bool
) -> Report:
    """At both gateways at once."""
    quiet, crowded = map(Side, servers)
    for side in (quiet, crowded):
        await side.visit(1)
    crowd = await flood(crowded.server, count)
    bystanders = Bystanders(*servers, scarce)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quiet.visit, seconds)
        nursery.start_soon(partial(crowded.visit, seconds, delay=0.5 / PER_SECOND))
    others = bystanders.figure()
    waiting = (await gateway_state(crowded.server)).waiting
    tried = await upstream_counts(scarce)
    for connection in crowd:
        connection.close()
    faults = sum(server.faults_logged() for server in servers)
    figures = (
        at_most(
            "requests not answered 200", quiet.outcomes.unserved + crowded.outcomes.unserved, 0
        ),
        Figure("median without the crowd", quiet.latency_ms(0.5), "ms"),
        Figure("median beside the crowd", crowded.latency_ms(0.5), "ms"),
        at_most("ratio", crowded.latency_ms(0.5) / quiet.latency_ms(0.5), P50_TARGET),
        Figure("99th percentile without the crowd", quiet.latency_ms(0.99), "ms"),
        Figure("99th percentile beside the crowd", crowded.latency_ms(0.99), "ms"),
        at_most("ratio", crowded.latency_ms(0.99) / quiet.latency_ms(0.99), P99_TARGET),
        Figure("gateway CPU per request, without", quiet.cpu_ms, "ms"),
        Figure("gateway CPU per request, beside", crowded.cpu_ms, "ms"),
        Figure("requests to each", crowded.outcomes.sent),
        at_least("still waiting afterwards", waiting, count - PASSING),
        Figure("calls to the scarce model", tried.received),
        at_most("errors in the gateways' logs", faults, 0),
        others,
    )
    knows = "told to the gateway" if told else "unknown to the gateway"
    return Report(f"{count} wait for another model, its limit {knows}", figures)


def run(*, told: bool, quick: bool) -> Report:
    """Start the servers, measure, end them."""
    with sandbox(**SCARCE) as scarce, sandbox(latency_ms=CALL_MS) as free:
        config = gateway_config(
            {"scarce": scarce, "free": free},
            limits={"scarce": {**SCARCE}} if told else {},
            clients=CLIENTS,
        )
        with gateway(config) as quiet, gateway(config) as crowded:
            count, seconds = (100, 3.0) if quick else (500, 15.0)
            return trio.run(partial(measure, (quiet, crowded), scarce, count, seconds, told=told))


def main() -> int:
    """Runs it with the scarce limit told to the gateway, and not."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    reports = (run(told=told, quick=chosen.quick) for told in (True, False))
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
