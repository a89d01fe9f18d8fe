"""A route that has failed, and what free questions find out about it."""

from __future__ import annotations

from random import Random

import pytest

from forebay.actors.scheduling.breaker import CircuitBreaker, CircuitState
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import NOTHING_AHEAD, Call, Demand, Ending, Outcome
from forebay.actors.scheduling.recovery import (
    BELIEVED_FOR,
    LONGEST_UNREADY,
    Recovery,
    Trouble,
)

DEMAND = Demand(tokens=10)


class Way:
    """The gates of one route, in their order."""

    def __init__(self, *, hears_of_readiness: bool = True, somebody_asks: bool = True) -> None:
        random = Random(1)
        self.breaker = CircuitBreaker("breaker", random)
        self.cooldown = Cooldown("cooldown", random)
        self.recovery = Recovery(
            "health", self.breaker, self.cooldown, hears_of_readiness=hears_of_readiness
        )
        self.doubts = 0
        self._somebody_asks = somebody_asks
        self.recovery.in_doubt = self._doubt
        self.gates = (self.breaker, self.cooldown, self.recovery)

    def _doubt(self) -> bool:
        self.doubts += 1
        return self._somebody_asks

    def opens_at(self, now: float) -> float:
        return max(gate.ready_at(DEMAND, now) for gate in self.gates)

    def call(self, ending: Ending, now: float, *, retry_after: float | None = None) -> None:
        call = Call(DEMAND, now)
        for gate in self.gates:
            gate.take(call, now)
        for gate in self.gates:
            gate.finish(call, Outcome(ending=ending, retry_after=retry_after), now)


def test_nothing_is_asked_of_what_works() -> None:
    way = Way()
    for ending in (Ending.SERVED, Ending.REFUSED, Ending.ABANDONED, Ending.FAILED):
        way.call(ending, 0.0)
    assert way.doubts == 0
    assert way.recovery.ready_at(DEMAND, 0.0) <= 0.0


def test_an_unreachable_server_is_held_until_a_question_finds_it_well() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    assert way.doubts == 1
    assert way.opens_at(0.0) == BELIEVED_FOR
    way.recovery.is_unwell(10.0, answers=False)
    assert way.opens_at(10.0) == 10.0 + BELIEVED_FOR
    way.recovery.is_well(12.0)
    assert way.opens_at(12.0) <= 12.0
    assert way.recovery.trouble is None


def test_without_a_word_a_call_may_find_out_by_itself() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    assert way.opens_at(BELIEVED_FOR) <= BELIEVED_FOR


def test_where_nobody_asks_nothing_is_held() -> None:
    way = Way(somebody_asks=False)
    way.call(Ending.UNREACHABLE, 0.0)
    assert way.recovery.ready_at(DEMAND, 0.0) <= 0.0


def open_circuit(way: Way, now: float = 0.0) -> None:
    for _ in range(5):
        way.call(Ending.FAILED, now)
    assert way.breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("answers", [True, False])
def test_a_good_word_lets_the_call_that_tries_an_open_circuit_through_sooner(
    answers: bool,
) -> None:
    way = Way()
    open_circuit(way)
    assert way.doubts == 1
    way.recovery.is_unwell(0.1, answers=answers)
    assert way.breaker.ready_at(DEMAND, 0.1) > 2.0
    way.recovery.is_well(0.2)
    assert way.opens_at(0.2) <= 0.2


def test_a_server_that_is_well_by_its_own_account_while_it_fails_is_not_believed() -> None:
    """One that lists its models and fails at every answer would be sent all who wait."""
    way = Way()
    open_circuit(way)
    way.recovery.is_well(0.1)
    assert way.opens_at(0.1) > 2.0


def test_a_good_word_about_connections_is_not_believed_twice_unless_a_call_bears_it_out() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    way.recovery.is_well(0.1)
    assert way.opens_at(0.1) <= 0.1
    way.call(Ending.UNREACHABLE, 0.2)
    paused = way.cooldown.ready_at(DEMAND, 0.2)
    assert paused > 0.2
    way.recovery.is_well(0.201)
    assert way.opens_at(0.201) == paused
    way.call(Ending.SERVED, 1.0)
    way.call(Ending.UNREACHABLE, 2.0)
    way.recovery.is_well(2.001)
    assert way.opens_at(2.001) <= 2.001


def test_questions_that_cannot_connect_open_the_circuit_like_calls_that_cannot() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    for now in range(1, 4):
        way.recovery.is_unwell(float(now), answers=False)
        assert way.breaker.state is CircuitState.CLOSED
    way.recovery.is_unwell(4.0, answers=False)
    assert way.breaker.state is CircuitState.OPEN


def test_an_overload_is_the_business_of_the_cooldown_unless_the_server_is_not_ready() -> None:
    way = Way()
    way.call(Ending.OVERLOADED, 0.0)
    way.call(Ending.OVERLOADED, 5.0)
    paused = way.cooldown.ready_at(DEMAND, 5.0)
    assert paused > 5.0
    way.recovery.is_well(5.001)
    assert way.cooldown.ready_at(DEMAND, 5.001) == paused


def test_a_server_that_loads_is_held_until_it_is_ready() -> None:
    way = Way()
    way.call(Ending.OVERLOADED, 0.0)
    for now in (1.0, 10.0, 20.0, 30.0):
        way.recovery.is_unwell(now, answers=True)
        assert way.opens_at(now) == now + BELIEVED_FOR
    way.recovery.is_well(31.0)
    assert way.opens_at(31.0) <= 31.0


def test_where_readiness_is_not_told_an_overload_raises_no_question() -> None:
    way = Way(hears_of_readiness=False)
    way.call(Ending.OVERLOADED, 0.0)
    assert way.doubts == 0


def test_a_server_that_is_never_ready_is_not_held_for_ever() -> None:
    """One of its models may never load, and others serve."""
    way = Way()
    way.call(Ending.OVERLOADED, 0.0)
    way.recovery.is_unwell(LONGEST_UNREADY, answers=True)
    assert way.recovery.ready_at(DEMAND, LONGEST_UNREADY) > LONGEST_UNREADY
    way.recovery.is_unwell(LONGEST_UNREADY + 1, answers=True)
    assert way.recovery.ready_at(DEMAND, LONGEST_UNREADY + 1) <= LONGEST_UNREADY
    way.recovery.is_unwell(LONGEST_UNREADY + 2, answers=False)
    assert way.recovery.ready_at(DEMAND, LONGEST_UNREADY + 2) > LONGEST_UNREADY + 2


def test_a_pause_that_the_server_has_asked_for_is_kept() -> None:
    way = Way()
    way.call(Ending.OVERLOADED, 0.0, retry_after=20.0)
    way.recovery.is_unwell(1.0, answers=True)
    way.recovery.is_well(2.0)
    assert way.opens_at(2.0) == 20.0


def test_a_call_that_is_served_ends_every_doubt() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    way.recovery.is_unwell(1.0, answers=False)
    way.call(Ending.SERVED, 2.0)
    assert way.recovery.ready_at(DEMAND, 2.0) <= 2.0
    way.recovery.is_unwell(3.0, answers=False)
    assert way.recovery.ready_at(DEMAND, 3.0) <= 3.0
    assert way.recovery.snapshot(3.0) == {"trouble": None, "held_for_seconds": 0.0}


def test_operators_see_what_is_held_and_why() -> None:
    way = Way()
    way.call(Ending.UNREACHABLE, 0.0)
    assert way.recovery.snapshot(5.0) == {
        "trouble": Trouble.UNREACHABLE.value,
        "held_for_seconds": BELIEVED_FOR - 5.0,
    }
    assert way.recovery.expected_wait(NOTHING_AHEAD, DEMAND, 5.0) == BELIEVED_FOR - 5.0
