"""How long does the first job of a client wait that comes to a crowd?"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import trio
from harness.figures import Figure, Report, at_most
from harness.http import Answer, Connections
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    chat_request,
    gateway_config,
)


def newcomer_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    crowd, slots, call_ms = 10, 4, 500.0
    with sandbox(concurrency=slots, latency_ms=call_ms) as upstream:
        config = gateway_config(
            {MODEL: upstream}, limits={MODEL: {"concurrency": slots}}, clients=crowd + 1
        )
        with gateway(config) as server:
            yield trio.run(measure_newcomer, server, crowd, slots, call_ms / 1000)


async def measure_newcomer(server: Server, crowd: int, slots: int, service: float) -> Report:
    """Its wait, in jobs' service over all slots."""
    waits: list[float] = []
    connections = Connections(server.port)

    async def keep_busy(client: int) -> None:
        while True:
            await connections.exchange(chat_request(client=client))

    async with trio.open_nursery() as nursery:
        for client in range(crowd):
            for _ in range(20):
                nursery.start_soon(keep_busy, client)
        await trio.sleep(8)
        for _ in range(10):
            answer = await connections.exchange(chat_request(client=crowd))
            waits.append(_waited(answer))
            await trio.sleep(3)  # it has been idle since
        nursery.cancel_scope.cancel()
    connections.close()
    allowed = (crowd + slots) * service / slots
    return Report(
        f"{crowd} clients of 20 jobs each wait, {slots} slots of {service:g} s; one more comes",
        (
            at_most("its longest wait", max(waits), allowed, "s"),
            Figure("median wait", median(waits), "s"),
        ),
    )


def _waited(answer: Answer) -> float:
    return float(answer.header("x-forebay-waited-ms") or "nan") / 1000
