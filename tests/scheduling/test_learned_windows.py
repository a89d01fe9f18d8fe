"""Upstreams that count calls in windows and tell nobody: found, used fully, and hardly refused.

A fixed window gives all back at one instant of the clock, a rolling one gives each call back one
window after it. Some say with a refusal how many whole seconds to wait, most say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from limited_upstream import Backlog, BucketLimit, FixedWindow, Manners, RollingWindow, Upstream

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.learned_units import NOTHING
from forebay.actors.scheduling.learned_window import LearnedWindow

_MINUTE = 60.0
_HOUR = 3600.0


def _silent(wait: float) -> None:
    return None


def _whole_seconds(wait: float) -> float:
    return float(max(1, math.ceil(wait - 1e-6)))


def _about(seconds: float) -> Callable[[Random], float]:
    return lambda random: random.lognormvariate(0.0, 0.7) * seconds * 0.78


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    window: Callable[[], FixedWindow | RollingWindow]
    retry_after: Callable[[float], float | None] = _silent
    latency: float = 1.0
    hours: float = 1.0
    finding: float = 4 * _MINUTE


_CASES = {
    "fixed, 60 a minute": _Case(window=lambda: FixedWindow(Unit.REQUESTS, 60, phase=23)),
    "fixed, 60 a minute, just begun": _Case(window=lambda: FixedWindow(Unit.REQUESTS, 60, phase=1)),
    "fixed, 60 a minute, nearly over": _Case(
        window=lambda: FixedWindow(Unit.REQUESTS, 60, phase=59)
    ),
    "fixed, 60 a minute, whole seconds told": _Case(
        window=lambda: FixedWindow(Unit.REQUESTS, 60, phase=23), retry_after=_whole_seconds
    ),
    "fixed, 600 a minute": _Case(
        window=lambda: FixedWindow(Unit.REQUESTS, 600, phase=23), hours=0.5
    ),
    "fixed, 600 a minute, whole seconds told": _Case(
        window=lambda: FixedWindow(Unit.REQUESTS, 600, phase=23),
        retry_after=_whole_seconds,
        hours=0.5,
    ),
    "fixed, 10 a minute": _Case(window=lambda: FixedWindow(Unit.REQUESTS, 10, phase=23), hours=6),
    "fixed, 10 a minute, whole seconds told": _Case(
        window=lambda: FixedWindow(Unit.REQUESTS, 10, phase=23),
        retry_after=_whole_seconds,
        hours=6,
    ),
    "rolling, 60 a minute": _Case(window=lambda: RollingWindow(Unit.REQUESTS, 60)),
    "rolling, 60 a minute, whole seconds told": _Case(
        window=lambda: RollingWindow(Unit.REQUESTS, 60), retry_after=_whole_seconds
    ),
    "rolling, 60 a minute, answers take half of one": _Case(
        window=lambda: RollingWindow(Unit.REQUESTS, 60), latency=30.0
    ),
    "rolling, 600 a minute": _Case(window=lambda: RollingWindow(Unit.REQUESTS, 600), hours=0.5),
    "rolling, 600 a minute, whole seconds told": _Case(
        window=lambda: RollingWindow(Unit.REQUESTS, 600), retry_after=_whole_seconds, hours=0.5
    ),
    "rolling, 10 a minute": _Case(window=lambda: RollingWindow(Unit.REQUESTS, 10), hours=6),
    "rolling, 10 a minute, whole seconds told": _Case(
        window=lambda: RollingWindow(Unit.REQUESTS, 10), retry_after=_whole_seconds, hours=6
    ),
}


def _backlog(case: _Case, seed: int) -> Backlog:
    random = Random(seed + 100)
    manners = Manners(latency=_about(case.latency), retry_after=case.retry_after)
    cooldown = Cooldown("cooldown", random)
    gates = (cooldown, LearnedLimit("learned", random, cooldown=cooldown))
    return Backlog(gates, Upstream([case.window()], manners), seed=seed)


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_what_an_untold_window_allows_is_used_and_hardly_refused(case: _Case) -> None:
    backlog = _backlog(case, 1)
    finding = backlog.run(case.finding)
    tally = backlog.run(case.finding + case.hours * _HOUR)
    assert tally.used >= 0.995
    refused = finding.refused + tally.refused
    assert refused <= 0.03 * (refused + finding.accepted + tally.accepted)


@pytest.mark.parametrize("retry_after", [_silent, _whole_seconds])
@pytest.mark.parametrize("limit", [60, 600])
@pytest.mark.parametrize("shape", [FixedWindow, RollingWindow])
def test_a_window_whose_limit_halves_and_doubles_is_followed_within_two_minutes(
    shape: type[FixedWindow | RollingWindow],
    limit: int,
    retry_after: Callable[[float], float | None],
) -> None:
    window = shape(Unit.REQUESTS, limit)
    backlog = _backlog(_Case(window=lambda: window, retry_after=retry_after), 1)
    backlog.run(600)
    for began, factor in ((600.0, 0.5), (1200.0, 2.0)):
        window.limit = limit * factor if factor < 1 else limit
        backlog.run(began + 2 * _MINUTE)
        tally = backlog.run(began + 600)
        assert 0.95 <= tally.used <= 1.05
        assert tally.refused_share <= 0.03


@pytest.mark.parametrize("burst", [1, 10, 600])
@pytest.mark.parametrize("retry_after", [_silent, _whole_seconds])
def test_a_window_that_turns_into_a_bucket_is_given_up(
    burst: float, retry_after: Callable[[float], float | None]
) -> None:
    case = _Case(window=lambda: FixedWindow(Unit.REQUESTS, 600), retry_after=retry_after)
    backlog = _backlog(case, 1)
    backlog.run(600)
    bucket = BucketLimit(Unit.REQUESTS, 5, burst)
    bucket.change(backlog.now, 5)
    backlog.upstream.limits = (bucket,)
    backlog.run(900)
    tally = backlog.run(1800)
    assert tally.used >= 0.95
    assert tally.refused_share <= 0.03


def test_a_window_that_was_learned_survives_a_restart() -> None:
    case = _CASES["rolling, 60 a minute"]
    backlog = _backlog(case, 1)
    backlog.run(10 * _MINUTE)
    memory = backlog.gates[-1].memory(backlog.now)
    again = LearnedLimit("learned", Random(2))
    again.recall(memory, 0.0)
    known = again.snapshot(0.0)
    assert (known["limit"], known["window_seconds"]) == (60, 60)
    # What was sent before counts, so that nothing is sent too early.
    upstream = Upstream([RollingWindow(Unit.REQUESTS, 60)], Manners())
    tally = Backlog([again], upstream).run(10 * _MINUTE)
    assert tally.refused <= 10
    assert tally.accepted >= 9 * 60


def test_a_memory_of_an_impossible_window_is_refused() -> None:
    memory = {"window_seconds": 60.0, "window_limit": 0.0, "window_used": 0.0}
    with pytest.raises(ValueError, match="window_limit"):
        LearnedLimit("learned", Random(1)).recall(memory, 0.0)


def test_a_window_sends_no_more_than_a_part_before_it_hears_of_refusals() -> None:
    """Lest a whole window is refused when its limit has fallen."""
    window = LearnedWindow(Unit.REQUESTS, 80, 60.0, now=0.0)
    demand = Demand(10.0)
    sent = 0
    while window.ready_at(demand, 0.1, 1.0) <= 1.0:
        sent += 1
        window.take(Call(demand, 1.0), sent, NOTHING, 1.0)
    assert sent == 10
    assert window.ready_at(demand, 0.1, 1.0) == pytest.approx(1.1)
