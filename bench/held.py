"""Thousands of held responses at once: what does each cost, and are all answered in the end?

A sandbox whose only slot is taken refuses everything, so every request waits in the gateway, which
is not told why. When all wait, the sandbox is opened up, and all are answered. Gateway, sandbox and
clients run in a process each, over TCP on loopback, in real time. Takes about a minute.

Needs a limit of open files (``ulimit -Hn``) of about three for each held response.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_most, publish
from harness.http import Connection, Disconnected
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process, sandbox
from harness.pulse import Pulse
from harness.scene import (
    MODEL,
    change_sandbox,
    chat_request,
    crowd_waits,
    gateway_config,
    upstream_counts,
)

CLIENTS: Final = 50
OPENING_AT_ONCE: Final = 100
HOLDING_SECONDS: Final = 5.0
CALL_MS: Final = 20
_GIVE_UP_SECONDS: Final = 150.0


class Crowd:
    """Clients that each wait for one answer."""

    def __init__(self, server: Server, *, stream: bool) -> None:
        self._server = server
        self._requests = [chat_request(client=n, stream=stream) for n in range(CLIENTS)]
        self._opening = trio.CapacityLimiter(OPENING_AT_ONCE)
        self.statuses: dict[int, int] = {}
        """How many got which; 0: the connection broke."""

    async def wait_for_answer(self, number: int) -> None:
        """One of them."""
        async with self._opening:
            connection = await Connection.open(self._server.port)
        try:
            status = (await connection.exchange(self._requests[number % CLIENTS])).status
        except (Disconnected, OSError):
            status = 0
        finally:
            connection.close()
        self.statuses[status] = self.statuses.get(status, 0) + 1


async def measure(server: Server, upstream: Server, count: int, *, stream: bool) -> Report:
    """Hold, let go, and count."""
    # Whatever is made with the first requests does not belong to those that are held.
    warm_up = Crowd(server, stream=stream)
    for number in range(20):
        await warm_up.wait_for_answer(number)
    await change_sandbox(upstream, concurrency=1, latency_ms=600_000)
    occupant = await Connection.open(upstream.port)
    await occupant.send(chat_request(model="sandbox-chat"))
    await trio.sleep(0.5)  # it has the slot by then

    bystanders = Bystanders(server, upstream)
    connections_before = (await upstream_counts(upstream)).connections - 1  # the occupant's
    crowd = Crowd(server, stream=stream)
    pulse = Pulse(server)
    before = server.resources()
    began = trio.current_time()
    with trio.move_on_after(_GIVE_UP_SECONDS):
        async with trio.open_nursery() as meanwhile:
            meanwhile.start_soon(pulse.feel)
            async with trio.open_nursery() as waiting:
                for number in range(count):
                    waiting.start_soon(crowd.wait_for_answer, number)
                # Those that the gateway is just trying upstream do not count as waiting.
                all_wait_at = await crowd_waits(server, count - 8)
                arriving = server.resources()
                await trio.sleep(HOLDING_SECONDS)
                held = server.resources()
                refused = (await upstream_counts(upstream)).refused
                await change_sandbox(upstream, concurrency=None, latency_ms=CALL_MS)
                occupant.close()
                let_go_at = trio.current_time()
            meanwhile.cancel_scope.cancel()
    all_answered_at = trio.current_time()
    await trio.sleep(0.5)  # sockets are closed a moment after the last byte
    after = server.resources()
    # Connections to the upstream are kept for later; all else must be closed.
    kept = (await upstream_counts(upstream)).connections - connections_before
    leaked = after.open_files - before.open_files - kept
    holding_cpu = (held.cpu_seconds - arriving.cpu_seconds) / HOLDING_SECONDS
    taking_in = arriving.cpu_seconds - before.cpu_seconds
    answering = after.cpu_seconds - held.cpu_seconds
    served = crowd.statuses.get(200, 0)
    figures = (
        at_most("held responses not answered 200", count - served, 0),
        Figure("memory before (RSS)", before.rss_bytes / 2**20, "MiB"),
        Figure("memory with all held", held.rss_bytes / 2**20, "MiB"),
        Figure("memory after", after.rss_bytes / 2**20, "MiB"),
        Figure("per held response", (held.rss_bytes - before.rss_bytes) / count / 1024, "KiB"),
        at_most("open files more than before", leaked, 0),
        Figure("idle connections to the upstream", kept),
        Figure("until all were held", all_wait_at - began, "s"),
        Figure("CPU per request, to take it in", 1000 * taking_in / count, "ms"),
        Figure("CPU while holding, share of a core", 100 * holding_cpu, "%"),
        Figure("upstream 429s while holding", refused),
        Figure("until all were answered", all_answered_at - let_go_at, "s"),
        Figure("CPU per request, to answer it", 1000 * answering / count, "ms"),
        *pulse.figures(),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    )
    kind = "streams" if stream else "responses"
    return Report(f"{count} held {kind}, then let go", figures)


def main() -> int:
    """Starts the servers, measures, ends them."""
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, help="how many; 5000, or with --quick 500")
    parser.add_argument("--stream", action="store_true", help="ask for streams")
    chosen = parser.parse_args()
    count = chosen.count or (500 if chosen.quick else 5000)
    prepare_process()
    with (
        sandbox() as upstream,
        gateway(gateway_config({MODEL: upstream}, clients=CLIENTS)) as server,
    ):
        report = trio.run(partial(measure, server, upstream, count, stream=chosen.stream))
    return publish([report], as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
