"""What is taken out comes back by one call on trial, after pauses that double."""

from __future__ import annotations

from math import inf

import pytest

from forebay.actors.scheduling.admission import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_TOLD_PAUSE,
    Admission,
    AdmissionState,
)
from forebay.actors.scheduling.gates import NOTHING_AHEAD, Call, Demand, Ending, Outcome

_DEMAND = Demand(tokens=10.0)
_TELLING = {Ending.SERVED, Ending.REFUSED}


class _Way:
    """An admission, and the calls that pass it."""

    def __init__(self) -> None:
        self.gate = Admission("a")
        self.returns = 0
        self.gate.returned = self._count_return

    def _count_return(self) -> None:
        self.returns += 1

    def state(self) -> AdmissionState:
        return self.gate.state

    def open_at(self, now: float) -> bool:
        return self.gate.ready_at(_DEMAND, now) <= now

    def start(self, now: float) -> Call:
        assert self.open_at(now)
        call = Call(_DEMAND, now)
        self.gate.take(call, now)
        return call

    def end(self, call: Call, ending: Ending, now: float) -> None:
        self.gate.finish(call, Outcome(ending=ending), now)

    def exclude(self, now: float, *, resets_in: float | None = None) -> float:
        """The pause that follows."""
        exclusion = self.gate.exclude("why", now, resets_in=resets_in)
        assert exclusion is not None
        return exclusion.until - now


@pytest.fixture
def way() -> _Way:
    return _Way()


def test_in_service_everybody_passes(way: _Way) -> None:
    calls = [way.start(0.0) for _ in range(3)]
    for call, ending in zip(calls, (Ending.FAILED, Ending.ABANDONED, Ending.SERVED), strict=True):
        way.end(call, ending, 1.0)
    assert way.state() is AdmissionState.IN_SERVICE
    assert way.gate.exclusion is None
    assert way.gate.snapshot(1.0) == {"state": "in_service"}
    assert not way.returns


def test_what_is_out_lets_nobody_pass_until_its_trial_begins(way: _Way) -> None:
    assert way.exclude(0.0) == FIRST_PAUSE
    assert way.gate.ready_at(_DEMAND, 2 * FIRST_PAUSE) == inf
    assert way.gate.expected_wait(NOTHING_AHEAD, _DEMAND, 100.0) == FIRST_PAUSE - 100
    assert way.gate.snapshot(0.0) == {"state": "out", "reason": "why"}
    way.gate.begin_trial()
    assert way.gate.exclusion is None
    assert way.open_at(FIRST_PAUSE)
    assert way.gate.expected_wait(NOTHING_AHEAD, _DEMAND, FIRST_PAUSE) == 0
    assert way.gate.snapshot(0.0) == {"state": "on_trial", "reason": "why"}


def test_one_call_at_a_time_is_on_trial(way: _Way) -> None:
    way.exclude(0.0)
    way.gate.begin_trial()
    trial = way.start(300.0)
    assert way.gate.ready_at(_DEMAND, 301.0) == inf
    way.gate.accepted(trial, 302.0)
    assert way.open_at(302.0)
    assert way.returns == 1
    way.end(trial, Ending.FAILED, 303.0)
    assert way.open_at(303.0)
    assert way.returns == 1


@pytest.mark.parametrize("ending", Ending)
def test_how_a_trial_ends_decides(way: _Way, ending: Ending) -> None:
    way.exclude(0.0)
    way.gate.begin_trial()
    way.end(way.start(300.0), ending, 301.0)
    expected = AdmissionState.IN_SERVICE if ending in _TELLING else AdmissionState.ON_TRIAL
    assert way.state() is expected
    assert way.open_at(301.0), "else the next call tries"


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_return(way: _Way) -> None:
    pauses = [way.exclude(100_000.0 * number) for number in range(6)]
    assert pauses == [300.0, 600.0, 1200.0, 2400.0, LONGEST_PAUSE, LONGEST_PAUSE]
    for number in range(6, 2000):
        assert way.exclude(100_000.0 * number) == LONGEST_PAUSE
    way.gate.begin_trial()
    way.gate.accepted(way.start(3e8), 3e8)
    assert way.exclude(4e8) == FIRST_PAUSE


def test_a_told_time_is_believed_unless_it_is_very_short_or_very_long(way: _Way) -> None:
    assert way.exclude(0.0, resets_in=7200.0) == 7200
    assert way.exclude(1e6, resets_in=300.0) == 300
    assert way.exclude(2e6, resets_in=20.0) == 1200, "as without: the third in a row"
    assert way.exclude(3e6, resets_in=1e12) == LONGEST_TOLD_PAUSE


def test_calls_from_before_the_exclusion_tell_old_news(way: _Way) -> None:
    early, later = way.start(0.0), way.start(1.0)
    assert way.gate.exclude("why", 5.0, call=early) is not None
    assert way.gate.exclude("too", 6.0, call=later) is None
    exclusion = way.gate.exclusion
    assert exclusion is not None
    assert (exclusion.reason, exclusion.until) == ("why", 305.0)
    way.end(later, Ending.SERVED, 7.0)
    assert way.state() is AdmissionState.OUT
    way.gate.begin_trial()
    trial = way.start(305.0)
    assert way.gate.exclude("too", 306.0, call=later) is None
    assert way.state() is AdmissionState.ON_TRIAL
    again = way.gate.exclude("again", 306.0, call=trial)
    assert again is not None
    assert again.until == 306.0 + 2 * FIRST_PAUSE
    way.end(trial, Ending.ABANDONED, 306.0)
    assert way.state() is AdmissionState.OUT


def test_a_trial_begins_only_of_what_is_out(way: _Way) -> None:
    way.gate.begin_trial()
    assert way.state() is AdmissionState.IN_SERVICE
