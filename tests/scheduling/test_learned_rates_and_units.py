"""Hours of backlog against upstreams that say nothing: used fully, and hardly ever refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

import pytest
from limited_upstream import (
    Backlog,
    BucketLimit,
    Job,
    Limit,
    Manners,
    Slots,
    Upstream,
    constant_jobs,
    mixed_jobs,
)

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome, RefusedBy, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate

_MINUTE = 60.0
_HOUR = 3600.0


def _about(seconds: float) -> Callable[[Random], float]:
    return lambda random: random.lognormvariate(0.0, 0.7) * seconds * 0.78


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    limit: Callable[[], Limit]
    latency: float = 0.5
    jobs: Callable[[Random], Job] = constant_jobs
    hours: float = 1.0
    finding: float = 2 * _MINUTE
    retry_after: Callable[[float], float | None] = lambda wait: None


def _silent(wait: float) -> None:
    return None


def _whole_seconds(wait: float) -> float:
    return float(max(1, math.ceil(wait - 1e-6)))


_CASES = {
    "ten a second, burst of 1": _Case(limit=lambda: BucketLimit(Unit.REQUESTS, 10, 1)),
    "ten a second, burst of 2": _Case(limit=lambda: BucketLimit(Unit.REQUESTS, 10, 2)),
    "ten a second, burst of 10": _Case(limit=lambda: BucketLimit(Unit.REQUESTS, 10, 10)),
    "ten a second, burst of a minute": _Case(limit=lambda: BucketLimit(Unit.REQUESTS, 10, 600)),
    "burst of 2, whole seconds told": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 2), retry_after=_whole_seconds, hours=0.5
    ),
    "burst of 10, whole seconds told": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 10), retry_after=_whole_seconds, hours=0.5
    ),
    "burst of 1, the true wait told": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 1), retry_after=lambda wait: wait, hours=0.5
    ),
    "two million tokens a minute, whole seconds told": _Case(
        limit=lambda: BucketLimit(Unit.TOKENS, 2e6 / 60, 2e6),
        latency=5.0,
        jobs=mixed_jobs,
        retry_after=_whole_seconds,
    ),
    "answers take half a minute": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 10), latency=30.0
    ),
    "twenty a minute, saved up": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 20 / 60, 20), latency=10.0, hours=4
    ),
    "three a minute": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 3 / 60, 3),
        latency=10.0,
        hours=24,
        finding=10 * _MINUTE,
    ),
    "two million tokens a minute": _Case(
        limit=lambda: BucketLimit(Unit.TOKENS, 2e6 / 60, 2e6), latency=5.0, jobs=mixed_jobs
    ),
    "half a million output tokens": _Case(
        limit=lambda: BucketLimit(Unit.OUTPUT_TOKENS, 5e5 / 60, 5e5), latency=5.0, jobs=mixed_jobs
    ),
    "four slots": _Case(limit=lambda: Slots(4), latency=3.0),
    "four slots, a second asked for": _Case(
        limit=lambda: Slots(4), latency=3.0, retry_after=lambda wait: 1.0
    ),
    "forty slots": _Case(limit=lambda: Slots(40), latency=3.0),
}


def _backlog(case: _Case, seed: int) -> Backlog:
    random = Random(seed + 100)
    manners = Manners(latency=_about(case.latency), retry_after=case.retry_after)
    upstream = Upstream([case.limit()], manners)
    cooldown = Cooldown("cooldown", random)
    gates = (cooldown, LearnedLimit("learned", random, cooldown=cooldown))
    return Backlog(gates, upstream, jobs=case.jobs, seed=seed)


def _ten_a_second() -> BucketLimit:
    return BucketLimit(Unit.REQUESTS, 10, 10)


_Pair: TypeAlias = tuple[Callable[[], Limit], Callable[[], Gate]]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_what_an_untold_limit_allows_is_used_and_hardly_refused(case: _Case, seed: int) -> None:
    backlog = _backlog(case, seed)
    backlog.run(case.finding)
    tally = backlog.run(case.finding + case.hours * _HOUR)
    assert tally.used >= 0.995
    assert tally.refused_share <= 0.03


@pytest.mark.parametrize("retry_after", [_silent, _whole_seconds])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("burst", [1, 2, 10, 600])
def test_a_rate_that_halves_and_doubles_is_followed_within_two_minutes(
    burst: float, seed: int, retry_after: Callable[[float], float | None]
) -> None:
    limit = BucketLimit(Unit.REQUESTS, 10, burst)
    backlog = _backlog(_Case(limit=lambda: limit, retry_after=retry_after), seed)
    backlog.run(600)
    for began, rate in ((600.0, 5.0), (1200.0, 10.0)):
        limit.change(began, rate)
        backlog.run(began + 2 * _MINUTE)
        tally = backlog.run(began + 600)
        assert 0.95 <= tally.used <= 1.05
        assert tally.refused_share <= 0.03


@pytest.mark.parametrize(
    ("first", "second", "least", "most_refused"),
    [
        pytest.param(
            (lambda: Slots(10), lambda: SlotGate("slots", 10)),
            (_ten_a_second, lambda: RateGate("rate", Unit.REQUESTS, rate=10, burst=10)),
            0.98,
            0.035,
            id="ten slots and ten a second",
        ),
        pytest.param(
            (lambda: Slots(10), lambda: SlotGate("slots", 10)),
            (
                lambda: BucketLimit(Unit.REQUESTS, 12, 10),
                lambda: RateGate("rate", Unit.REQUESTS, rate=12, burst=10),
            ),
            0.995,
            0.03,
            id="ten slots and twelve a second",
        ),
    ],
)
def test_two_limits_that_bind_alike(
    first: _Pair, second: _Pair, least: float, most_refused: float
) -> None:
    """A refusal then may be by either, and which it was is found out by the next: the share is of
    what comes through where both are known."""
    accepted: list[int] = []
    for knows in (True, False):
        random = Random(101)
        cooldown = Cooldown("cooldown", random)
        known = [first[1](), second[1]()]
        learned = [cooldown, LearnedLimit("learned", random, cooldown=cooldown)]
        upstream = Upstream([first[0](), second[0]()], Manners(latency=_about(1.0)))
        backlog = Backlog(known if knows else learned, upstream)
        backlog.run(2 * _MINUTE)
        tally = backlog.run(2 * _MINUTE + _HOUR)
        accepted.append(tally.accepted)
    assert accepted[1] >= least * accepted[0]
    assert tally.refused_share <= most_refused


def test_a_gate_that_was_told_of_slots_keeps_to_them() -> None:
    gate = LearnedLimit("learned", Random(1))
    calls = [Call(Demand(10.0), 0.0) for _ in range(4)]
    for call in calls:
        gate.take(call, 0.0)
    hint = RefusedBy(limit=2)
    gate.finish(calls.pop(), Outcome(ending=Ending.REFUSED, hint=hint), 0.1)
    assert gate.snapshot(0.1)["slots"] == 2
    assert gate.ready_at(Demand(10.0), 0.1) > 0.1


def test_what_was_learned_survives_a_restart() -> None:
    backlog = _backlog(_CASES["ten a second, burst of 10"], 1)
    backlog.run(10 * _MINUTE)
    learned = backlog.gates[-1]
    memory = learned.memory(backlog.now)
    again = LearnedLimit("learned", Random(2))
    again.recall(memory, 0.0)
    assert again.snapshot(0.0)["per_minute"] == pytest.approx(600, rel=0.01)
    upstream = Upstream([BucketLimit(Unit.REQUESTS, 10, 10)], Manners(latency=_about(0.5)))
    tally = Backlog([again], upstream).run(2 * _MINUTE)
    assert tally.used >= 0.995
    assert tally.refused <= 20


def test_a_memory_of_another_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="requests_per_second"):
        LearnedLimit("learned", Random(1)).recall({"requests_per_second": -1.0}, 0.0)
