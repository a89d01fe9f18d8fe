"""Interactive and batch traffic split a pool 80 to 20, and borrow what the other leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_simulation import BATCH, INTERACTIVE, ListedTicket, ListLane, Service, one_target
from served_windows import (
    ESTIMATES,
    LARGEST,
    SCARCITIES,
    Backlog,
    Crowd,
    any_size,
    largest_gap,
)

from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import Route

_SCARCITIES: list[Callable[[], Gate]] = [
    lambda: SlotGate("slots", 4),
    lambda: RateGate("requests", Unit.REQUESTS, rate=5, burst=5),
    lambda: RateGate("tokens", Unit.TOKENS, rate=1000, burst=2000),
]


def _backlog(service: Service, lane: ListLane, kind: TrafficClass, jobs: int) -> None:
    random = Random(5)
    for number in range(jobs):
        client = f"{kind}-{number % 3}"
        service.offer(lane, client, random.uniform(50, 350), traffic_class=kind)


def _tokens(service: Service) -> Counter[str]:
    """Tokens served, by class."""
    sums: Counter[str] = Counter()
    for key, tokens in service.tokens.items():
        sums[key.traffic_class] += round(tokens)
    return sums


@pytest.mark.parametrize("scarcity", _SCARCITIES)
@pytest.mark.parametrize("estimates", ["right", "wrong"])
def test_while_both_wait_interactive_gets_four_fifths(
    scarcity: Callable[[], Gate], estimates: str
) -> None:
    random = Random(7)

    def used(ticket: ListedTicket) -> float:
        return ticket.demand.tokens * (1.0 if estimates == "right" else random.uniform(0.1, 1.5))

    pool, lane = one_target(scarcity())
    service = Service(pool, used=used)
    _backlog(service, lane, INTERACTIVE, 1200)
    _backlog(service, lane, BATCH, 400)
    while len(service.started) < 1000:
        service.run(service.now + 10)
    served = _tokens(service)
    assert served["interactive"] / served.total() == pytest.approx(0.8, abs=0.016)


@pytest.mark.parametrize("alone", [INTERACTIVE, BATCH])
def test_either_gets_all_while_the_other_has_nothing_waiting(alone: TrafficClass) -> None:
    pool, lane = one_target(SlotGate("slots", 2))
    service = Service(pool)
    _backlog(service, lane, alone, 200)
    service.run(50)
    assert len(service.started) == 2 * 51


@pytest.mark.parametrize("first", [INTERACTIVE, BATCH])
def test_what_one_borrowed_for_hours_is_not_asked_back(first: TrafficClass) -> None:
    """Neither starves when the other comes, however long it had the pool to itself."""
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    _backlog(service, lane, first, 2200)
    service.run(2000.5)
    since = _tokens(service)
    _backlog(service, lane, BATCH if first is INTERACTIVE else INTERACTIVE, 200)
    service.run(2100.5)
    served = _tokens(service) - since
    assert served["interactive"] / served.total() == pytest.approx(0.8, abs=0.05)


def test_nor_is_what_was_only_thought_to_be_used() -> None:
    pool, lane = one_target(RateGate("requests", Unit.REQUESTS, rate=1, burst=100))
    service = Service(pool, seconds=0.5, used=lambda ticket: ticket.demand.tokens / 40)
    _backlog(service, lane, INTERACTIVE, 1000)
    service.run(20.5)
    _backlog(service, lane, BATCH, 1000)
    since = _tokens(service)
    service.run(420.5)
    served = _tokens(service) - since
    # But for two jobs as large as was thought.
    assert served["interactive"] == pytest.approx(0.8 * served.total(), abs=2 * 350)


def test_batch_jobs_that_wait_for_a_closed_target_earn_nothing_at_another() -> None:
    """Hours in front of a target that is closed would else be a right to all of the others."""
    closed, slots = SlotGate("closed", 0), SlotGate("slots", 1)
    pool = Pool("pool", [])
    stuck = ListLane((pool.add_target("stuck", [closed], [Route("host", ())]),))
    lane = ListLane((pool.add_target("open", [slots], [Route("host", ())]),))
    service = Service(pool)
    _backlog(service, stuck, BATCH, 3)
    _backlog(service, lane, INTERACTIVE, 1300)
    service.run(1000.5)
    since = _tokens(service)
    _backlog(service, lane, BATCH, 200)
    service.run(1100.5)
    served = _tokens(service) - since
    assert served["interactive"] / served.total() == pytest.approx(0.8, abs=0.1)


# Over any window, for jobs of 100 to 100,000 tokens.


def _pool(gate: Gate, share: float) -> tuple[Pool, ListLane]:
    pool = Pool("pool", [gate], batch_share=share)
    return pool, ListLane((pool.add_target("target", [], [Route("host", ())]),))


def _is_batch(key: FlowKey) -> bool:
    return key.traffic_class is BATCH


@pytest.mark.parametrize("share", [5.0, 20.0, 50.0, 95.0])
@pytest.mark.parametrize("estimates", ESTIMATES)
@pytest.mark.parametrize("scarcity", SCARCITIES)
def test_the_split_is_as_configured_within_two_per_cent(
    scarcity: str, estimates: str, share: float
) -> None:
    pool, lane = _pool(SCARCITIES[scarcity](), share)
    clients = {
        f"{kind}-{n}": Crowd(traffic_class=kind) for kind in (INTERACTIVE, BATCH) for n in range(2)
    }
    backlog = Backlog(pool, lane, clients, estimate=ESTIMATES[estimates])
    backlog.serve(tokens=100 * LARGEST)
    batch, total = backlog.sums(_is_batch), backlog.sums(lambda key: True)
    assert batch[-1] / total[-1] == pytest.approx(share / 100, abs=0.02)


_WITHOUT_BURSTS: dict[str, Callable[[], Gate]] = {
    "one slot": lambda: SlotGate("slots", 1),
    "eight slots": lambda: SlotGate("slots", 8),
    "requests": lambda: RateGate("requests", Unit.REQUESTS, rate=30, burst=1),
    "tokens": lambda: RateGate("tokens", Unit.TOKENS, rate=50_000, burst=100),
}
"""So tight that all clients have jobs waiting at any time."""


@settings(max_examples=40, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.01, 1.0, 100.0]), min_size=8, max_size=8),
    sizes=st.lists(st.sampled_from([100.0, 5_000.0, LARGEST, None]), min_size=8, max_size=8),
    interactive=st.integers(1, 7),
    share=st.sampled_from([5.0, 20.0]),
    scarcity=st.sampled_from(list(_WITHOUT_BURSTS)),
    seed=st.integers(0, 1000),
)
def test_batch_is_never_starved_whatever_others_weigh_and_ask_for(
    weights: list[float],
    sizes: list[float | None],
    interactive: int,
    share: float,
    scarcity: str,
    seed: int,
) -> None:
    """In no window does it fall behind its share by more than three of the largest jobs; so with
    its usual share it has its twentieth part of any 20 of them."""

    def size(tokens: float | None) -> Callable[[Random], float]:
        return any_size if tokens is None else lambda random: tokens

    pool, lane = _pool(_WITHOUT_BURSTS[scarcity](), share)
    clients = {
        f"client-{n}": Crowd(
            size=size(tokens),
            weight=weight,
            traffic_class=INTERACTIVE if n < interactive else BATCH,
            waiting=30,
        )
        for n, (weight, tokens) in enumerate(zip(weights, sizes, strict=True))
    }
    backlog = Backlog(pool, lane, clients, seed=seed, seconds=0.05)
    backlog.service.run(20.0)
    batch, total = backlog.sums(_is_batch), backlog.sums(lambda key: True)
    assert total[-1] > 0
    assert largest_gap(batch, total, share / 100) <= 3 * LARGEST


def test_the_same_client_may_use_both_classes() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    for _ in range(200):
        service.offer(lane, "both", traffic_class=INTERACTIVE)
        service.offer(lane, "both", traffic_class=BATCH)
    service.run(99.5)
    kinds = Counter(ticket.key.traffic_class for ticket in service.started)
    assert kinds[INTERACTIVE] == pytest.approx(80, abs=2)
