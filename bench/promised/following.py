"""Does the gateway follow a limit that moves?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio
from harness.figures import Figure, Report, at_least, at_most
from harness.loops import closed_loop
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    change_sandbox,
    chat_request,
    gateway_config,
    upstream_counts,
)

from promised.quota import Knowledge

CLIENTS: Final = 20


def follow_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    for knowledge in (Knowledge.TOLD, Knowledge.UNKNOWN):
        headers = "openai" if knowledge is Knowledge.TOLD else "none"
        with (
            sandbox(rpm=1200, burst=20, latency_ms=20, limit_headers=headers) as upstream,
            gateway(gateway_config({MODEL: upstream}, clients=CLIENTS)) as server,
        ):
            yield trio.run(measure_following, knowledge, server, upstream)


async def measure_following(knowledge: Knowledge, server: Server, upstream: Server) -> Report:
    """Within two minutes of a change, how much of what is allowed then is used?"""
    figures: list[Figure] = []
    until_followed, looked_at = 90.0, 30.0

    async def change() -> None:
        await trio.sleep(20)
        for rate in (600, 1200):
            await change_sandbox(upstream, requests_per_minute=rate)
            await trio.sleep(until_followed)
            before = await upstream_counts(upstream)
            await trio.sleep(looked_at)
            after = await upstream_counts(upstream)
            served = len(after.starts) - len(before.starts)
            refused = after.refused - before.refused
            share = 100 * served / (rate / 60 * looked_at)
            figures.append(
                at_least(f"of {rate} a minute, used 90 to 120 s after", share, 95, "%"),
            )
            figures.append(
                at_most("429s meanwhile", 100 * refused / max(1, served + refused), 5, "%")
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        requests = [chat_request(client=number) for number in range(CLIENTS)]
        outcomes = await closed_loop(
            server.port, requests, seconds=22 + 2 * (until_followed + looked_at), patience=60
        )
    figures.append(at_most("requests not answered 200", outcomes.unserved, 0))
    return Report(f"1200 requests a minute, then 600, then 1200; {knowledge}", tuple(figures))
