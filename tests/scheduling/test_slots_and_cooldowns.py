"""Slots, pauses after a no, and how pauses grow."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import (
    NOTHING_AHEAD,
    Backlog,
    Call,
    Demand,
    Ending,
    Gate,
    Outcome,
)
from forebay.actors.scheduling.slots import ServiceTime, SlotGate

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
    assert gate.expected_wait(NOTHING_AHEAD, _DEMAND, 0.0) == 0.0  # nothing is known yet
    for call in calls:
        gate.finish(call, Outcome(ending=Ending.SERVED), 10.0)
    assert gate.expected_wait(Backlog(1, 0.0), _DEMAND, 10.0) == 0.0
    # Five ahead and oneself are three rounds of two slots, of which the first starts at once.
    assert gate.expected_wait(Backlog(5, 0.0), _DEMAND, 10.0) == pytest.approx(20.0)


def test_calls_that_did_not_end_well_say_nothing_of_how_long_calls_take() -> None:
    gate = SlotGate("s", 1)
    for ending in Ending:
        if ending is not Ending.SERVED:
            gate.finish(_start(gate, 0.0), Outcome(ending=ending), 99.0)
    assert gate.expected_wait(Backlog(7, 0.0), _DEMAND, 0.0) == 0.0


# Cooldown.


def _ended(gate: Cooldown, ending: Ending, now: float, *, started: float | None = None) -> None:
    call = Call(_DEMAND, now if started is None else started)
    gate.finish(call, Outcome(ending=ending), now)


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.OVERLOADED])
def test_the_time_that_an_upstream_names_is_kept_to(ending: Ending) -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 5.0), Outcome(ending=ending, retry_after=3600.0), 7.0)
    assert gate.ready_at(_DEMAND, 7.0) == 3607.0
    assert gate.expected_wait(Backlog(99, 1e9), _DEMAND, 3000.0) == 607.0
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
        assert 0 < pause <= bound + 1e-9
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
    assert 20.0 < gate.ready_at(_DEMAND, 20.0) <= 20.2


def _all_that_pass(gate: Cooldown, now: float) -> list[Call]:
    calls: list[Call] = []
    while gate.ready_at(_DEMAND, now) <= now and len(calls) < 1000:
        calls.append(_start(gate, now))
    return calls


@pytest.mark.parametrize("ending", [Ending.OVERLOADED, Ending.UNREACHABLE, Ending.FAILED])
def test_after_a_pause_waiters_are_let_through_by_doubling_numbers(ending: Ending) -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 0.0), Outcome(ending=ending, retry_after=5.0), 0.0)
    let_through = [len(_all_that_pass(gate, 5.0 + step / 4)) for step in range(7)]
    assert let_through == [1, 1, 2, 4, 8, 16, 1000]


def test_an_upstream_that_is_slow_to_answer_is_not_kept_waiting_for_calls() -> None:
    """Nothing is heard of the first call for a minute; the others go on all the same."""
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 0.0), Outcome(ending=Ending.OVERLOADED, retry_after=5.0), 0.0)
    assert len(_all_that_pass(gate, 5.0)) == 1
    assert len(_all_that_pass(gate, 6.0)) == 15


def test_those_who_come_long_after_a_pause_are_let_through_little_by_little_too() -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 0.0), Outcome(ending=Ending.OVERLOADED, retry_after=5.0), 0.0)
    let_through = [len(_all_that_pass(gate, 900.0 + step / 4)) for step in range(7)]
    assert let_through == [1, 1, 2, 4, 8, 16, 1000]


def test_an_upstream_that_is_unwell_again_is_sent_one_call_again() -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 0.0), Outcome(ending=Ending.OVERLOADED, retry_after=5.0), 0.0)
    [call] = _all_that_pass(gate, 5.0)
    gate.finish(call, Outcome(ending=Ending.OVERLOADED, retry_after=5.0), 6.0)
    assert len(_all_that_pass(gate, 11.0)) == 1


def test_a_refusal_by_a_limit_is_no_illness() -> None:
    gate = Cooldown("c", Random(1))
    gate.finish(_start(gate, 0.0), Outcome(ending=Ending.REFUSED, retry_after=5.0), 0.0)
    assert len(_all_that_pass(gate, 5.0)) == 1000


def test_the_pause_ends_while_the_job_that_met_it_still_waits() -> None:
    for seed in range(50):
        gate = Cooldown("c", Random(seed), initial=1.0, cap=64.0)
        now = 0.0
        for _ in range(6):
            _ended(gate, Ending.FAILED, now)
            now = gate.ready_at(_DEMAND, now)
        gate.finish(_start(gate, now), Outcome(ending=Ending.FAILED, patience=3.0), now)
        assert gate.ready_at(_DEMAND, now) <= now + 3.0


# Backoff.


@given(
    initial=st.floats(0.01, 10), factor=st.floats(1, 1000), steps=st.integers(1, 100),
    seed=st.integers(), floor=st.sampled_from([0.0, 0.5]),
)  # fmt: skip
def test_each_pause_is_between_its_floor_and_the_whole_of_a_doubling_bound(
    initial: float, factor: float, steps: int, seed: int, floor: float
) -> None:
    backoff = Backoff(initial=initial, cap=initial * factor, random=Random(seed), floor=floor)
    for step in range(steps):
        bound = min(initial * factor, initial * 2.0**step)
        assert max(1e-18, floor * bound) <= backoff.next() <= bound
    backoff.reset()
    assert max(1e-18, floor * initial) <= backoff.next() <= initial


@given(within=st.floats(0, 100), seed=st.integers())
def test_no_pause_is_longer_than_the_job_can_wait_or_the_first_may_be(
    within: float, seed: int
) -> None:
    backoff = Backoff(initial=1.0, cap=64.0, random=Random(seed))
    assert all(0 < backoff.next(within) <= max(1.0, within) for _ in range(10))


def test_pauses_are_spread_so_that_many_do_not_come_back_at_once() -> None:
    random = Random(3)
    pauses = sorted(
        Backoff(initial=1.0, cap=9.0, random=random, floor=0.0).next() for _ in range(1000)
    )
    for tenth in range(1, 10):
        assert pauses[tenth * 100] == pytest.approx(tenth / 10, abs=0.05)


def test_a_very_long_row_of_failures_does_not_overflow() -> None:
    backoff = Backoff(initial=1.0, cap=60.0, random=Random(1))
    for _ in range(5000):
        assert backoff.next() <= 60.0


# How long until a slot is free.


def _served(times: ServiceTime, *seconds: float) -> ServiceTime:
    for each in seconds:
        times.add(each)
    return times


def test_calls_that_all_take_the_same_end_in_the_order_in_which_they_began() -> None:
    times = _served(ServiceTime(), 10.0, 10.0, 10.0)
    calls = [Call(_DEMAND, 1.0), Call(_DEMAND, 4.0)]
    assert times.until_free(1, 2, calls, 5.0) == pytest.approx(6.0)
    assert times.until_free(2, 2, calls, 5.0) == pytest.approx(9.0)
    assert times.until_free(3, 2, calls, 5.0) == pytest.approx(16.0)
    # The second slot is taken by somebody who goes before, now.
    assert times.until_free(2, 2, calls[:1], 5.0) == pytest.approx(10.0)
    # One that takes longer than any before may end any moment.
    assert times.until_free(1, 2, calls, 50.0) == 0.0


def test_calls_without_memory_are_as_far_from_their_end_as_new_ones() -> None:
    random = Random(1)
    times = _served(ServiceTime(), *(random.expovariate(0.1) for _ in range(2000)))
    calls = [Call(_DEMAND, 0.0), Call(_DEMAND, 0.0)]
    assert times.mean == pytest.approx(10.0, rel=0.5)
    assert times.mean is not None
    early, late = (times.until_free(1, 2, calls, now) for now in (0.0, 60.0))
    assert late == pytest.approx(times.mean / 2, rel=0.5)
    assert early == pytest.approx(late, rel=0.7)


def test_before_any_call_has_ended_it_may_take_as_long_again() -> None:
    calls = [Call(_DEMAND, 2.0)]
    assert ServiceTime().until_free(1, 1, calls, 7.0) == 5.0
    assert ServiceTime().until_free(1, 1, [], 7.0) == 0.0
