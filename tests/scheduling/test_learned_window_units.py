"""Windows that count tokens, nothing told: which unit it is shows after a few of them.

With jobs of 100 to 100,000 tokens in their order some of each window stays unused: the next job
does not fit. Who knows the limit uses 98.9 % of it here, so that is what is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from limited_upstream import (
    Backlog,
    FixedWindow,
    Limit,
    Manners,
    RollingWindow,
    Upstream,
    mixed_jobs,
)

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Demand, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.learned_window_units import WindowUnits

_LIMIT = 2e6


@pytest.mark.parametrize(
    "window",
    [lambda: FixedWindow(Unit.TOKENS, _LIMIT), lambda: RollingWindow(Unit.TOKENS, _LIMIT)],
    ids=["fixed", "rolling"],
)
def test_a_window_of_tokens_is_found_and_used(window: Callable[[], Limit]) -> None:
    random = Random(103)
    cooldown = Cooldown("cooldown", random)
    learned = LearnedLimit("learned", random, cooldown=cooldown)
    manners = Manners(latency=lambda random: random.lognormvariate(0.0, 0.7) * 4)
    backlog = Backlog([cooldown, learned], Upstream([window()], manners), jobs=mixed_jobs, seed=3)
    backlog.run(1800)
    tally = backlog.run(3600)
    known = learned.snapshot(backlog.now)
    assert known["window_seconds"] == 60
    assert known["limit"] == pytest.approx(_LIMIT, rel=0.01)
    assert tally.used >= 0.98
    assert tally.refused_share <= 0.04  # of half an hour in which the unit may still be found


def _windows(units: WindowUnits, sizes: list[list[float]]) -> None:
    for number, window in enumerate(sizes):
        for size in window:
            units.take(Demand(size, size / 4), 60.0 * number)
        units.add(units.counts(60.0 * number + 1))


def test_the_unit_that_is_the_same_in_each_window_is_the_one() -> None:
    units = WindowUnits(60.0)
    _windows(units, [[10, 90], [20, 20, 60], [100], [50, 50], [30, 30, 20, 20]])
    assert units.better(Unit.REQUESTS) is Unit.TOKENS
    assert units.better(Unit.TOKENS) is None


def test_a_unit_that_fits_is_not_doubted() -> None:
    units = WindowUnits(60.0)
    _windows(units, [[10, 20], [10, 90], [20, 70], [95, 5], [50, 40], [10, 60]])
    assert units.better(Unit.REQUESTS) is None


def test_jobs_of_one_size_say_nothing_of_the_unit() -> None:
    units = WindowUnits(60.0)
    _windows(units, [[10, 10], [10], [10, 10, 10], [10]])
    assert units.better(Unit.REQUESTS) is None
