"""What a simulation says and what the whole gateway does: over HTTP, before the sandbox."""

from __future__ import annotations

import statistics

import pytest
import trio
from simulated import run_of, settings_of, traffic_of
from trio.testing import MockClock
from worlds import open_world

from forebay.endpoints.sandbox import SandboxOptions

SECONDS = 60
USERS = 12
LIMITS: dict[str, object] = {"rpm": 240, "concurrency": 4}


async def _real_waits() -> tuple[list[float], int]:
    """Seconds that each request waited, and how often the upstream refused."""
    sandbox = SandboxOptions(
        requests_per_minute=240, concurrency=4, latency_ms=500, reply_tokens=100, echo=False
    )
    waits: list[float] = []
    async with open_world(sandboxes={"up": sandbox}, provider={"limits": LIMITS}) as world:

        async def ask_again() -> None:
            while True:
                answer = await world.ask("x" * 400)
                assert answer.status_code == 200
                waits.append(int(answer.headers["x-forebay-waited-ms"]) / 1000)

        with trio.move_on_after(SECONDS):
            async with trio.open_nursery() as nursery:
                for _ in range(USERS):
                    nursery.start_soon(ask_again)
        return waits, sum(world.sandbox.statistics().refused.values())


def test_a_minute_of_the_whole_gateway_is_as_simulated() -> None:
    waits, refused = trio.run(_real_waits, clock=MockClock(autojump_threshold=0))
    simulated = run_of(
        settings_of(LIMITS, max_wait_ms=300_000),
        traffic_of(at_once=USERS, think_time=0),
        duration=SECONDS,
        upstreams={"up": {"latency": {"first_byte_ms": 500, "ms_per_output_token": 0}}},
    )
    assert len(waits) == pytest.approx(simulated.served, rel=0.03)
    assert statistics.median(waits) == pytest.approx(simulated.clients[0].waits.p50, rel=0.03)
    assert refused == simulated.providers[0].refused == 0
