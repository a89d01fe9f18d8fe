"""What simulated providers allow, over any span of time."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.gates import Unit
from forebay.actors.scheduling.windows import Shape
from forebay.actors.simulation.allowances import Allowance

STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), min_size=1, max_size=60)


def allowance(shape: Shape, *, limit: float = 60, burst: float = 10) -> Allowance:
    return Allowance("x", Unit.TOKENS, limit=limit, window=60.0, shape=shape, burst=burst)


@given(STEPS)
def test_no_span_lets_more_through_than_its_burst_and_its_rate(
    steps: list[tuple[float, int]],
) -> None:
    bucket = allowance(Shape.SMOOTH)
    now, taken = 0.0, []
    for passed, amount in steps:
        now += passed
        if not bucket.wait_for(amount, now):
            bucket.take(amount, now, while_waiting=None)
            taken.append((now, amount))
    for first, (begin, _) in enumerate(taken):
        total = 0
        for end, amount in taken[first:]:
            total += amount
            # One that is larger than the bucket passes a full one, and is paid off afterwards.
            assert total <= max(10, amount) + (end - begin) * 1.0 + 1e-3


@given(STEPS)
def test_no_rolling_window_holds_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    window = allowance(Shape.ROLLING)
    now, taken = 0.0, []
    for passed, amount in steps:
        now += passed
        if not window.wait_for(amount, now):
            window.take(amount, now, while_waiting=None)
            taken.append((now, amount))
    for end, _ in taken:
        # What was taken comes back up to a two-thousandth of the window early.
        assert sum(amount for at, amount in taken if end - 59.9 <= at <= end) <= 60


def test_a_fixed_window_begins_anew_at_its_end() -> None:
    window = allowance(Shape.FIXED)
    assert window.wait_for(60, 50.0) == 0
    window.take(60, 50.0, while_waiting=None)
    assert window.wait_for(1, 59.0) == pytest.approx(1.0)
    assert window.wait_for(60, 60.0) == 0


@pytest.mark.parametrize("shape", list(Shape))
def test_a_wait_is_exact(shape: Shape) -> None:
    limit = allowance(shape, burst=60)
    limit.take(60, 0.0, while_waiting=None)
    wait = limit.wait_for(30, 10.0)
    assert wait > 0
    assert limit.wait_for(30, 10.0 + wait - 0.01) > 0
    assert limit.wait_for(30, 10.0 + wait) == 0


def test_a_limit_that_halves_halves_what_it_holds() -> None:
    bucket = allowance(Shape.SMOOTH)
    bucket.change(30, 5.0)
    assert bucket.left(5.0) == 5
    bucket.take(5, 5.0, while_waiting=None)
    assert bucket.left(7.0) == pytest.approx(1.0)


def test_only_what_came_while_jobs_waited_counts_as_used_then() -> None:
    bucket = allowance(Shape.SMOOTH)
    bucket.take(5, 0.0, while_waiting=None)
    # It waited 2 s, in which 2 came; 3 were there before.
    bucket.take(5, 2.0, while_waiting=2.0)
    bucket.take(1, 3.0, while_waiting=inf)
    assert (bucket.used, bucket.used_while_waiting) == (11, 3)
