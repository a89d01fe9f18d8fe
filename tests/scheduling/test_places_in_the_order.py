"""A job's place: first come first served within a client, kept when it is put back, and who may
pass those that are first but have to wait."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_simulation import ListedTicket, ListLane, PoolLoop, Service, one_target

from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.flows import FlowKey, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Ending, Gate, Outcome, Unit
from forebay.actors.scheduling.order import Candidate, Entry, FlowOrder
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.shares import ShareTable
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.standing import Standing
from forebay.actors.scheduling.targets import Route


def _offer(lane: ListLane, client: str, tokens: float = 100.0) -> ListedTicket:
    ticket = ListedTicket(
        FlowKey(client, TrafficClass.INTERACTIVE), tokens, lambda ticket, grant: None
    )
    lane.offer(ticket)
    return ticket


def _refuse(lane: ListLane, ticket: ListedTicket, now: float) -> None:
    """As the gateway does: back to its place, then give the permit back."""
    grant = ticket.grants[-1]
    lane.offer(ticket)
    grant.finish(Outcome(ending=Ending.REFUSED), served=False, now=now)


def _serve(ticket: ListedTicket, now: float) -> None:
    ticket.grants[-1].finish(Outcome(ending=Ending.SERVED, tokens=100), served=True, now=now)


@settings(max_examples=40, deadline=None)
@given(jobs=st.lists(st.tuples(st.integers(0, 2), st.floats(1, 900)), max_size=40))
def test_within_a_client_first_come_is_first_served_whatever_model_it_asks_for(
    jobs: list[tuple[int, float]],
) -> None:
    pool = Pool("pool", [SlotGate("slots", 3)])
    lanes = [
        ListLane((pool.add_target(f"model-{number}", [], [Route("host", ())]),))
        for number in range(3)
    ]
    service = Service(pool)
    tickets = [service.offer(lanes[model], "client", tokens) for model, tokens in jobs]
    service.run(100)
    assert service.started == tickets


# Put back.


def test_a_job_that_is_put_back_is_the_next_of_its_client() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    tickets = [_offer(lane, "client") for _ in range(3)]
    for attempt in range(5):
        pool.pump(float(attempt))
        assert [len(ticket.grants) for ticket in tickets] == [attempt + 1, 0, 0]
        _refuse(lane, tickets[0], float(attempt))
    pool.pump(5.0)
    _serve(tickets[0], 5.0)
    pool.pump(6.0)
    assert [len(ticket.grants) for ticket in tickets] == [6, 1, 0]


def test_jobs_that_are_put_back_in_any_order_stand_in_the_old_one() -> None:
    pool, lane = one_target(slots := SlotGate("slots", 4))
    tickets = [_offer(lane, "client") for _ in range(6)]
    pool.pump(0.0)
    slots.slots = 1
    for number in (2, 0, 3, 1):
        _refuse(lane, tickets[number], 0.0)
    order: list[ListedTicket] = []
    for second in range(1, 7):
        pool.pump(float(second))
        (granted,) = (ticket for ticket in tickets if ticket.state is TicketState.GRANTED)
        order.append(granted)
        _serve(granted, float(second))
        granted.state = TicketState.GONE
    assert order == tickets


@pytest.mark.parametrize("others", [1, 5])
def test_a_refusal_does_not_cost_a_client_its_turn(others: int) -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    first = _offer(lane, "refused")
    queued = [_offer(lane, f"other-{number}") for number in range(others) for _ in range(5)]
    pool.pump(0.0)
    assert first.grants
    _refuse(lane, first, 0.5)
    pool.pump(1.0)
    assert len(first.grants) == 2
    assert not any(ticket.grants for ticket in queued)


def test_a_refusal_that_comes_late_gives_no_right_to_what_others_got_meanwhile() -> None:
    pool, lane = one_target(slots := SlotGate("slots", 2))
    refused = _offer(lane, "refused")
    others = [_offer(lane, "other") for _ in range(60)]
    for second in range(40):
        pool.pump(float(second))
        _serve(others[second], float(second))
    pool.pump(40.0)
    slots.slots = 1
    _serve(others[40], 41.0)
    own = [refused, *(_offer(lane, "refused") for _ in range(20))]
    _refuse(lane, refused, 41.0)
    turns: list[str] = []
    for second in range(42, 52):
        pool.pump(float(second))
        waiting = [*own, *others[41:]]
        (granted,) = (ticket for ticket in waiting if ticket.state is TicketState.GRANTED)
        turns.append(granted.client)
        _serve(granted, float(second))
        granted.state = TicketState.GONE
    assert turns[0] == "refused"
    assert turns.count("other") >= 4


# Passing.


class _TwoModels:
    """A pool with two targets, that have gates of their own and in common, and a lane for each."""

    def __init__(self, common: list[Gate], first: list[Gate], second: list[Gate]) -> None:
        self.pool = Pool("pool", common)
        self.first = ListLane((self.pool.add_target("first", first, [Route("host", ())]),))
        self.second = ListLane((self.pool.add_target("second", second, [Route("host", ())]),))


def test_nobody_passes_who_takes_what_the_first_waits_for() -> None:
    """Many small jobs would else keep the bucket too empty for the large one for ever."""
    tokens = RateGate("tokens", Unit.TOKENS, rate=100, burst=1000)
    models = _TwoModels([tokens], [], [])
    service = Service(models.pool)
    service.offer(models.first, "small", 500.0)
    service.run(0.0)
    large = service.offer(models.first, "large", 1000.0)
    small = [service.offer(models.second, "small", 10.0) for _ in range(50)]
    service.run(20)
    # 500 tokens are missing, and come in 5 s.
    assert large.started_at == pytest.approx(5.0)
    assert min(ticket.started_at or 0.0 for ticket in small) >= 5.0


def test_who_takes_nothing_that_the_first_waits_for_passes() -> None:
    cooldown = SlotGate("of the first", 0)
    models = _TwoModels([SlotGate("slots", 8)], [cooldown], [])
    stuck = [_offer(models.first, "a") for _ in range(3)]
    passing = [_offer(models.second, client) for client in "ab"]
    assert models.pool.pump(0.0) == inf
    assert not any(ticket.grants for ticket in stuck)
    assert all(ticket.grants for ticket in passing)


def test_a_job_that_could_start_waits_behind_the_first_for_a_common_gate() -> None:
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=100)
    models = _TwoModels([tokens], [], [])
    _offer(models.first, "a", 100.0)
    models.pool.pump(0.0)
    first = _offer(models.first, "b", 50.0)
    second = _offer(models.second, "c", 10.0)
    assert models.pool.pump(20.0) == pytest.approx(50.0)
    assert first.grants == second.grants == []
    models.pool.pump(60.0)
    assert first.grants
    assert second.grants


def test_nobody_takes_a_route_that_the_first_waits_for() -> None:
    """The first waits for either host; a smaller job would fit one of them now."""

    def tokens(name: str, burst: float) -> RateGate:
        return RateGate(name, Unit.TOKENS, rate=1, burst=burst)

    near, far, own = tokens("near", 100), tokens("far", 60), SlotGate("own", 9)
    pool = Pool("pool", [])
    both = ListLane((pool.add_target("both", [], [Route("near", (near,)), Route("far", (far,))]),))
    other = pool.add_target("other", [], [Route("near", (near,)), Route("own", (own,))])
    for _ in range(2):
        _offer(both, "a", 60.0)
    pool.pump(0.0)
    first = _offer(both, "b", 90.0)
    small = _offer(ListLane((other,)), "c", 10.0)
    pool.pump(0.0)
    assert not first.grants
    assert [grant.route.host for grant in small.grants] == ["own"]


def test_a_host_that_is_closed_is_gone_around() -> None:
    near, far = Cooldown("near", Random(1)), SlotGate("far", 1)
    pool = Pool("pool", [])
    target = pool.add_target("t", [], [Route("near", (near,)), Route("far", (far,))])
    lane = ListLane((target,))
    near.close_for(10, 0.0)
    tickets = [_offer(lane, "a") for _ in range(2)]
    assert pool.pump(0.0) == 10.0
    assert [[grant.route.host for grant in ticket.grants] for ticket in tickets] == [["far"], []]
    pool.pump(10.0)
    assert tickets[1].grants[0].route.host == "near"


def test_a_canceled_job_frees_those_behind_it() -> None:
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=100)
    pool, lane = one_target(tokens)
    service = Service(pool)
    service.offer(lane, "a", 50.0)
    service.run(1.0)
    large = service.offer(lane, "a", 90.0)
    small = service.offer(lane, "a", 10.0)
    service.run(2.0)
    assert small.started_at is None
    lane.cancel(large)
    service.run(2.0)
    assert small.started_at == 2.0


def test_a_gate_that_opens_when_a_call_is_accepted_lets_the_next_in_at_once() -> None:
    """A probe's answer may stream for minutes: those who wait need not wait for its end."""
    breaker = CircuitBreaker("b", Random(1), failures_to_open=1, initial_pause=1.0)
    pool, lane = one_target(breaker)
    service = PoolLoop(pool)
    broken = _offer(lane, "a")
    service.run(0.0)
    broken.grants[0].finish(Outcome(ending=Ending.FAILED), served=False, now=0.0)
    probe, *others = (_offer(lane, client) for client in "abc")
    service.run(5.0)
    assert probe.grants
    assert not any(ticket.grants for ticket in others)
    probe.grants[0].accepted(5.0)
    service.run(5.0)
    assert all(ticket.grants for ticket in others)


# Grants.


def test_a_grant_ends_once() -> None:
    pool, lane = one_target(gate := SlotGate("slots", 2))
    ticket = _offer(lane, "a")
    pool.pump(0.0)
    for _ in range(3):
        ticket.grants[0].finish(Outcome(ending=Ending.SERVED), served=True, now=1.0)
        ticket.grants[0].accepted(1.0)
    assert gate.taken == 0
    assert lane.targets[0].in_flight == 0
    assert lane.targets[0].idle


# Memory.


def test_flows_behind_a_closed_target_take_no_memory_with_time() -> None:
    """Each settlement of their client elsewhere gives them a new entry."""
    shares: ShareTable[str] = ShareTable()
    order = FlowOrder(shares)
    _, lane = one_target()
    for client in "abc":
        _offer(lane, client)
    entries = [
        Entry(flow, Standing(shares.enter(flow.key.client, 1.0))) for flow in lane.flows.values()
    ]
    for entry in entries:
        order.add(entry)
    for _ in range(5000):
        entries[1].live = False
        entries[1] = Entry(entries[1].flow, entries[1].standing)
        order.add(entries[1])
    assert len(order) <= 100
    first = order.first()
    assert isinstance(first, Candidate)
    assert first.entry is entries[0]
