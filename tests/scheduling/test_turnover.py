"""Running averages, and what a pool has seen of late."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.averages import RecentCount, RunningMean, RunningRatio
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.turnover import Turnover

INTERACTIVE, BATCH = TrafficClass.INTERACTIVE, TrafficClass.BATCH


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_the_first_values_have_their_plain_mean(values: list[float]) -> None:
    mean = RunningMean(0.01)
    for value in values:
        mean.add(value)
    average = sum(values) / len(values)
    assert mean.mean == pytest.approx(average, abs=1e-3)
    spread = sum((value - average) ** 2 for value in values) / len(values)
    assert mean.deviation == pytest.approx(spread**0.5, rel=1e-3, abs=1e-2)


def test_later_values_move_a_mean_by_their_weight() -> None:
    mean = RunningMean(0.1)
    for _ in range(100):
        mean.add(10.0)
    mean.add(20.0)
    assert mean.mean == pytest.approx(11.0)


def test_a_ratio_is_that_of_sums() -> None:
    ratio = RunningRatio(0.01)
    assert ratio.value(7.0) == 7.0
    ratio.add(1.0, 10.0)
    ratio.add(90.0, 90.0)
    assert ratio.value(7.0) == pytest.approx(91 / 100)


def test_a_count_of_what_was_of_late_fades() -> None:
    count = RecentCount(60.0)
    assert count.at(5.0) == 0.0
    count.add(0.0)
    count.add(60.0)
    assert count.at(60.0) == pytest.approx(1 + exp(-1))
    assert count.at(600.0) < 0.001


def test_the_classes_part_of_what_is_granted_follows_the_last_few_hundred() -> None:
    turnover = Turnover()
    assert turnover.share_of(BATCH) == 0.0
    for _ in range(3000):
        turnover.granted(INTERACTIVE)
    for number in range(3000):
        turnover.granted(BATCH if number % 4 == 0 else INTERACTIVE)
    assert turnover.share_of(BATCH) == pytest.approx(0.25, abs=0.02)


def test_counts_stay_finite_over_millions_of_grants() -> None:
    turnover = Turnover()
    for _ in range(300_000):
        turnover.came(INTERACTIVE, 1.0)
        turnover.granted(INTERACTIVE)
        turnover.granted(INTERACTIVE)
    assert turnover.newcomers(INTERACTIVE, 0) == pytest.approx(0.5, abs=0.01)
    assert turnover.newcomers(BATCH, 0) == 0.0
    assert turnover.late(INTERACTIVE) == pytest.approx(1.0)


def test_clients_that_wait_from_the_beginning_are_no_sign_of_more_to_come() -> None:
    turnover = Turnover()
    for _ in range(5):
        turnover.came(INTERACTIVE, 0.0)
    turnover.granted(INTERACTIVE)
    assert turnover.newcomers(INTERACTIVE, 5) == 0.0


def test_what_calls_keep_of_what_they_were_charged() -> None:
    turnover = Turnover()
    assert (turnover.kept, turnover.unevenness) == (1.0, 1.0)
    for _ in range(200):
        turnover.settled(100.0, 40.0)
        turnover.settled(300.0, 120.0)
    assert turnover.kept == pytest.approx(0.4)
    assert turnover.unevenness == pytest.approx(50_000 / 200**2, rel=0.02)


def test_clients_that_give_up_before_they_get_anything_are_no_newcomers() -> None:
    turnover = Turnover()
    for number in range(400):
        turnover.came(INTERACTIVE, 0.0)
        turnover.granted(INTERACTIVE)
        if number % 4 == 0:
            turnover.came(INTERACTIVE, 0.0)
            turnover.gave_up(INTERACTIVE)
    without = Turnover()
    for _ in range(400):
        without.came(INTERACTIVE, 0.0)
        without.granted(INTERACTIVE)
    assert turnover.newcomers(INTERACTIVE, 0) == pytest.approx(without.newcomers(INTERACTIVE, 0))
