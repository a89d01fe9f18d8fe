"""Slots, pauses after a no, and how pauses grow."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome
from forebay.actors.scheduling.slots import SlotGate

_DEMAND = Demand(tokens=10.0)


def _start(gate: Gate, now: float) -> Call:
    call = Call(_DEMAND, now)
    assert gate.ready_at(_DEMAND, now) <= now
    gate.take(call, now)
    return call


# Slots.


@given(slots=st.integers(1, 5), moves=st.lists(st.booleans(), max_size=60))
def test_never_more_calls_than_slots_and_each_slot_comes_back(
    slots: int, moves: list[bool]
) -> None:
    gate = SlotGate("s", slots)
    running: list[Call] = []
    for start in moves:
        if start and len(running) < slots:
            running.append(_start(gate, 0.0))
        elif running and not start:
            gate.finish(running.pop(), Outcome(ending=Ending.ABANDONED), 0.0)
        assert gate.taken == len(running)
        assert gate.ready_at(_DEMAND, 0.0) == (0.0 if len(running) < slots else inf)
    assert gate.snapshot(0.0) == {"limit": slots, "in_use": len(running)}


def test_the_expected_wait_for_a_slot_comes_from_how_long_calls_take() -> None:
    gate = SlotGate("s", 2)
    calls = [_start(gate, 0.0), _start(gate, 0.0)]
    assert gate.expected_wait(0, 0.0, _DEMAND, 0.0) == 0.0  # nothing is known yet
    for call in calls:
        gate.finish(call, Outcome(ending=Ending.SERVED), 10.0)
    assert gate.expected_wait(1, 0.0, _DEMAND, 10.0) == 0.0
    # Five ahead and oneself are three rounds of two slots, of which the first starts at once.
    assert gate.expected_wait(5, 0.0, _DEMAND, 10.0) == pytest.approx(20.0)


def test_calls_that_did_not_end_well_say_nothing_of_how_long_calls_take() -> None:
    gate = SlotGate("s", 1)
    for ending in Ending:
        if ending is not Ending.SERVED:
            gate.finish(_start(gate, 0.0), Outcome(ending=ending), 99.0)
    assert gate.expected_wait(7, 0.0, _DEMAND, 0.0) == 0.0


# Cooldown.


def _ended(gate: Cooldown, ending: Ending, now: float, *, started: float | None = None) -> None:
    call = Call(_DEMAND, now if started is None else started)
    gate.finish(call, Outcome(ending=ending), now)


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.OVERLOADED])
def test_the_time_that_an_upstream_names_is_kept_to(ending: Ending) -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 5.0), Outcome(ending=ending, retry_after=3600.0), 7.0)
    assert gate.ready_at(_DEMAND, 7.0) == 3607.0
    assert gate.expected_wait(99, 1e9, _DEMAND, 3000.0) == 607.0
    assert gate.snapshot(3600.0) == {"closed_for_seconds": 7.0}
    assert gate.ready_at(_DEMAND, 3607.0) <= 3607.0


def test_a_shorter_time_named_later_does_not_open_early() -> None:
    gate = Cooldown("c", Random(1))
    calls = [_start(gate, 0.0), _start(gate, 0.0)]
    for call, wait in zip(calls, (60.0, 1.0), strict=True):
        gate.finish(call, Outcome(ending=Ending.REFUSED, retry_after=wait), 0.0)
    assert gate.ready_at(_DEMAND, 0.0) == 60.0


@pytest.mark.parametrize("ending", [Ending.OVERLOADED, Ending.UNREACHABLE, Ending.FAILED])
def test_pauses_grow_while_an_upstream_is_unwell_and_start_again_after_a_success(
    ending: Ending,
) -> None:
    gate = Cooldown("c", Random(1), initial=0.1, cap=30.0)
    now = 0.0
    pauses: list[float] = []
    for _ in range(12):
        _ended(gate, ending, now)
        pauses.append(gate.ready_at(_DEMAND, now) - now)
        now += pauses[-1]
    for step, pause in enumerate(pauses):
        bound = min(30.0, 0.1 * 2**step)
        assert bound / 2 - 1e-9 <= pause <= bound + 1e-9
    gate.accepted(_start(gate, now), now)
    _ended(gate, ending, now)
    assert gate.ready_at(_DEMAND, now) - now <= 0.1 + 1e-9


@pytest.mark.parametrize("ending", [Ending.UNUSED, Ending.SERVED, Ending.ABANDONED, Ending.REFUSED])
def test_what_says_nothing_of_an_upstreams_health_makes_no_pause(ending: Ending) -> None:
    gate = Cooldown("c", Random(1))
    _ended(gate, ending, 4.0)
    assert gate.ready_at(_DEMAND, 4.0) <= 4.0


def test_calls_that_were_under_way_do_not_extend_the_pause() -> None:
    gate = Cooldown("c", Random(1), initial=1.0)
    for _ in range(20):
        _ended(gate, Ending.OVERLOADED, 0.5, started=0.0)
    assert gate.ready_at(_DEMAND, 0.5) <= 1.5


def test_calls_that_were_under_way_do_not_begin_another_pause_however_late_they_end() -> None:
    gate = Cooldown("c", Random(1), initial=0.1)
    for second in range(1, 20):
        _ended(gate, Ending.FAILED, float(second), started=0.0)
        assert gate.ready_at(_DEMAND, float(second)) <= 1.1
    # One that began after the pause is news, and the second in a row.
    _ended(gate, Ending.FAILED, 20.0, started=19.0)
    assert 20.1 <= gate.ready_at(_DEMAND, 20.0) <= 20.2


# Backoff.


@given(
    initial=st.floats(0.01, 10), factor=st.floats(1, 1000), steps=st.integers(1, 100),
    seed=st.integers(),
)  # fmt: skip
def test_each_pause_is_between_half_and_the_whole_of_a_doubling_bound(
    initial: float, factor: float, steps: int, seed: int
) -> None:
    backoff = Backoff(initial=initial, cap=initial * factor, random=Random(seed))
    for step in range(steps):
        bound = min(initial * factor, initial * 2.0**step)
        assert bound / 2 <= backoff.next() <= bound
    backoff.reset()
    assert initial / 2 <= backoff.next() <= initial


def test_pauses_are_spread_so_that_many_do_not_come_back_at_once() -> None:
    random = Random(3)
    pauses = [Backoff(initial=1.0, cap=9.0, random=random).next() for _ in range(200)]
    assert max(pauses) - min(pauses) > 0.45


def test_a_very_long_row_of_failures_does_not_overflow() -> None:
    backoff = Backoff(initial=1.0, cap=60.0, random=Random(1))
    for _ in range(5000):
        assert backoff.next() <= 60.0
