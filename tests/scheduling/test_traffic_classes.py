"""Interactive and batch traffic split a pool 80 to 20, and borrow what the other leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from pool_simulation import BATCH, INTERACTIVE, ListedTicket, ListLane, Service, one_target

from forebay.actors.scheduling.flows import TrafficClass
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


def test_the_same_client_may_use_both_classes() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    for _ in range(200):
        service.offer(lane, "both", traffic_class=INTERACTIVE)
        service.offer(lane, "both", traffic_class=BATCH)
    service.run(99.5)
    kinds = Counter(ticket.key.traffic_class for ticket in service.started)
    assert kinds[INTERACTIVE] == pytest.approx(80, abs=2)
