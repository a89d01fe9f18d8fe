"""Limits by windows: never more than the limit in one, nearly all of it where jobs wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Outcome, Unit
from forebay.actors.scheduling.windows import FixedWindowGate, RollingWindowGate, WindowGate

WINDOW = 60.0
LIMIT = 1000.0

STEPS = st.lists(st.tuples(st.floats(1, 900), st.floats(0, 50)), min_size=1, max_size=40)
"""Tokens of a job, and the pause before it comes."""


def rolling(limit: float = LIMIT) -> RollingWindowGate:
    return RollingWindowGate("rolling", Unit.TOKENS, limit=limit, window=WINDOW)


def fixed(limit: float = LIMIT) -> FixedWindowGate:
    return FixedWindowGate("fixed", Unit.TOKENS, limit=limit, window=WINDOW, ends_at=WINDOW)


Make = Callable[..., WindowGate]
BOTH = pytest.mark.parametrize("make", [rolling, fixed])


def start(gate: WindowGate, tokens: float, now: float) -> tuple[Call, float]:
    """The call, and when it could start: at once, or when the gate said."""
    demand = Demand(tokens)
    at = max(now, gate.ready_at(demand, now))
    assert gate.ready_at(demand, at) <= at
    call = Call(demand, at)
    gate.take(call, at)
    return call, at


def starts(gate: WindowGate, steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    now, taken = 0.0, []
    for tokens, pause in steps:
        _, now = start(gate, tokens, now + pause)
        taken.append((now, tokens))
    return taken


@given(steps=STEPS)
def test_no_window_of_any_beginning_holds_more_than_a_rolling_limit(
    steps: list[tuple[float, float]],
) -> None:
    taken = starts(rolling(), steps)
    for began, _ in taken:
        assert sum(t for at, t in taken if began <= at < began + WINDOW) <= LIMIT + 1e-6


@given(steps=STEPS)
def test_no_window_holds_more_than_a_fixed_limit(steps: list[tuple[float, float]]) -> None:
    taken = starts(fixed(), steps)
    for number in {at // WINDOW for at, _ in taken}:
        assert sum(t for at, t in taken if at // WINDOW == number) <= LIMIT + 1e-6


@BOTH
@given(tokens=st.floats(1, 400), used=st.floats(100, 1000))
def test_the_time_that_a_window_names_is_the_first_possible(
    make: Make, tokens: float, used: float
) -> None:
    gate = make()
    start(gate, used, 10.0)
    demand = Demand(tokens)
    ready = gate.ready_at(demand, 20.0)
    if tokens + used <= LIMIT:
        assert ready <= 20.0
    else:
        assert gate.ready_at(demand, ready - 0.1) > ready - 0.1
        assert gate.ready_at(demand, ready) <= ready


@BOTH
@pytest.mark.parametrize("tokens", [7.0, 130.0])
def test_an_hour_of_waiting_jobs_uses_the_limit(make: Make, tokens: float) -> None:
    limit = tokens * 400
    gate = make(limit)
    now, used = 0.0, 0.0
    while now < 3600:
        _, now = start(gate, tokens, now)
        used += tokens
    assert used / limit >= 0.995 * 3600 / WINDOW
    assert used / limit <= 3600 / WINDOW + 1 + 1e-6


@BOTH
def test_what_is_larger_than_the_limit_is_served_and_paid_off(make: Make) -> None:
    gate = make()
    now, used = 0.0, 0.0
    for _ in range(50):
        _, now = start(gate, 3.5 * LIMIT, now)
        used += 3.5 * LIMIT
    assert now >= (used / LIMIT - 4.5) * WINDOW


@BOTH
def test_a_large_job_waits_only_until_nothing_else_is_taken(make: Make) -> None:
    gate = make()
    start(gate, 10.0, 5.0)
    assert gate.ready_at(Demand(5000.0), 6.0) <= 5.0 + WINDOW * 1.01


@BOTH
@given(used=st.floats(1, 500), later=st.floats(0, 30))
def test_what_was_not_used_comes_back_once(make: Make, used: float, later: float) -> None:
    gate = make()
    call, _ = start(gate, 500.0, 1.0)
    gate.finish(call, Outcome(ending=Ending.SERVED, tokens=used), 1.0 + later)
    assert gate.used(1.0 + later) == pytest.approx(used)


@BOTH
def test_more_than_was_thought_is_taken_too(make: Make) -> None:
    gate = make()
    call, _ = start(gate, 100.0, 1.0)
    gate.finish(call, Outcome(ending=Ending.SERVED, tokens=800.0), 2.0)
    assert gate.used(2.0) == pytest.approx(800.0)
    assert gate.ready_at(Demand(300.0), 2.0) > 2.0


@BOTH
def test_a_call_of_an_earlier_window_gives_nothing_back_to_this_one(
    make: Make,
) -> None:
    gate = make()
    old, _ = start(gate, 900.0, 1.0)
    start(gate, 900.0, 1.0 + 2 * WINDOW)
    gate.finish(old, Outcome(ending=Ending.UNUSED), 2.0 + 2 * WINDOW)
    assert gate.used(2.0 + 2 * WINDOW) == pytest.approx(900.0)


@given(
    steps=st.lists(st.tuples(st.floats(1, 4000), st.floats(0, 90), st.floats(0, 4000)), max_size=40)
)
@BOTH
def test_nothing_is_below_zero_and_nothing_stays(
    make: Make, steps: list[tuple[float, float, float]]
) -> None:
    gate = make()
    now = 0.0
    for tokens, pause, used in steps:
        call, now = start(gate, tokens, now + pause)
        gate.finish(call, Outcome(ending=Ending.SERVED, tokens=max(1.0, used)), now + pause)
        now += pause
        assert gate.used(now) >= -1e-6
    assert gate.used(now + 10_000 * WINDOW) == 0


@BOTH
def test_the_expected_wait_is_when_the_job_would_start(make: Make) -> None:
    gate = make()
    for _ in range(8):
        start(gate, 100.0, 3.0)
    expected = gate.expected_wait(Backlog(25, 2500.0), Demand(100.0), 4.0)
    now = 4.0
    for _ in range(26):
        _, now = start(gate, 100.0, now)
    assert 4.0 + expected == pytest.approx(now, abs=WINDOW / 100)
