"""Is all of a limit used, whatever is limited and however the gateway comes to know it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import trio
from harness.figures import Figure, Report, at_least, at_most
from harness.http import fetch_json
from harness.loops import closed_loop
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    as_number,
    change_sandbox,
    gateway_config,
    upstream_counts,
)

from forebay.protocol.jsontext import JsonObject
from promised.requests import sized_request

CLIENTS: Final = 20


class Knowledge(StrEnum):
    """How the gateway comes to know the limit."""

    CONFIGURED = "configured"
    TOLD = "told by headers"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Quota:
    """One dimension as the bottleneck."""

    name: str
    limit: dict[str, float]
    """As the sandbox's options."""
    configured: JsonObject
    """As the gateway's ``limits``."""
    per_second: float
    """Requests, tokens, or seconds of slots."""
    latency_ms: float
    input_tokens: int = 250
    crowd: int = CLIENTS


_QUOTAS: Final = (
    Quota("1200 requests a minute", {"rpm": 1200, "burst": 20}, {"rpm": 1200, "burst": 20}, 20, 20),
    Quota("1.2 M tokens a minute", {"tpm": 1_200_000}, {"tpm": 1_200_000}, 20_000, 20, 2_000),
    Quota("8 calls at once of 2 s", {"concurrency": 8}, {"concurrency": 8}, 8, 2000),
)
_MOST_REFUSED: Final = {Knowledge.CONFIGURED: 0.1, Knowledge.TOLD: 1.0, Knowledge.UNKNOWN: 3.0}
"""Per cent. In virtual time none is refused where the limit is configured. Here a call or two may
be, since the first ones take longer to the sandbox than those after them."""


def quota_reports(*, quick: bool) -> Iterator[Report]:
    seconds = 15.0 if quick else 60.0
    for quota in _QUOTAS:
        for knowledge in Knowledge:
            if knowledge is Knowledge.TOLD and "concurrency" in quota.limit:
                continue  # no header of any provider tells of these
            headers = "openai" if knowledge is Knowledge.TOLD else "none"
            with sandbox(
                **quota.limit, latency_ms=quota.latency_ms, limit_headers=headers
            ) as upstream:
                limits = {MODEL: quota.configured} if knowledge is Knowledge.CONFIGURED else {}
                config = gateway_config({MODEL: upstream}, limits=limits, clients=quota.crowd)
                with gateway(config) as server:
                    yield trio.run(measure_quota, quota, knowledge, server, upstream, seconds)


async def measure_quota(
    quota: Quota, knowledge: Knowledge, server: Server, upstream: Server, seconds: float
) -> Report:
    """How much is used once the limit binds, and how many calls were refused from the start."""
    await change_sandbox(upstream, echo=False)
    requests = [sized_request(quota.input_tokens, client=n) for n in range(quota.crowd)]
    warm_up = 30.0
    used = float("nan")

    async def watch() -> None:
        nonlocal used
        await trio.sleep(warm_up)
        before = await fetch_json(upstream.port, "/sandbox/stats")
        await trio.sleep(seconds)
        after = await fetch_json(upstream.port, "/sandbox/stats")
        span = as_number(after["now"]) - as_number(before["now"])
        used = (_amount(quota, after) - _amount(quota, before)) / (quota.per_second * span)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        outcomes = await closed_loop(
            server.port, requests, seconds=warm_up + seconds + 1, patience=60
        )
    counted = await upstream_counts(upstream)
    return Report(
        f"{quota.name}, {knowledge}; {quota.crowd} clients, {seconds:g} s",
        (
            at_least("quota used while jobs wait", 100 * used, 99.5, "%"),
            at_most(
                "upstream 429s, share of calls from the start",
                100 * counted.refused_share,
                _MOST_REFUSED[knowledge],
                "%",
            ),
            at_most("requests not answered 200", outcomes.unserved, 0),
            Figure("calls", counted.received),
        ),
    )


def _amount(quota: Quota, stats: JsonObject) -> float:
    """What was used so far of what the quota counts."""
    if "tpm" in quota.limit:
        return as_number(stats["input_tokens"]) + as_number(stats["output_tokens"])
    starts = stats["starts"]
    assert isinstance(starts, list)
    if "concurrency" in quota.limit:
        now, length = as_number(stats["now"]), quota.latency_ms / 1000
        return sum(min(length, now - as_number(start)) for start in starts)
    return float(len(starts))
