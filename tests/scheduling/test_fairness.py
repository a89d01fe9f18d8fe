"""Who is served how much, and when, while more is asked for than a pool can give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_simulation import ListedTicket, ListLane, Service, one_target

from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate


def _slots(number: int) -> Gate:
    return SlotGate("slots", number)


def _requests(rate: float, burst: float) -> Gate:
    return RateGate("requests", Unit.REQUESTS, rate=rate, burst=burst)


def _tokens(rate: float, burst: float) -> Gate:
    return RateGate("tokens", Unit.TOKENS, rate=rate, burst=burst)


_SCARCITIES: dict[str, Callable[[], Gate]] = {
    "one slot": lambda: _slots(1),
    "eight slots": lambda: _slots(8),
    "a burst": lambda: _requests(1, 100),
    "requests": lambda: _requests(10, 10),
    "tokens": lambda: _tokens(1000, 2000),
}


@pytest.mark.parametrize("scarcity", _SCARCITIES)
@pytest.mark.parametrize("estimates", ["right", "wrong"])
def test_backlogged_clients_are_served_tokens_by_weight(scarcity: str, estimates: str) -> None:
    random = Random(7)

    def used(ticket: ListedTicket) -> float:
        return ticket.demand.tokens * (1.0 if estimates == "right" else random.uniform(0.1, 2.0))

    pool, lane = one_target(_SCARCITIES[scarcity]())
    service = Service(pool, used=used)
    weights = {"one": 1.0, "two": 2.0, "four": 4.0}
    for client, weight in weights.items():
        for _ in range(1200):
            service.offer(lane, client, random.uniform(10, 600), weight=weight)
    while len(service.started) < 1500:
        service.run(service.now + 10)
    assert all(flow.tickets for flow in lane.flows.values())
    per_weight = [service.tokens[key] / weights[key.client] for key in service.tokens]
    assert max(per_weight) <= 1.02 * min(per_weight)


@pytest.mark.parametrize(
    "estimate",
    [(100.0, 100.0), (10.0, 1000.0), (900.0, 1100.0), (10.0, 30.0)],
    ids=["right", "scattered", "too high", "too low"],
)
@pytest.mark.parametrize("scarcity", _SCARCITIES)
def test_equal_jobs_in_a_closed_loop_are_served_in_rotation(
    scarcity: str, estimate: tuple[float, float]
) -> None:
    random = Random(3)
    pool, lane = one_target(_SCARCITIES[scarcity]())
    service = Service(pool, seconds=0.5, used=lambda ticket: 100.0)

    def again(lane: ListLane, ticket: ListedTicket) -> None:
        service.offer(lane, ticket.client, random.uniform(*estimate))

    service.on_finished = again
    for number in range(30):
        service.offer(lane, f"client-{number}", random.uniform(*estimate))
    while len(service.started) < 600:
        service.run(service.now + 10)
    turns: dict[str, int] = {}
    for number, ticket in enumerate(service.started):
        if number >= 120:
            assert number - turns[ticket.client] <= 33
        turns[ticket.client] = number
    if scarcity != "tokens":  # there a wrong estimate is paid in time, by whoever is next
        waits = [ticket.waited for ticket in service.started[120:]]
        assert max(waits) <= 1.1 * median(waits)


@settings(max_examples=60, deadline=None)
@given(
    others=st.integers(1, 8), in_flight=st.integers(1, 10), queued=st.integers(20, 60),
    after=st.floats(0, 15), estimate=st.sampled_from([50.0, 100.0, 1000.0, 4000.0]),
)  # fmt: skip
def test_a_newcomer_waits_for_one_job_of_each_other_client(
    others: int, in_flight: int, queued: int, after: float, estimate: float
) -> None:
    pool, lane = one_target(_slots(in_flight))
    service = Service(pool, used=lambda ticket: 100.0)
    for _ in range(queued):
        for number in range(others):
            service.offer(lane, f"client-{number}", estimate)
    service.run(after)
    before = len(service.started)
    newcomer = service.offer(lane, "newcomer", estimate)
    service.run(after + others + in_flight + 2)
    assert service.started.index(newcomer) - before <= others + in_flight


@pytest.mark.parametrize("estimate", [20.0, 60.0, 512.0])
@pytest.mark.parametrize("burst", [1, 20, 100])
def test_a_quiet_client_never_pays_for_what_a_noisy_one_was_thought_to_use(
    burst: int, estimate: float
) -> None:
    """A first burst is charged by estimates that are far too high. Who comes and is served then
    must not be taken for one who was served as much."""
    pool, lane = one_target(_requests(10, burst))
    service = Service(pool, seconds=2.0, used=lambda ticket: 20.0)
    for _ in range(1000):
        service.offer(lane, "noisy", estimate)
    service.run(0.55)
    for _ in range(6):
        quiet = service.offer(lane, "quiet", estimate)
        service.run(service.now + 3)
        assert quiet.waited <= 0.2


def test_who_was_idle_gets_its_part_and_no_more() -> None:
    pool, lane = one_target(_slots(1))
    service = Service(pool)
    for _ in range(400):
        service.offer(lane, "busy")
    service.offer(lane, "sometimes")
    service.run(200)
    for _ in range(200):
        service.offer(lane, "sometimes")
    since = len(service.started)
    service.run(300)
    assert Counter(service.started_clients(since)) == {"busy": 50, "sometimes": 50}


def test_what_was_taken_from_an_idle_pool_costs_nothing_later() -> None:
    pool, lane = one_target(_slots(1))
    service = Service(pool)
    for _ in range(100):
        service.offer(lane, "early", 5000.0)
    service.run(200)
    assert len(service.started) == 100
    for _ in range(50):
        service.offer(lane, "early")
        service.offer(lane, "late")
    service.run(239.5)
    assert Counter(service.started_clients(100)) == {"early": 20, "late": 20}


def test_a_burst_of_one_client_delays_another_by_a_turn() -> None:
    pool, lane = one_target(_requests(10, 1))
    service = Service(pool, seconds=0.01)
    for _ in range(500):
        service.offer(lane, "a")
    waits: list[float] = []
    for second in range(5):
        service.run(float(second))
        ticket = service.offer(lane, "b")
        service.run(second + 0.9)
        waits.append(ticket.waited)
    assert max(waits) <= 0.2 + 1e-9


def test_a_client_cannot_get_more_by_many_small_jobs_or_one_large() -> None:
    pool, lane = one_target(_tokens(1000, 1000))
    service = Service(pool)
    for _ in range(2000):
        service.offer(lane, "small", 10.0)
    for _ in range(50):
        service.offer(lane, "large", 2000.0)
    service.run(40)
    small, large = sorted(service.tokens.values())
    assert large - small <= 3000


def test_idle_clients_leave_no_memory() -> None:
    pool, lane = one_target(_slots(2))
    service = Service(pool, seconds=0.1)
    for number in range(300):
        service.offer(lane, f"client-{number}")
    assert pool.backlogged_clients == 300
    service.run(60)
    assert len(service.started) == 300
    assert pool.backlogged_clients == 0
    assert pool.remembered_clients == 0
