"""More work than a limit lets through: is the quota used, is everybody served, in turns, and how
often does the upstream have to say no?

A sandbox that enforces a limit, the gateway before it, and clients that send: each in a process of
its own, over TCP on loopback, in real time.

  open    three times the rate of a request limit for a minute, then until all are answered
  closed  the same limit, each client sends as soon as it has its answer
  slots   a limit of calls at once, closed loop

Each against a gateway that is told the limit, and against one that has to find out. One case takes
one to three minutes, ``--all`` about ten; ``--quick`` a sixth of that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_least, at_most, publish
from harness.http import fetch_json
from harness.loops import Outcomes, closed_loop, open_loop
from harness.machine import Bystanders
from harness.processes import Resources, Server, gateway, prepare_process, sandbox
from harness.scene import MODEL, Upstream, chat_request, gateway_config, upstream_counts

from forebay.protocol.jsontext import JsonObject

CLIENTS: Final = 50
REQUESTS_PER_MINUTE: Final = 600
BURST: Final = 10
OVERLOAD: Final = 3
CALL_MS: Final = 20
"""How long a call takes the sandbox where the limit is one of requests."""


class Loop(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    SLOTS = "slots"


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement."""

    loop: Loop
    told: bool
    """Whether the gateway is configured with the limit."""
    seconds: float
    slots: int
    call_ms: float
    """How long a call takes the sandbox."""

    @property
    def title(self) -> str:
        limit = (
            f"{self.slots} calls at once of {self.call_ms:g} ms"
            if self.loop is Loop.SLOTS
            else f"{REQUESTS_PER_MINUTE} requests a minute, burst {BURST}"
        )
        told = "told to the gateway" if self.told else "unknown to the gateway"
        loop = "open loop" if self.loop is Loop.OPEN else "closed loop"
        return f"{limit}, {told}; {loop}, {CLIENTS} clients, {self.seconds:g} s"


def run(case: Case) -> Report:
    """Start the servers, measure, end them."""
    limit: JsonObject
    if case.loop is Loop.SLOTS:
        limit = {"concurrency": case.slots}
        servers = sandbox(concurrency=case.slots, latency_ms=case.call_ms)
    else:
        limit = {"rpm": REQUESTS_PER_MINUTE, "burst": BURST}
        servers = sandbox(rpm=REQUESTS_PER_MINUTE, burst=BURST, latency_ms=case.call_ms)
    with servers as upstream:
        unaided = trio.run(slots_used_directly, case, upstream) if case.loop is Loop.SLOTS else None
        config = gateway_config(
            {MODEL: upstream}, limits={MODEL: limit} if case.told else {}, clients=CLIENTS
        )
        with gateway(config) as server:
            return trio.run(measure, case, server, upstream, unaided)


async def slots_used_directly(case: Case, upstream: Server) -> float:
    """The share of slot time that as many clients as slots use without a gateway: what a process
    of Python with 1 ms timers can reach at all."""
    requests = [chat_request(model="sandbox-chat")] * case.slots
    await closed_loop(upstream.port, requests, seconds=3, patience=10)
    used = _slot_share(case, await upstream_counts(upstream))
    await fetch_json(upstream.port, "/sandbox/reset", {})
    return used


def _slot_share(case: Case, counted: Upstream) -> float:
    return counted.slot_seconds(case.call_ms / 1000) / max(1e-9, case.slots * counted.span)


async def measure(case: Case, server: Server, upstream: Server, unaided: float | None) -> Report:
    """Send, wait for all, and count.

    Args:
        unaided: what :func:`slots_used_directly` gave.
    """
    requests = [chat_request(client=number) for number in range(CLIENTS)]
    bystanders = Bystanders(server, upstream)
    before = server.resources()
    per_second = REQUESTS_PER_MINUTE / 60
    if case.loop is Loop.OPEN:
        outcomes = await open_loop(
            server.port,
            requests,
            per_second=OVERLOAD * per_second,
            seconds=case.seconds,
            patience=OVERLOAD * case.seconds,
        )
    else:
        outcomes = await closed_loop(server.port, requests, seconds=case.seconds, patience=30)
    after = server.resources()
    counted = await upstream_counts(upstream)
    figures = [
        at_most("requests not answered 200", outcomes.unserved, 0),
        *_usage(case, outcomes, counted, unaided),
        at_most(
            "upstream 429s, share of calls",
            100 * counted.refused_share,
            1 if case.told else 5,
            "%",
        ),
        *_turns(case, outcomes),
        Figure("requests", outcomes.sent),
        *_costs(outcomes, before, after),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    ]
    return Report(case.title, tuple(figures))


def _usage(
    case: Case, outcomes: Outcomes, counted: Upstream, unaided: float | None
) -> list[Figure]:
    """How much of what the limit allows was used, from the first call to the last: up to then
    somebody was always waiting."""
    if case.loop is Loop.SLOTS:
        used = _slot_share(case, counted)
        figures = [at_least("slot time used while jobs wait", 100 * used, 97, "%")]
        if unaided is not None:
            figures.append(Figure("the same without a gateway", 100 * unaided, "%"))
        return figures
    allowed = BURST + REQUESTS_PER_MINUTE / 60 * counted.span
    return [at_least("quota used while jobs wait", 100 * len(outcomes.served) / allowed, 98, "%")]


def _turns(case: Case, outcomes: Outcomes) -> list[Figure]:
    if case.loop is Loop.OPEN:
        waits = [answer.seconds for answer in outcomes.served]
        return [Figure("longest wait", max(waits, default=0.0), "s")]
    waits = [answer.seconds for answer in outcomes.after_first_answers()]
    if not waits:
        return []
    return [
        at_most("slowest answer over the median", max(waits) / median(waits), 1.1),
        Figure("median answer", median(waits), "s"),
    ]


def _costs(outcomes: Outcomes, before: Resources, after: Resources) -> list[Figure]:
    spent = after.cpu_seconds - before.cpu_seconds
    figures = [Figure("gateway CPU per request", 1000 * spent / max(1, outcomes.sent), "ms")]
    if outcomes.latest_start:
        figures.append(Figure("sent late, at most", 1000 * outcomes.latest_start, "ms"))
    return figures


def main() -> int:
    """Runs the cases that were asked for."""
    parser = argument_parser(__doc__)
    parser.add_argument("--loop", choices=[loop.value for loop in (Loop.OPEN, Loop.CLOSED)])
    parser.add_argument("--slots", type=int, help="limit calls at once to this, closed loop")
    parser.add_argument("--latency-ms", type=float, default=200.0, help="with --slots: of a call")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--told", action="store_true", help="only with the gateway configured")
    told.add_argument("--unknown", action="store_true", help="only with the gateway not told")
    parser.add_argument("--all", action="store_true", help="all loops")
    chosen = parser.parse_args()
    if chosen.all:
        loops = list(Loop)
    elif chosen.slots is not None:
        loops = [Loop.SLOTS]
    else:
        loops = [Loop(chosen.loop or Loop.OPEN)]
    prepare_process()
    reports = (
        run(
            Case(
                loop=loop,
                told=known,
                seconds=10 if chosen.quick else 60,
                slots=chosen.slots or 4,
                call_ms=chosen.latency_ms if loop is Loop.SLOTS else CALL_MS,
            )
        )
        for loop in loops
        for known in (True, False)
        if not (chosen.unknown and known) and not (chosen.told and not known)
    )
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
