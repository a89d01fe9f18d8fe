"""A client orders its own jobs by priority, and nobody else's are touched by it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_simulation import ListedTicket, ListLane, Service, one_target

from forebay.actors.scheduling.flows import FlowKey, Priority, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Ending, Outcome, Unit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.shares import ShareTable
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.standing import Standing
from forebay.actors.scheduling.targets import Route

HIGH, NORMAL, LOW = Priority


def _two_models(slots: int = 1) -> tuple[Pool, list[ListLane]]:
    pool = Pool("pool", [SlotGate("slots", slots)])
    targets = [pool.add_target(f"model-{n}", [], [Route("host", ())]) for n in range(2)]
    return pool, [ListLane((target,)) for target in targets]


@settings(max_examples=60, deadline=None)
@given(jobs=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(Priority)), max_size=30))
def test_a_clients_jobs_start_by_priority_and_then_as_they_came_whatever_model_they_ask_for(
    jobs: list[tuple[int, Priority]],
) -> None:
    pool, lanes = _two_models()
    service = Service(pool)
    first = service.offer(lanes[0], "client")
    service.run(0.0)
    tickets = [service.offer(lanes[model], "client", priority=p) for model, p in jobs]
    service.run(100)
    expected = sorted(tickets, key=lambda ticket: (ticket.key.priority.precedence, ticket.arrival))
    assert service.started == [first, *expected]


@pytest.mark.parametrize("seed", range(8))
def test_the_turns_of_other_clients_are_the_same_whatever_a_client_thinks_of_its_jobs(
    seed: int,
) -> None:
    """But that in each round its turn is where its oldest job stands, which is then not the one
    that is served."""

    def turns(priorities: list[Priority]) -> list[str]:
        random = Random(seed)
        pool, lanes = _two_models(slots=1 + seed % 3)
        service = Service(pool)
        for number in range(120):
            client = random.choice(["orders", "other", "third"])
            priority = priorities[number] if client == "orders" else NORMAL
            service.offer(random.choice(lanes), client, priority=priority)
            service.run(service.now + random.choice([0.0, 0.0, 0.3]))
        service.run(500)
        assert len(service.started) == 120
        return list(service.started_clients())

    usual = turns([NORMAL] * 120)
    assert turns([HIGH] * 120) == turns([LOW] * 120) == usual
    mixed = turns(Random(seed).choices(list(Priority), k=120))
    for number in range(120):
        for client in ("orders", "other", "third"):
            assert abs(mixed[:number].count(client) - usual[:number].count(client)) <= 1


def test_high_priority_does_not_pass_the_jobs_of_others() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    for client in ("busy", "quiet", "pushing"):
        service.offer(lane, client)
    for client in ("quiet", "pushing"):
        for _ in range(2):
            service.offer(lane, client, priority=HIGH if client == "pushing" else NORMAL)
    service.run(10)
    turns = service.started_clients()
    assert turns[:3] == ["busy", "quiet", "pushing"]
    assert sorted(turns[3:5]) == sorted(turns[5:7]) == ["pushing", "quiet"]
    assert [t.key.priority for t in service.started if t.client == "pushing"] == [
        HIGH,
        HIGH,
        NORMAL,
    ]


def test_a_young_job_of_high_priority_starts_in_the_place_of_its_clients_oldest() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    service.offer(lane, "busy")
    service.run(0.0)
    service.offer(lane, "a", priority=LOW)
    for client in ("b", "c"):
        service.offer(lane, client)
    urgent = service.offer(lane, "a", priority=HIGH)
    service.run(1.0)
    assert service.started[1] is urgent
    service.run(10.0)
    assert service.started_clients() == ["busy", "a", "b", "c", "a"]


def test_a_job_that_is_put_back_keeps_its_place_among_those_of_its_priority() -> None:
    pool, lane = one_target(slots := SlotGate("slots", 2))

    def offer(priority: Priority) -> ListedTicket:
        key = FlowKey("a", TrafficClass.INTERACTIVE, priority)
        ticket = ListedTicket(key, 100.0, lambda ticket, grant: None)
        lane.offer(ticket)
        return ticket

    low, normal = offer(LOW), offer(NORMAL)
    pool.pump(0.0)
    later = [offer(priority) for priority in (LOW, NORMAL, HIGH)]
    slots.slots = 1
    for ticket in (normal, low):
        lane.offer(ticket)
        ticket.grants[-1].finish(Outcome(ending=Ending.REFUSED), served=False, now=0.0)
    order: list[ListedTicket] = []
    for second in range(1, 6):
        pool.pump(float(second))
        for ticket in (low, normal, *later):
            if ticket.state is TicketState.GRANTED:
                order.append(ticket)
                outcome = Outcome(ending=Ending.SERVED, tokens=100)
                ticket.state = TicketState.GONE
                ticket.grants[-1].finish(outcome, served=True, now=float(second))
                break
    assert order == [later[2], normal, later[1], low, later[0]]


def test_what_has_low_priority_bars_nobody_of_its_client() -> None:
    """A large job that comes first and waits for tokens is passed by one of higher priority, if
    that can start."""
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=100)
    pool, lane = one_target(tokens)
    service = Service(pool)
    service.offer(lane, "a", 80.0)
    service.run(0.0)
    large = service.offer(lane, "a", 90.0, priority=LOW)
    service.run(1.0)
    assert large.started_at is None
    urgent = service.offer(lane, "a", 10.0, priority=HIGH)
    service.run(1.0)
    assert urgent.started_at == 1.0
    service.run(100.0)
    assert large.started_at == pytest.approx(80.0)


def test_classes_of_traffic_come_before_priorities() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    for number in range(400):
        kind = TrafficClass.BATCH if number % 2 else TrafficClass.INTERACTIVE
        service.offer(lane, "a", traffic_class=kind, priority=HIGH if number % 2 else LOW)
    service.run(99.5)
    batch = [t for t in service.started if t.key.traffic_class is TrafficClass.BATCH]
    assert len(batch) == pytest.approx(20, abs=2)


def test_a_standing_takes_no_memory_with_time() -> None:
    """A job of one priority that is refused for ever, while those of another wait."""
    _, lane = one_target()
    key = FlowKey("a", TrafficClass.INTERACTIVE)
    standing = Standing(ShareTable[str]().enter("a", 1.0))
    old, young = (
        ListedTicket(FlowKey("a", key.traffic_class, priority), 1.0, lambda ticket, grant: None)
        for priority in (LOW, HIGH)
    )
    for ticket in (young, old):
        lane.offer(ticket)
        standing.enter(lane.flows[ticket.key])
    flow = lane.flows[old.key]
    for _ in range(5000):
        assert standing.oldest() == old.arrival
        flow.take_head()
        assert standing.oldest() == young.arrival
        lane.offer(old)
        assert standing.note(flow)
    assert standing.noted <= 40
    standing.leave(flow)
    assert not standing.is_mixed
