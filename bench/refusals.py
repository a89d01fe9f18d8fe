"""When there is no answer in time: does each client get its 429 when its time is up, and honestly?

Three times what a sandbox of 600 requests a minute lets through, from clients that wait at most two
seconds: a third is served, the others are refused. Gateway, sandbox and clients run in a process
each, over TCP on loopback, in real time. Takes half a minute; with ``--quick`` ten seconds.
"""

from __future__ import annotations

import json
import sys
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_least, at_most, publish, quantile
from harness.http import Answer
from harness.loops import open_loop
from harness.machine import Bystanders
from harness.processes import Server, gateway, prepare_process, sandbox
from harness.scene import MODEL, chat_request, gateway_config, upstream_counts

CLIENTS: Final = 50
REQUESTS_PER_MINUTE: Final = 600
BURST: Final = 10
OVERLOAD: Final = 3
MAX_WAIT_MS: Final = 2000
TOLERANCE_MS: Final = 50


def is_honest(refusal: Answer) -> bool:
    """Whether it says when to come back, asks not to be retried at once, and has the dialect's
    shape."""
    seconds = refusal.header("retry-after") or ""
    try:
        error = json.loads(refusal.body)["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return (
        seconds.isdecimal()
        and int(seconds) >= 1
        and refusal.header("x-should-retry") == "false"
        and isinstance(error, dict)
        and error.get("code") == "rate_limit_exceeded"
        and bool(error.get("message"))
    )


async def measure(server: Server, upstream: Server, seconds: float) -> Report:
    """Send, and look at every refusal."""
    bystanders = Bystanders(server, upstream)
    outcomes = await open_loop(
        server.port,
        [chat_request(client=number) for number in range(CLIENTS)],
        per_second=OVERLOAD * REQUESTS_PER_MINUTE / 60,
        seconds=seconds,
        patience=MAX_WAIT_MS / 1000 + 10,
    )
    counted = await upstream_counts(upstream)
    refusals = outcomes.with_status(429)
    errors = [1000 * refusal.seconds - MAX_WAIT_MS for refusal in refusals]
    within = sum(abs(error) <= TOLERANCE_MS for error in errors)
    honest = sum(map(is_honest, refusals))
    allowed = BURST + REQUESTS_PER_MINUTE / 60 * counted.span
    figures = (
        at_least(
            f"refused within {TOLERANCE_MS} ms of their time",
            100 * within / max(1, len(refusals)),
            100,
            "%",
        ),
        Figure("earliest refusal, against its time", min(errors, default=0.0), "ms"),
        Figure("median", quantile(errors, 0.5), "ms"),
        Figure("99th percentile", quantile(errors, 0.99), "ms"),
        at_most("latest refusal", max(errors, default=0.0), TOLERANCE_MS, "ms"),
        at_least(
            "with retry-after and x-should-retry: false",
            100 * honest / max(1, len(refusals)),
            100,
            "%",
        ),
        at_most(
            "neither served nor refused",
            outcomes.sent - len(refusals) - len(outcomes.served),
            0,
        ),
        at_least("quota used all the same", 100 * len(outcomes.served) / allowed, 98, "%"),
        at_most("upstream 429s, share of calls", 100 * counted.refused_share, 1, "%"),
        Figure("requests", outcomes.sent),
        Figure("refused", len(refusals)),
        at_most("errors in the gateway's log", server.faults_logged(), 0),
        bystanders.figure(),
    )
    title = f"{OVERLOAD} x {REQUESTS_PER_MINUTE} requests a minute for {seconds:g} s, max_wait_ms "
    return Report(f"{title}{MAX_WAIT_MS}", figures)


def main() -> int:
    """Starts the servers, measures, ends them."""
    chosen = argument_parser(__doc__).parse_args()
    prepare_process()
    limit = {"rpm": REQUESTS_PER_MINUTE, "burst": BURST}
    with sandbox(**limit, latency_ms=20) as upstream:
        config = gateway_config(
            {MODEL: upstream},
            limits={MODEL: {**limit}},
            clients=CLIENTS,
            max_wait_ms=MAX_WAIT_MS,
        )
        with gateway(config) as server:
            report = trio.run(measure, server, upstream, 8 if chosen.quick else 30)
    return publish([report], as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
