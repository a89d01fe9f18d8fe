"""Is anybody lost, or served twice, when calls fail and clients leave?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio
from harness.figures import Figure, Report, at_most
from harness.http import Connection, Disconnected, fetch_json
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    as_number,
    change_sandbox,
    chat_request,
    client_key,
    gateway_config,
    nobody_waits,
)

CLIENTS: Final = 20


def fault_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    with (
        sandbox(rpm=3000, burst=50, latency_ms=20, limit_headers="openai") as upstream,
        gateway(gateway_config({MODEL: upstream}, clients=CLIENTS)) as server,
    ):
        yield trio.run(measure_faults, server, upstream)


async def measure_faults(server: Server, upstream: Server) -> Report:
    """One call in fifty is refused, one in seventy told of overload, one in ninety cut off; and
    every third client soon leaves."""
    await change_sandbox(upstream, fault_every={"429": 53, "503": 71, "reset": 89})
    served = left = other = 0

    async def one(number: int) -> None:
        nonlocal served, left, other
        leaves = number % 3 == 0
        with trio.move_on_after(0.5 if leaves else 200) as patience:
            connection = await Connection.open(server.port)
            try:
                answer = await connection.exchange(chat_request(client=number % CLIENTS))
            except Disconnected:
                other += 1
            else:
                served += answer.status == 200
                other += answer.status != 200
            finally:
                connection.close()
        if patience.cancelled_caught:
            left += 1

    async with trio.open_nursery() as nursery:
        for number in range(1500):
            nursery.start_soon(one, number)
            await trio.sleep(0.005)
    await nobody_waits(server)
    stats = await fetch_json(upstream.port, "/sandbox/stats")
    status = await fetch_json(server.port, "/forebay/status", key=client_key(0))
    twice = as_number(stats["completed"]) - served - left
    return Report(
        "3000 requests a minute with refusals, breaks and clients that leave; 1500 requests",
        (
            at_most("neither served nor left", other, 0),
            at_most("answers beyond one for each request", max(0.0, twice), 0),
            at_most("jobs waiting at the end", as_number(status["waiting"]), 0),
            at_most("calls in flight at the end", as_number(status["in_flight"]), 0),
            Figure("served", served),
            Figure("left before their answer", left),
        ),
    )
