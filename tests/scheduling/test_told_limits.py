"""Limits that the provider tells with every answer: nearly all used, nearly nothing refused."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from random import Random

import pytest
from pool_simulation import ListLane
from telling_upstream import Quota, TellingUpstream

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import NOTHING_AHEAD, Call, Demand, Ending, Outcome, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import Route
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import Shape

HOUR = 3600.0
WARM_UP = 120.0


def mixed(random: Random) -> Demand:
    """From 100 to 100,000 tokens, most of them small; a fifth of it output."""
    tokens = 100 * exp(random.random() ** 2 * 6.9)
    return Demand(tokens, tokens / 5)


def alike(random: Random) -> Demand:
    return Demand(1000.0, 200.0)


@dataclass(frozen=True)
class Case:
    name: str
    quotas: tuple[tuple[Unit, float, Shape, float | None], ...]
    sizes: object = alike
    latency: float = 1.0


CASES = [
    Case("requests", ((Unit.REQUESTS, 600, Shape.SMOOTH, None),)),
    Case("requests in small bursts", ((Unit.REQUESTS, 600, Shape.SMOOTH, 10),)),
    Case("requests, slow answers", ((Unit.REQUESTS, 60, Shape.SMOOTH, 10),), latency=20.0),
    Case("requests in fixed windows", ((Unit.REQUESTS, 600, Shape.FIXED, None),)),
    Case("tokens, mixed sizes", ((Unit.TOKENS, 2_000_000, Shape.SMOOTH, None),), mixed),
    Case("input apart", ((Unit.INPUT_TOKENS, 1_000_000, Shape.SMOOTH, None),), mixed),
    Case("output apart", ((Unit.OUTPUT_TOKENS, 200_000, Shape.SMOOTH, None),), mixed),
    Case(
        "all at once, tokens the bottleneck",
        (
            (Unit.TOKENS, 1_000_000, Shape.SMOOTH, None),
            (Unit.REQUESTS, 6000, Shape.SMOOTH, None),
        ),
        mixed,
    ),
]


def plant(case: Case, seed: int = 1) -> TellingUpstream:
    random = Random(seed)
    pool = Pool("pool", ())
    cooldown = Cooldown("cooldown", random)
    learned = LearnedLimit("learned", random, cooldown=cooldown)
    target = pool.add_target("target", (), [Route("host", (cooldown, learned))])
    gates = []
    for unit, *_ in case.quotas:
        gates.append(ToldLimit(f"{unit} told", unit))
        target.add_gate(gates[-1])
    assert callable(case.sizes)
    upstream = TellingUpstream(
        pool,
        ListLane((target,)),
        [Quota(unit, limit, shape=shape, burst=burst) for unit, limit, shape, burst in case.quotas],
        gates=gates,
        sizes=case.sizes,
        latency=lambda drawn: case.latency * (0.5 + drawn.random()),
        seed=seed,
    )
    upstream.keep_waiting(clients=5, jobs=40)
    return upstream


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_over_an_hour_the_quota_is_used_and_few_calls_are_refused(case: Case) -> None:
    upstream = plant(case)
    upstream.run(WARM_UP)
    used = upstream.quotas[0].used
    upstream.run(HOUR)
    assert upstream.used_share(upstream.quotas[0], WARM_UP, used) >= 0.995
    assert upstream.refused <= 0.01 * (upstream.refused + upstream.accepted)


@pytest.mark.parametrize("unit", [Unit.REQUESTS, Unit.TOKENS])
def test_a_limit_that_halves_and_doubles_is_followed(unit: Unit) -> None:
    limit = 600.0 if unit is Unit.REQUESTS else 600_000.0
    upstream = plant(Case("moving", ((unit, limit, Shape.SMOOTH, limit / 60),)))
    quota = upstream.quotas[0]
    upstream.run(600)
    for changed_at, new in ((600, limit / 2), (1200, limit)):
        quota.change(new, new / 60, upstream.now)
        upstream.run(changed_at + 120)
        used, refused = quota.used, upstream.refused
        upstream.run(changed_at + 600)
        assert upstream.used_share(quota, changed_at + 120, used) >= 0.995
        assert upstream.refused - refused <= 5


def gate_at_work(*started: float) -> tuple[ToldLimit, list[Call]]:
    gate = ToldLimit("told", Unit.REQUESTS)
    calls = [Call(Demand(10.0), at) for at in started]
    for call in calls:
        gate.take(call, call.started_at)
    return gate, calls


def available(gate: ToldLimit, now: float) -> float:
    level = gate.snapshot(now)["available"]
    assert isinstance(level, float)
    return level


def test_trap_117_an_older_answer_that_comes_later_does_not_raise_the_estimate() -> None:
    gate, [older, newer] = gate_at_work(0.0, 1.0)
    gate.hear(Told(limit=60, remaining=5, window=60), newer, now=2.0)
    before = available(gate, 2.0)
    gate.hear(Told(limit=60, remaining=59, window=60), older, now=2.0)
    assert available(gate, 2.0) == before == 5


def test_calls_that_the_provider_had_not_seen_are_taken_off_what_it_says() -> None:
    gate, [seen, *_] = gate_at_work(0.0, 1.0, 1.5)
    gate.hear(Told(limit=60, remaining=10, window=60), seen, now=2.0)
    assert available(gate, 2.0) == 8


def test_less_than_thought_counts_at_once_and_more_by_halves() -> None:
    gate, [first] = gate_at_work(0.0)
    gate.hear(Told(limit=600, remaining=500, window=60), first, now=0.0)
    second, third = Call(Demand(1.0), 0.0), Call(Demand(1.0), 0.0)
    gate.take(second, 0.0)
    gate.take(third, 0.0)
    assert available(gate, 0.0) == 498
    gate.hear(Told(limit=600, remaining=100, window=60), second, now=0.0)
    assert available(gate, 0.0) == 99
    gate.hear(Told(limit=600, remaining=499, window=60), third, now=0.0)
    assert available(gate, 0.0) == pytest.approx((99 + 499) / 2)


def test_an_error_that_several_calls_tell_of_is_corrected_once() -> None:
    gate, [first] = gate_at_work(0.0)
    gate.hear(Told(limit=600, remaining=500, window=60), first, now=0.0)
    calls = [Call(Demand(1.0), 0.0) for _ in range(5)]
    for call in calls:
        gate.take(call, 0.0)
    for number, call in enumerate(calls, 1):
        gate.hear(Told(limit=600, remaining=400 - number, window=60), call, now=0.0)
    assert available(gate, 0.0) == 395


def test_an_answer_that_took_long_is_read_for_what_it_was() -> None:
    """Ten seconds later the bucket is full again, whatever it held then."""
    gate, [first] = gate_at_work(0.0)
    gate.hear(Told(limit=60, remaining=9, window=60), first, now=0.0)
    slow = Call(Demand(1.0), 0.0)
    gate.take(slow, 0.0)
    assert available(gate, 0.0) == 8
    gate.hear(Told(limit=60, remaining=8, window=60), slow, now=20.0)
    assert available(gate, 20.0) == 10


def test_a_spent_window_of_hours_is_waited_for() -> None:
    gate, [call] = gate_at_work(0.0)
    told = Told(limit=50, remaining=0, resets_in=5 * HOUR, window=86_400, shape=Shape.FIXED)
    gate.hear(told, call, now=1.0)
    assert gate.ready_at(Demand(1.0), 2.0) == 1 + 5 * HOUR
    assert gate.expected_wait(NOTHING_AHEAD, Demand(1.0), 2.0) == pytest.approx(5 * HOUR - 1)
    assert gate.ready_at(Demand(1.0), 1 + 5 * HOUR) <= 1 + 5 * HOUR


def test_only_that_nothing_is_left_bounds_where_no_limit_was_told() -> None:
    gate, [call] = gate_at_work(0.0)
    gate.hear(Told(remaining=3, resets_in=100.0, shape=Shape.FIXED), call, now=0.0)
    assert gate.ready_at(Demand(1.0), 0.0) <= 0.0
    later = Call(Demand(1.0), 1.0)
    gate.take(later, 1.0)
    gate.hear(Told(remaining=0, resets_in=100.0, shape=Shape.FIXED), later, now=1.0)
    assert gate.ready_at(Demand(1.0), 1.0) == 101.0
    assert gate.ready_at(Demand(1.0), 101.0) <= 101.0


def test_an_answer_that_says_nothing_of_it_erases_nothing() -> None:
    gate, [first, second] = gate_at_work(0.0, 1.0)
    gate.hear(Told(limit=60, remaining=7, window=60), first, now=1.0)
    before = available(gate, 2.0)
    gate.hear(Told(), second, now=2.0)
    assert available(gate, 2.0) == before


def test_a_failed_call_gives_back_its_tokens_once() -> None:
    gate = ToldLimit("told", Unit.TOKENS)
    first, call = Call(Demand(1.0), 0.0), Call(Demand(400.0), 1.0)
    gate.take(first, 0.0)
    gate.hear(Told(limit=6000, remaining=1000, window=60), first, now=1.0)
    gate.take(call, 1.0)
    assert available(gate, 1.0) == 600
    gate.finish(call, Outcome(ending=Ending.OVERLOADED), 1.0)
    gate.finish(call, Outcome(ending=Ending.OVERLOADED), 1.0)
    assert available(gate, 1.0) == 1000
