"""Whether a gateway stays responsive: the smallest request there is, again and again."""

from __future__ import annotations

from typing import Final

import trio

from harness.figures import Figure, quantile
from harness.http import Connection, request_bytes
from harness.processes import Server

_EVERY_SECONDS: Final = 0.05
_REQUEST: Final = request_bytes("/healthz")


class Pulse:
    """How long ``/healthz`` took, each time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seconds: list[float] = []

    async def feel(self) -> None:
        """Ask until cancelled."""
        connection = await Connection.open(self._server.port)
        try:
            while True:
                answer = await connection.exchange(_REQUEST)
                self._seconds.append(answer.seconds)
                await trio.sleep(_EVERY_SECONDS)
        finally:
            connection.close()

    def figures(self) -> tuple[Figure, ...]:
        """The usual and the worst."""
        return (
            Figure("/healthz meanwhile, median", 1000 * quantile(self._seconds, 0.5), "ms"),
            Figure("/healthz meanwhile, slowest", 1000 * max(self._seconds, default=0.0), "ms"),
        )
