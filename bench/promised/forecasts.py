"""Do jobs start when those who wait for them are told?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio
from harness.figures import Figure, Report, at_least, at_most, quantile
from harness.http import Answer, Connection
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    gateway_config,
)

from promised.requests import sized_request

CLIENTS: Final = 20


def forecast_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    limit = {"rpm": 600, "burst": 10}
    with sandbox(**limit, latency_ms=20, limit_headers="none") as upstream:
        config = gateway_config({MODEL: upstream}, limits={MODEL: {**limit}}, clients=CLIENTS)
        config["wait"] = {"max_wait_ms": 60_000, "keepalive_after_ms": 1000, "hold": "keepalive"}
        with gateway(config) as server:
            yield trio.run(measure_forecasts, server)


async def measure_forecasts(server: Server) -> Report:
    """Streams that begin while they wait say when they will start; then they start."""
    errors: list[float] = []

    async def one(connection: Connection, client: int) -> None:
        await connection.send(sized_request(50, client=client, stream=True))
        data = await connection.receive()
        began = trio.current_time()
        while b'"content":"' not in data:
            if data.endswith(b"0\r\n\r\n"):
                return
            data += await connection.receive()
        started = trio.current_time() - began
        head = data.partition(b"\r\n\r\n")[0]
        told = Answer(head, b"", 0, 0).header("x-forebay-expected-ms")
        while not data.endswith(b"0\r\n\r\n"):
            data += await connection.receive()
        if told is not None:
            expected = float(told) / 1000
            errors.append(abs(expected - started) / max(started, 0.1))

    async def client_loop(client: int) -> None:
        connection = await Connection.open(server.port)
        try:
            while True:
                await one(connection, client)
        finally:
            connection.close()

    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            for client in range(CLIENTS):
                for _ in range(4):
                    nursery.start_soon(client_loop, client)
    return Report(
        "600 requests a minute, 80 streams at once, forecasts after a second of waiting",
        (
            at_most("median error of the expected start", 100 * quantile(errors, 0.5), 20, "%"),
            Figure("90th percentile", 100 * quantile(errors, 0.9), "%"),
            at_least("forecasts", len(errors), 100),
        ),
    )
