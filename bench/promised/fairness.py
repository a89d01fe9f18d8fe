"""Do all who wait get the same, whatever the size and the number of their jobs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import trio
from harness.figures import Figure, Report, at_least, at_most
from harness.http import Connections
from harness.processes import Server, gateway, sandbox
from harness.scene import (
    MODEL,
    change_sandbox,
    gateway_config,
)

from promised.requests import sized_request


def fairness_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    sizes = (100, 1_000, 10_000, 100_000)
    mixed = dict.fromkeys(range(4), sizes)
    yield _with_tokens("four equal clients, one with 100 jobs for each of the others'", mixed, {})
    weights = {0: 1.0, 1: 2.0, 2: 4.0}
    alike = dict.fromkeys(weights, (1000,))
    yield _with_tokens("weights 1:2:4", alike, weights)


def _with_tokens(
    title: str, sizes: Mapping[int, tuple[int, ...]], weights: Mapping[int, float]
) -> Report:
    largest = max(max(each) for each in sizes.values())
    # A window that serves each client thirty of the largest jobs, in about a minute.
    per_minute = max(600_000, 31 * largest * len(sizes))
    with sandbox(tpm=per_minute, latency_ms=5, limit_headers="none") as upstream:
        config = gateway_config(
            {MODEL: upstream},
            limits={MODEL: {"tpm": per_minute}},
            clients=len(sizes),
            weights=weights,
        )
        with gateway(config) as server:
            return trio.run(measure_fairness, title, sizes, weights, server, upstream)


async def measure_fairness(
    title: str,
    sizes: Mapping[int, tuple[int, ...]],
    weights: Mapping[int, float],
    server: Server,
    upstream: Server,
) -> Report:
    """Tokens served to each client in a minute in which all of them wait."""
    await change_sandbox(upstream, echo=False)
    served = dict.fromkeys(sizes, 0.0)
    warm_up, seconds = 10.0, 65.0
    connections = Connections(server.port)
    began = trio.current_time()

    async def client_loop(client: int, first: int) -> None:
        turn = first
        requests = [sized_request(size, client=client) for size in sizes[client]]
        while True:
            size = sizes[client][turn % len(requests)]
            answer = await connections.exchange(requests[turn % len(requests)])
            turn += 1
            assert answer.status == 200, answer.head
            if answer.answered_at > began + warm_up:
                served[client] += size

    with trio.move_on_at(began + warm_up + seconds):
        async with trio.open_nursery() as nursery:
            for client in sizes:
                at_once = 100 if client == 0 and not weights else 6
                for first in range(at_once):
                    nursery.start_soon(client_loop, client, first)
    connections.close()
    by_weight = [served[client] / weights.get(client, 1.0) for client in sizes]
    jain = sum(by_weight) ** 2 / (len(by_weight) * sum(share**2 for share in by_weight))
    figures = [at_least("Jain's index of tokens over weights", jain, 0.99)]
    if weights:
        middle = sum(by_weight) / len(by_weight)
        off = max(abs(share / middle - 1) for share in by_weight)
        figures.append(at_most("furthest from its weight", 100 * off, 2, "%"))
    figures.append(Figure("tokens served", sum(served.values())))
    return Report(title, tuple(figures))
