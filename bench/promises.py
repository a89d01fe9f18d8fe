"""What scheduling promises, once each in real time: the exact proofs are tests in virtual time.

A sandbox that enforces a limit, the gateway before it, and clients that send, each in a process of
its own, over TCP on loopback.

  quota       requests, tokens and slots as the bottleneck; configured, told by headers, unknown
  follow      a limit that halves and doubles again, told and unknown
  fairness    jobs of 100 to 100,000 tokens, one client with 100 times more of them; weights 1:2:4
  newcomer    the first job of a client that comes to a crowd
  faults      refusals, breaks and clients that leave: nobody lost, nobody served twice
  forecasts   the start that is told to those who wait, against the true one

All take about twelve minutes, each one or two; ``--quick`` shortens the quota's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

import trio
from harness.figures import Figure, Report, argument_parser, at_least, at_most, publish, quantile
from harness.http import Answer, Connection, Connections, Disconnected, fetch_json, request_bytes
from harness.loops import closed_loop
from harness.processes import Server, gateway, prepare_process, sandbox
from harness.scene import (
    MODEL,
    change_sandbox,
    chat_request,
    client_key,
    gateway_config,
    nobody_waits,
    upstream_counts,
)

from forebay.protocol.jsontext import JsonObject

WORD: Final = "tide "
WORDS_BYTES: Final = 4
"""Bytes of text that the sandbox counts as a token."""
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
_MOST_REFUSED: Final = {Knowledge.CONFIGURED: 0.0, Knowledge.TOLD: 1.0, Knowledge.UNKNOWN: 3.0}


def sized_request(tokens: int, *, client: int = 0, stream: bool = False) -> bytes:
    """A chat request of about so many tokens, as the sandbox counts."""
    text = WORD * (tokens * WORDS_BYTES // len(WORD))
    body: JsonObject = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    return request_bytes(
        "/v1/chat/completions",
        json.dumps(body).encode(),
        headers={"authorization": f"Bearer {client_key(client)}"},
    )


# Quota.


def quota_reports(*, quick: bool) -> Iterator[Report]:
    seconds = 15.0 if quick else 60.0
    for quota in _QUOTAS:
        for knowledge in Knowledge:
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
        span = _number(after["now"]) - _number(before["now"])
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
        return _number(stats["input_tokens"]) + _number(stats["output_tokens"])
    starts = stats["starts"]
    assert isinstance(starts, list)
    if "concurrency" in quota.limit:
        now, length = _number(stats["now"]), quota.latency_ms / 1000
        return sum(min(length, now - _number(start)) for start in starts)
    return float(len(starts))


def _number(value: object) -> float:
    assert isinstance(value, int | float), value
    return float(value)


# A limit that moves.


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


# Fairness.


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


# A newcomer.


def newcomer_reports(*, quick: bool) -> Iterator[Report]:
    del quick
    crowd, slots, call_ms = 10, 4, 500.0
    with sandbox(concurrency=slots, latency_ms=call_ms) as upstream:
        config = gateway_config(
            {MODEL: upstream}, limits={MODEL: {"concurrency": slots}}, clients=crowd + 1
        )
        with gateway(config) as server:
            yield trio.run(measure_newcomer, server, crowd, slots, call_ms / 1000)


async def measure_newcomer(server: Server, crowd: int, slots: int, service: float) -> Report:
    """Its wait, in jobs' service over all slots."""
    waits: list[float] = []
    connections = Connections(server.port)

    async def keep_busy(client: int) -> None:
        while True:
            await connections.exchange(chat_request(client=client))

    async with trio.open_nursery() as nursery:
        for client in range(crowd):
            for _ in range(20):
                nursery.start_soon(keep_busy, client)
        await trio.sleep(8)
        for _ in range(10):
            answer = await connections.exchange(chat_request(client=crowd))
            waits.append(_waited(answer))
            await trio.sleep(3)  # it has been idle since
        nursery.cancel_scope.cancel()
    connections.close()
    allowed = (crowd + slots) * service / slots
    return Report(
        f"{crowd} clients of 20 jobs each wait, {slots} slots of {service:g} s; one more comes",
        (
            at_most("its longest wait", max(waits), allowed, "s"),
            Figure("median wait", median(waits), "s"),
        ),
    )


def _waited(answer: Answer) -> float:
    return float(answer.header("x-forebay-waited-ms") or "nan") / 1000


# Faults.


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
    twice = _number(stats["completed"]) - served - left
    return Report(
        "3000 requests a minute with refusals, breaks and clients that leave; 1500 requests",
        (
            at_most("neither served nor left", other, 0),
            at_most("answers beyond one for each request", max(0.0, twice), 0),
            at_most("jobs waiting at the end", _number(status["waiting"]), 0),
            at_most("calls in flight at the end", _number(status["in_flight"]), 0),
            Figure("served", served),
            Figure("left before their answer", left),
        ),
    )


# Forecasts.


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


_PROMISES: Final[dict[str, Callable[..., Iterator[Report]]]] = {
    "quota": quota_reports,
    "follow": follow_reports,
    "fairness": fairness_reports,
    "newcomer": newcomer_reports,
    "faults": fault_reports,
    "forecasts": forecast_reports,
}


def main() -> int:
    """Runs those that were asked for, or all."""
    parser = argument_parser(__doc__)
    parser.add_argument("promise", nargs="*", choices=[[], *_PROMISES], help="default: all")
    chosen = parser.parse_args()
    prepare_process()
    reports = (
        report
        for name in chosen.promise or _PROMISES
        for report in _PROMISES[name](quick=chosen.quick)
    )
    return publish(reports, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
