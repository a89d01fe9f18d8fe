"""Which of the targets with room takes a job, by each strategy; and that none makes a job wait."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from pool_simulation import ListedTicket, ListLane, Service

from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.preferences import Sticky, Weighted, preference_for
from forebay.actors.scheduling.prices import Price
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import FixedWindowGate


def _target(name: str, *gates: Gate) -> PoolTarget:
    """A target with a pool of its own."""
    return Pool(name, gates).add_target("target", (), [Route("host", ())])


def _slots(name: str, slots: int) -> PoolTarget:
    return _target(name, SlotGate("slots", slots))


def _where(tickets: list[ListedTicket]) -> list[str]:
    return [ticket.grants[-1].target.pool.name for ticket in tickets]


def _service(*targets: PoolTarget, seconds: float = 1.0) -> Service:
    return Service(*(target.pool for target in targets), seconds=seconds)


# Balanced.


def test_balanced_keeps_targets_equally_full_relative_to_their_limits() -> None:
    small, large = _slots("small", 4), _slots("large", 12)
    service = _service(small, large, seconds=1000)
    lane = ListLane((small, large), Strategy.BALANCED)
    for number in range(1, 17):
        service.offer(lane, f"client-{number}")
        service.run(0.0)
        if number % 4 == 0:
            assert (small.in_flight, large.in_flight) == (number // 4, 3 * number // 4)


def test_balanced_counts_the_limit_that_has_least_left() -> None:
    tokens = _target("tokens", SlotGate("slots", 100), RateGate("t", Unit.TOKENS, rate=1, burst=90))
    slots = _slots("slots", 3)
    service = _service(tokens, slots, seconds=1000)
    lane = ListLane((tokens, slots), Strategy.BALANCED)
    tickets = []
    for _ in range(5):
        tickets.append(service.offer(lane, "a", 30.0))
        service.run(0.0)
    # After one each both have two thirds left, and so on.
    assert _where(tickets) == ["tokens", "slots", "tokens", "slots", "tokens"]


def test_balanced_takes_the_best_of_several_hosts_for_the_room_of_a_target() -> None:
    pool = Pool("hosts", [])
    full = SlotGate("near", 1)
    routes = [Route("near", (full,)), Route("far", (SlotGate("far", 10),))]
    hosts = pool.add_target("target", [], routes)
    other = _slots("other", 2)
    service = _service(hosts, other, seconds=1000)
    lane = ListLane((other, hosts), Strategy.BALANCED)
    tickets = []
    for _ in range(4):
        tickets.append(service.offer(lane, "a"))
        service.run(0.0)
    assert _where(tickets) == ["other", "hosts", "hosts", "hosts"]


def test_balanced_sends_to_whom_has_less_to_do_where_nobody_has_limits() -> None:
    targets = [_target(name) for name in "abc"]
    service = _service(*targets, seconds=1000)
    lane = ListLane(tuple(targets), Strategy.BALANCED)
    for _ in range(9):
        service.offer(lane, "a")
        service.run(0.0)
    assert [target.in_flight for target in targets] == [3, 3, 3]


def test_every_kind_of_limit_says_how_much_of_it_is_left() -> None:
    told = ToldLimit("told", Unit.REQUESTS)
    learned = LearnedLimit("learned", Random(1), initial_slots=4)
    gates: list[Gate] = [
        SlotGate("slots", 4),
        RateGate("rate", Unit.REQUESTS, rate=0.001, burst=4),
        FixedWindowGate("window", Unit.REQUESTS, limit=4, window=60, ends_at=60),
        learned,
        told,
    ]
    target = _target("target", *gates)
    assert target.room(0.0) == 1
    service = _service(target, seconds=1000)
    lane = ListLane((target,))
    first = service.offer(lane, "a")
    service.run(0.0)
    told.hear(Told(limit=4, remaining=3, resets_in=250, window=1000), first.grants[0].call, 0.0)
    for left in (0.75, 0.5, 0.25):
        assert [gate.room(0.0) for gate in gates] == pytest.approx([left] * 5)
        assert target.room(0.0) == pytest.approx(left)
        service.offer(lane, "a")
        service.run(0.0)
    assert target.room(0.0) == 0


# Cheapest.


def test_cheapest_depends_on_how_much_a_job_reads_and_how_much_it_writes() -> None:
    reads_cheaply, writes_cheaply, unknown = (_slots(name, 9) for name in ("reads", "writes", "?"))
    reads_cheaply.price, writes_cheaply.price = Price(0.5, 10.0), Price(2.0, 3.0)
    service = _service(unknown, reads_cheaply, writes_cheaply)
    lane = ListLane((unknown, writes_cheaply, reads_cheaply), Strategy.CHEAPEST)
    long_prompt = service.offer(lane, "a", 10_000.0, output=100.0)
    long_answer = service.offer(lane, "a", 10_000.0, output=9_000.0)
    service.run(0.0)
    assert _where([long_prompt, long_answer]) == ["reads", "writes"]
    assert Price(2.5, 10.0).of(long_prompt.demand) == pytest.approx(0.02475 + 0.001)


def test_who_tells_no_price_is_the_dearest_and_takes_what_is_left() -> None:
    unknown, dear, cheap = _slots("unknown", 2), _slots("dear", 2), _slots("cheap", 1)
    dear.price, cheap.price = Price(100.0, 100.0), Price(0.0, 0.0)
    service = _service(unknown, dear, cheap)
    lane = ListLane((unknown, dear, cheap), Strategy.CHEAPEST)
    tickets = [service.offer(lane, "a") for _ in range(5)]
    service.run(0.0)
    assert _where(tickets) == ["cheap", "dear", "dear", "unknown", "unknown"]


# Fastest.


class _Race:
    """A lane by ``fastest``; each job's first content comes as late as its target's is now."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.targets = {name: _slots(name, 50) for name in seconds}
        self.service = _service(*self.targets.values(), seconds=0.0)
        self.lane = ListLane(tuple(self.targets.values()), Strategy.FASTEST)

    def ask(self, *, streams: bool = True) -> str:
        ticket = self.service.offer(self.lane, "a", streams=streams)
        self.service.run(self.service.now)
        target = ticket.grants[-1].target
        name = target.pool.name
        self.service.run(self.service.now + self.seconds[name])
        now = self.service.now
        target.first_contents.of(streams=streams).note(self.seconds[name], now)
        return name

    def ask_often(self, times: int, *, pause: float, streams: bool = True) -> Counter[str]:
        counts: Counter[str] = Counter()
        for _ in range(times):
            counts[self.ask(streams=streams)] += 1
            self.service.run(self.service.now + pause)
        return counts


def test_fastest_tries_each_target_once_and_stays_with_the_best() -> None:
    race = _Race(slow=2.0, fast=0.2, middling=0.5)
    assert [race.ask() for _ in range(8)] == ["slow", "fast", "middling", *["fast"] * 5]


def test_an_old_bad_figure_is_corrected() -> None:
    race = _Race(good=0.5, bad=5.0)
    race.ask_often(20, pause=0.1)
    race.seconds["bad"] = 0.1
    served = race.ask_often(600, pause=1.0)
    assert served["bad"] > 300
    assert race.ask() == "bad"


@pytest.mark.parametrize("pause", [0.01, 1.0, 30.0, 600.0])
def test_probing_costs_no_more_than_one_job_in_twenty_and_one_in_a_minute(pause: float) -> None:
    race = _Race(good=0.5, bad=5.0)
    race.ask_often(2, pause=0.0)
    began = race.service.now
    served = race.ask_often(400, pause=pause)
    assert served["bad"] <= min(400 / 20, 1 + (race.service.now - began) / 60)
    assert served["bad"] >= 1 or race.service.now - began < 60


def test_while_a_probe_is_on_its_way_no_other_follows() -> None:
    race = _Race(good=0.5, bad=5.0)
    race.ask_often(2, pause=0.0)
    race.service.run(100.0)
    for _ in range(20):
        race.ask()
    tickets = [race.service.offer(race.lane, "a", streams=True) for _ in range(30)]
    race.service.run(race.service.now)
    assert Counter(_where(tickets))["bad"] <= 1


def test_streams_are_not_compared_with_whole_answers() -> None:
    """A target that happened to be asked for whole answers is no slower for it."""
    race = _Race(first=0.5, second=0.4)
    race.seconds |= {"first": 10.0, "second": 20.0}
    assert [race.ask(streams=False) for _ in range(4)] == ["first", "second", "first", "first"]
    race.seconds |= {"first": 0.5, "second": 0.4}
    assert [race.ask() for _ in range(4)] == ["first", "second", "second", "second"]
    assert race.ask(streams=False) == "first"


# Weighted.


@pytest.mark.parametrize(
    "weights", [(95, 5), (99, 1), (50, 30, 20), (1, 1), (7, 2, 1), (0.95, 0.05)]
)
def test_weights_hold_over_any_hundred_jobs(weights: tuple[float, ...]) -> None:
    targets = [_slots(str(number), 9) for number in range(len(weights))]
    names = [target.full_name for target in targets]
    preference = preference_for(Strategy.WEIGHTED, weights=dict(zip(names, weights, strict=True)))
    service = _service(*targets, seconds=0.1)
    lane = ListLane(tuple(targets), preference)
    tickets = []
    for number in range(500):
        tickets.append(service.offer(lane, f"client-{number % 3}"))
        service.run(service.now + 0.15)
    where = _where(tickets)
    for start in range(400):
        counts = Counter(where[start : start + 100])
        for number, weight in enumerate(weights):
            assert counts[str(number)] == pytest.approx(100 * weight / sum(weights), abs=1)


def test_a_canary_is_not_flooded_after_it_had_no_room() -> None:
    main, canary = _slots("main", 100), _slots("canary", 1)
    preference = preference_for(
        Strategy.WEIGHTED, weights={main.full_name: 90, canary.full_name: 10}
    )
    service = _service(main, canary, seconds=1.0)
    lane = ListLane((main, canary), preference)
    stuck = ListLane((canary,))
    for _ in range(60):
        service.offer(stuck, "other")
    for _ in range(500):
        service.offer(lane, "a")
        service.run(service.now + 0.1)
    service.run(service.now + 20)
    tickets = []
    for _ in range(100):
        tickets.append(service.offer(lane, "a"))
        service.run(service.now + 1.5)
    assert Counter(_where(tickets)) == {"main": 90, "canary": 10}


def test_who_has_no_weight_serves_what_nobody_else_has_room_for() -> None:
    main, spare = _slots("main", 3), _slots("spare", 3)
    lane = ListLane((spare, main), Weighted({main.full_name: 1, spare.full_name: 0}))
    service = _service(main, spare)
    tickets = [service.offer(lane, "a") for _ in range(5)]
    service.run(0.0)
    assert _where(tickets) == ["main", "main", "main", "spare", "spare"]


# Sticky.


@pytest.mark.parametrize("strategy", Strategy)
def test_a_conversation_stays_where_it_is_while_there_is_room(strategy: Strategy) -> None:
    left, right = _slots("left", 2), _slots("right", 2)
    preference = preference_for(
        strategy, weights={left.full_name: 1, right.full_name: 1}, sticky=True
    )
    service = _service(left, right)
    lane = ListLane((left, right), preference)
    # The first takes the one place that is left there, so that the second goes elsewhere.
    blockers = [service.offer(ListLane((left,)), "other") for _ in range(2)]
    service.run(0.0)
    right_one = service.offer(lane, "a", conversation=1)
    service.run(0.0)
    assert _where([*blockers, right_one]) == ["left", "left", "right"]
    for _ in range(10):
        service.run(service.now + 2)
        again = service.offer(lane, "a", conversation=1)
        service.run(service.now)
        assert _where([again]) == ["right"]


@pytest.mark.parametrize("strategy", Strategy)
def test_stickiness_never_costs_waiting(strategy: Strategy) -> None:
    left, right = _slots("left", 1), _slots("right", 1)
    service = _service(left, right)
    lane = ListLane((left, right), preference_for(strategy, sticky=True))
    first = service.offer(lane, "a", conversation=7)
    second = service.offer(lane, "a", conversation=7)
    service.run(0.5)
    assert first.started_at == second.started_at == 0.0
    assert sorted(_where([first, second])) == ["left", "right"]
    third = service.offer(lane, "a", conversation=7)
    service.run(5.0)
    assert third.started_at == 1.0


def test_only_conversations_stick() -> None:
    left, right = _slots("left", 9), _slots("right", 9)
    service = _service(left, right, seconds=1000)
    lane = ListLane((left, right), preference_for(Strategy.BALANCED, sticky=True))
    tickets = []
    for _ in range(6):
        tickets.append(service.offer(lane, "a"))
        service.run(0.0)
    assert Counter(_where(tickets)) == {"left": 3, "right": 3}


def test_with_sticky_conversations_weights_split_the_new_ones() -> None:
    main, canary = _slots("main", 100), _slots("canary", 100)
    weights = {main.full_name: 3, canary.full_name: 1}
    service = _service(main, canary, seconds=0.1)
    lane = ListLane((main, canary), preference_for(Strategy.WEIGHTED, weights=weights, sticky=True))
    homes: dict[int, str] = {}
    random = Random(4)
    for number in range(40):
        for conversation in (number, *random.choices(range(number + 1), k=5)):
            ticket = service.offer(lane, "a", conversation=conversation)
            service.run(service.now + 0.5)
            (where,) = _where([ticket])
            assert homes.setdefault(conversation, where) == where
    assert Counter(homes.values()) == {"main": 30, "canary": 10}


def test_what_is_remembered_of_conversations_is_bounded_and_the_latest_stay() -> None:
    left, right = _slots("left", 9), _slots("right", 9)
    preference = preference_for(Strategy.BALANCED, sticky=True)
    assert isinstance(preference, Sticky)
    service = _service(left, right, seconds=0.1)
    lane = ListLane((left, right), preference)

    def ask(conversation: int) -> str:
        ticket = service.offer(lane, "a", conversation=conversation)
        service.run(service.now)
        (where,) = _where([ticket])
        service.run(service.now + 1)
        return where

    for _ in range(9):
        service.offer(ListLane((left,)), "other")
    for conversation in (0, 1):
        service.offer(lane, "a", conversation=conversation)
    service.run(1.0)
    for conversation in range(2, 5000):
        ask(conversation)
        assert ask(0) == "right"
    assert ask(1) == "left"
    assert preference.conversations == 4096


def test_lanes_of_one_model_share_what_is_remembered() -> None:
    """What a job can be told decides its lane, not where its conversation is."""
    first, second, third = (_slots(name, 9) for name in ("first", "second", "third"))
    preference = preference_for(Strategy.ORDERED, sticky=True)
    service = _service(first, second, third)
    narrow = ListLane((second, third), preference)
    wide = ListLane((first, second, third), preference)
    began = service.offer(narrow, "a", conversation=5)
    service.run(3.0)
    again = service.offer(wide, "a", conversation=5)
    service.run(3.0)
    assert _where([began, again]) == ["second", "second"]


# All of them.


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("strategy", Strategy)
def test_no_strategy_leaves_a_target_idle_while_jobs_wait_for_it(
    strategy: Strategy, sticky: bool
) -> None:
    random = Random(11)
    targets = [_slots(str(number), number + 1) for number in range(3)]
    for target in targets:
        target.price = Price(random.random(), random.random())
    preference = preference_for(
        strategy, weights={target.full_name: 10.0**n for n, target in enumerate(targets)},
        sticky=sticky,
    )  # fmt: skip
    service = _service(*targets)
    lanes = [
        ListLane(tuple(targets), preference),
        ListLane(tuple(targets[::-1]), preference),
        ListLane(tuple(targets[1:]), preference),
    ]
    for number in range(300):
        conversation = random.choice([None, 1, 2, 3, 4])
        service.offer(lanes[number % 3], f"client-{number % 7}", conversation=conversation)
    service.run(30.5)
    # Six calls a second, but for what is waited for at the end.
    assert len(service.started) == 6 * 31
    assert [target.in_flight for target in targets] == [1, 2, 3]


@pytest.mark.parametrize("strategy", Strategy)
def test_a_job_for_one_exhausted_target_holds_up_no_other(strategy: Strategy) -> None:
    spent, free = _slots("spent", 0), _slots("free", 2)
    service = _service(spent, free)
    preference = preference_for(strategy)
    stuck = [service.offer(ListLane((spent,), preference), "a", 1e6) for _ in range(5)]
    both = ListLane((spent, free), preference)
    passing = [service.offer(both, "a") for _ in range(6)]
    service.run(2.0)
    assert [ticket.started_at for ticket in passing] == [0, 0, 1, 1, 2, 2]
    assert not any(ticket.grants for ticket in stuck)
