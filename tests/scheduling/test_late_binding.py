"""Jobs that several targets can serve are bound when they start, by strategies that never make
them wait; and nobody waits for a job that has gone elsewhere."""

from __future__ import annotations

from collections import Counter
from math import inf
from random import Random

import pytest
from pool_simulation import ListedTicket, ListLane, PoolLoop, Service, one_target

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.forecasts import forecast
from forebay.actors.scheduling.gates import Demand, Gate, Unit
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import PoolTarget, Route


def _target(name: str, *gates: Gate) -> PoolTarget:
    """A target with a pool of its own."""
    return Pool(name, gates).add_target("target", (), [Route("host", ())])


def _slots(name: str, slots: int) -> PoolTarget:
    return _target(name, SlotGate("slots", slots))


def _where(tickets: list[ListedTicket]) -> Counter[str]:
    return Counter(ticket.grants[-1].target.pool.name for ticket in tickets)


def test_ordered_overflows_to_the_next_only_while_the_first_is_full() -> None:
    first, second = _slots("first", 2), _slots("second", 3)
    service = Service(first.pool, second.pool)
    lane = ListLane((first, second), Strategy.ORDERED)
    tickets = [service.offer(lane, "a") for _ in range(4)]
    service.run(0.5)
    assert _where(tickets) == {"first": 2, "second": 2}
    service.run(5)
    single = []
    for _ in range(5):
        single.append(service.offer(lane, "a"))
        service.run(service.now + 2)
    assert _where(single) == {"first": 5}


@pytest.mark.parametrize("strategy", Strategy)
def test_all_targets_are_used_fully_while_jobs_wait(strategy: Strategy) -> None:
    first, second = _slots("first", 2), _slots("second", 5)
    service = Service(first.pool, second.pool)
    lane = ListLane((first, second), strategy)
    for number in range(150):
        service.offer(lane, f"client-{number % 4}")
    service.run(9.5)
    assert _where(service.started) == {"first": 20, "second": 50}


def test_balanced_takes_whoever_has_room_when_a_job_comes() -> None:
    first, second = _slots("first", 1), _slots("second", 1)
    service = Service(first.pool, second.pool)
    lane = ListLane((first, second), Strategy.BALANCED)
    tickets = [service.offer(lane, "a") for _ in range(2)]
    service.run(0.5)
    assert _where(tickets) == {"first": 1, "second": 1}
    assert all(ticket.waited == 0 for ticket in tickets)


def test_a_waiting_job_goes_to_whichever_target_is_free_first() -> None:
    hour = _target("hour", cooldown := Cooldown("c", Random(1)))
    soon = _target("soon", RateGate("r", Unit.REQUESTS, rate=0.5, burst=1))
    service = Service(hour.pool, soon.pool)
    cooldown.close_for(3600, 0.0)
    lane = ListLane((hour, soon), Strategy.ORDERED)
    tickets = [service.offer(lane, "a") for _ in range(3)]
    service.run(10)
    assert [ticket.started_at for ticket in tickets] == pytest.approx([0, 2, 4])
    assert _where(tickets) == {"soon": 3}


def test_a_later_target_takes_over_when_the_earlier_one_closes() -> None:
    """A job that was left to another target is not forgotten."""
    first = _target("first", cooldown := Cooldown("c", Random(1)))
    second = _slots("second", 1)
    loop = PoolLoop(first.pool, second.pool)
    lane = ListLane((first, second), Strategy.ORDERED)
    tickets = [
        ListedTicket(FlowKey("a", TrafficClass.INTERACTIVE), 10.0, lambda ticket, grant: None)
        for _ in range(3)
    ]
    lane.offer(tickets[0])
    assert second.pool.pump(0.0) == inf  # leaves it to the first
    assert not tickets[0].grants
    cooldown.close_for(60, 0.0)
    loop.settle()
    assert _where(tickets[:1]) == {"second": 1}


def test_two_targets_of_one_pool_share_a_lane() -> None:
    pool = Pool("pool", [])
    slots = [SlotGate("slots", number) for number in (1, 2)]
    targets = [pool.add_target(str(n), [slots[n]], [Route("host", ())]) for n in range(2)]
    service = Service(pool)
    lane = ListLane(tuple(targets), Strategy.ORDERED)
    tickets = [service.offer(lane, "a") for _ in range(9)]
    service.run(2.5)
    assert Counter(ticket.grants[0].target.name for ticket in tickets) == {"0": 3, "1": 6}
    late = service.offer(lane, "a")
    service.run(9)
    assert late.grants[0].target is targets[0]


@pytest.mark.parametrize("strategy", Strategy)
def test_opposite_orders_do_not_play_ping_pong(strategy: Strategy) -> None:
    left, right = _slots("left", 1), _slots("right", 1)
    service = Service(left.pool, right.pool)
    lanes = [ListLane((left, right), strategy), ListLane((right, left), strategy)]
    for number in range(100):
        service.offer(lanes[number % 2], f"client-{number % 5}")
    service.run(60)
    assert len(service.started) == 100
    # Two pumps for each of the jobs, come and gone, and some for what pools leave to each other.
    assert service.pumps <= 8 * 100
    ours = [ticket for ticket in service.started if ticket.grants[0].target.pool is left.pool]
    assert len(ours) == 50


def test_jobs_of_opposite_lanes_both_get_their_first_choice() -> None:
    left, right = _slots("left", 1), _slots("right", 1)
    service = Service(left.pool, right.pool)
    forth = service.offer(ListLane((left, right)), "a")
    back = service.offer(ListLane((right, left)), "b")
    service.run(0.0)
    assert forth.grants[0].target is left
    assert back.grants[0].target is right


# Nobody waits for nothing.


def test_a_large_job_that_another_pool_took_bars_nobody() -> None:
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=1000)
    first, second = _target("first", tokens), _slots("second", 1)
    service = Service(first.pool, second.pool, seconds=50)
    both, only_first = ListLane((first, second)), ListLane((first,))
    for lane in (both, both):
        service.offer(lane, "a", 950.0)
    service.run(1)
    large = service.offer(both, "b", 900.0)
    small = service.offer(only_first, "c", 10.0)
    service.run(40)
    assert small.started_at is None  # the first still waits for the tokens
    service.run(60)
    assert large.grants[0].target is second
    assert small.started_at == large.started_at == 50.0


def test_a_large_job_that_another_target_of_the_pool_took_bars_nobody() -> None:
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=1000)
    pool = Pool("pool", [])
    near = pool.add_target("near", [tokens], [Route("host", ())])
    far = pool.add_target("far", [], [Route("host", ())])
    service = Service(pool)
    service.offer(ListLane((near,)), "a", 950.0)
    service.run(0)
    large = service.offer(ListLane((near, far)), "b", 900.0)
    small = service.offer(ListLane((near,)), "c", 10.0)
    service.run(0)
    assert large.grants[0].target is far
    assert small.grants[0].target is near


def test_a_model_that_cools_down_holds_up_no_other_of_the_account() -> None:
    """Though the account's bucket is empty, too, in the moment when its first job is looked at."""
    requests = RateGate("requests", Unit.REQUESTS, rate=10, burst=1)
    pool = Pool("pool", [requests])
    cooldown = Cooldown("c", Random(1))
    cold = ListLane((pool.add_target("cold", [cooldown], [Route("host", ())]),))
    warm = ListLane((pool.add_target("warm", [], [Route("host", ())]),))
    service = Service(pool, seconds=1000)
    cooldown.close_for(600, 0.0)
    service.offer(warm, "a")
    service.run(0.0)
    service.offer(cold, "b")
    waiting = [service.offer(warm, "a") for _ in range(3)]
    service.run(10)
    assert [ticket.started_at for ticket in waiting] == pytest.approx([0.1, 0.2, 0.3])


def test_a_target_that_is_taken_out_bars_nobody() -> None:
    tokens = RateGate("tokens", Unit.TOKENS, rate=1, burst=1000)
    pool = Pool("pool", [tokens])
    gone = pool.add_target("gone", [], [Route("host", ())])
    stays = pool.add_target("stays", [], [Route("host", ())])
    service = Service(pool)
    service.offer(lane := ListLane((gone,)), "a", 1000.0)
    service.run(100)
    service.offer(lane, "a", 1000.0)
    small = service.offer(ListLane((stays,)), "b", 10.0)
    service.run(200)
    assert not small.grants
    pool.take_out(gone, "no credit")
    service.run(200)
    assert small.started_at == 200
    assert lane.told_of_outage == 1
    assert not gone.has_room(Demand(1.0), 1e9)


def test_an_account_that_is_taken_out_grants_nothing_any_more() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    service = Service(pool)
    tickets = [service.offer(lane, "a") for _ in range(3)]
    service.run(0.5)
    pool.take_out_all("the key is dead")
    service.run(10)
    assert [len(ticket.grants) for ticket in tickets] == [1, 0, 0]
    later = pool.add_target("later", [], [Route("host", ())])
    assert later.out == "the key is dead"


def test_a_thousand_grants_come_in_several_pumps() -> None:
    pool, lane = one_target()
    service = Service(pool)
    for number in range(1000):
        service.offer(lane, f"client-{number % 7}")
    assert pool.pump(0.0) == 0.0
    assert 0 < len(service.started) < 1000
    service.run(0.0)
    assert len(service.started) == 1000


def test_an_idle_target_can_be_removed_and_one_in_use_cannot() -> None:
    pool, lane = one_target(SlotGate("slots", 1))
    target = lane.targets[0]
    service = Service(pool)
    service.offer(lane, "a")
    with pytest.raises(ValueError, match="'target' is in use"):
        pool.remove_target(target)
    service.run(0.0)
    with pytest.raises(ValueError, match="'target' is in use"):
        pool.remove_target(target)
    service.run(5.0)
    pool.remove_target(target)
    assert pool.targets == {}
    with pytest.raises(ValueError, match="'none' needs at least one route"):
        pool.add_target("none", [], [])


def test_what_a_job_waits_for_is_told_with_the_longest_wait() -> None:
    requests = RateGate("requests", Unit.REQUESTS, rate=1, burst=1)
    slots = [SlotGate("near slots", 1), SlotGate("far slots", 1)]
    pool = Pool("pool", [requests])
    target = pool.add_target("t", [], [Route("near", (slots[0],)), Route("far", (slots[1],))])
    service = Service(pool, seconds=30)
    lane = ListLane((target,))
    tickets = [service.offer(lane, "a") for _ in range(4)]
    service.run(1.0)
    expected = forecast(lane, lane.flows[tickets[-1].key], tickets[-1], 1.0)
    assert expected is not None
    assert expected.gate is requests
    assert expected.target is target
    assert expected.position == 2
    assert expected.seconds == pytest.approx(2.0)


def test_a_job_that_was_granted_elsewhere_bars_nobody_where_all_are_barred_by_then() -> None:
    slots = SlotGate("slots", 1)
    tokens = RateGate("tpm", Unit.TOKENS, rate=1, burst=1000)
    pool = Pool("pool", [slots])
    routes = [Route("host", ())]
    small, large = pool.add_target("small", [tokens], routes), pool.add_target("large", [], routes)
    loop = Service(pool)
    loop.offer(ListLane((small,)), "other", 900)
    loop.run(1)
    assert not slots.taken
    first = loop.offer(ListLane((small, large)), "client", 500)
    second = loop.offer(ListLane((large,)), "client", 500)
    assert pool.pump(loop.now) == inf
    assert first.grants
    assert not second.grants
    assert pool.blocked == {slots}
