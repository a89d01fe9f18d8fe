"""The circuit breaker: it opens after failures in a row, and one call at a time probes."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forebay.actors.scheduling.breaker import CircuitBreaker, CircuitState
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Outcome

_DEMAND = Demand(tokens=10.0)
_BROKEN = (Ending.FAILED, Ending.UNREACHABLE)
_ALIVE = (Ending.SERVED, Ending.REFUSED, Ending.OVERLOADED)
_SILENT = (Ending.UNUSED, Ending.ABANDONED)


class _Circuit:
    """A breaker that opens after three failures, for 5 to 2.5 seconds at first."""

    def __init__(self) -> None:
        self.breaker = CircuitBreaker("b", Random(1), failures_to_open=3, initial_pause=5.0)

    def start(self, now: float) -> Call:
        assert self.may_start(now)
        call = Call(_DEMAND, now)
        self.breaker.take(call, now)
        return call

    def may_start(self, now: float) -> bool:
        return self.breaker.ready_at(_DEMAND, now) <= now

    def end(self, call: Call, ending: Ending, now: float) -> None:
        self.breaker.finish(call, Outcome(ending=ending), now)

    def call(self, ending: Ending, now: float) -> None:
        self.end(self.start(now), ending, now)

    def state(self) -> CircuitState:
        return self.breaker.state


@pytest.fixture
def circuit() -> _Circuit:
    return _Circuit()


@pytest.fixture
def open_circuit(circuit: _Circuit) -> _Circuit:
    """Opened at 0."""
    for _ in range(3):
        circuit.call(Ending.FAILED, 0.0)
    assert circuit.state() is CircuitState.OPEN
    return circuit


@pytest.mark.parametrize("ending", _BROKEN)
def test_it_opens_after_so_many_failures_in_a_row(circuit: _Circuit, ending: Ending) -> None:
    circuit.call(ending, 0.0)
    circuit.call(ending, 0.0)
    assert circuit.state() is CircuitState.CLOSED
    circuit.call(ending, 0.0)
    assert circuit.state() is CircuitState.OPEN
    assert not circuit.may_start(2.4)
    assert circuit.may_start(5.0)


@pytest.mark.parametrize("ending", _ALIVE)
def test_a_sign_of_life_ends_the_row(circuit: _Circuit, ending: Ending) -> None:
    for _ in range(10):
        circuit.call(Ending.FAILED, 0.0)
        circuit.call(Ending.FAILED, 0.0)
        circuit.call(ending, 0.0)
    assert circuit.state() is CircuitState.CLOSED


@pytest.mark.parametrize("ending", _SILENT)
def test_calls_that_say_nothing_neither_count_nor_end_the_row(
    circuit: _Circuit, ending: Ending
) -> None:
    for _ in range(20):
        circuit.call(ending, 0.0)
    assert circuit.state() is CircuitState.CLOSED
    for each in (Ending.FAILED, ending, Ending.FAILED, ending, Ending.FAILED):
        circuit.call(each, 0.0)
    assert circuit.state() is CircuitState.OPEN


def test_one_call_probes_and_everybody_else_waits(open_circuit: _Circuit) -> None:
    probe = open_circuit.start(6.0)
    assert open_circuit.state() is CircuitState.HALF_OPEN
    assert open_circuit.breaker.ready_at(_DEMAND, 1e9) == inf
    open_circuit.breaker.accepted(probe, 6.5)
    assert open_circuit.state() is CircuitState.CLOSED
    open_circuit.end(probe, Ending.SERVED, 7.0)
    assert open_circuit.may_start(7.0)


@pytest.mark.parametrize("ending", _ALIVE)
def test_a_probe_that_finds_life_closes_it(open_circuit: _Circuit, ending: Ending) -> None:
    open_circuit.call(ending, 6.0)
    assert open_circuit.state() is CircuitState.CLOSED
    # And the row begins anew.
    open_circuit.call(Ending.FAILED, 6.0)
    open_circuit.call(Ending.FAILED, 6.0)
    assert open_circuit.state() is CircuitState.CLOSED


@pytest.mark.parametrize("ending", _BROKEN)
def test_a_probe_that_fails_opens_it_for_longer(open_circuit: _Circuit, ending: Ending) -> None:
    open_circuit.call(ending, 6.0)
    assert open_circuit.state() is CircuitState.OPEN
    assert not open_circuit.may_start(10.9)
    assert open_circuit.may_start(16.0)


@pytest.mark.parametrize("ending", _SILENT)
def test_an_abandoned_probe_frees_the_next(open_circuit: _Circuit, ending: Ending) -> None:
    open_circuit.call(ending, 6.0)
    assert open_circuit.state() is CircuitState.OPEN
    assert open_circuit.may_start(6.0)


@pytest.mark.parametrize("ending", [*_BROKEN, *_SILENT])
def test_the_end_of_an_older_call_says_nothing_of_the_probe(
    circuit: _Circuit, ending: Ending
) -> None:
    older = [circuit.start(0.0) for _ in range(2)]
    for _ in range(3):
        circuit.call(Ending.FAILED, 0.0)
    circuit.end(older[0], ending, 1.0)
    assert not circuit.may_start(2.4)
    probe = circuit.start(6.0)
    circuit.end(older[1], ending, 7.0)
    assert circuit.breaker.ready_at(_DEMAND, 1e9) == inf
    circuit.end(probe, Ending.SERVED, 8.0)
    assert circuit.state() is CircuitState.CLOSED


def test_failures_while_it_is_open_do_not_keep_it_open(circuit: _Circuit) -> None:
    under_way = [circuit.start(0.0) for _ in range(10)]
    for second, call in enumerate(under_way):
        circuit.end(call, Ending.FAILED, float(second) / 2)
    # Opened by the third, at 1 s.
    assert circuit.may_start(6.0)


def test_the_expected_wait_is_the_rest_of_the_pause(open_circuit: _Circuit) -> None:
    rest = open_circuit.breaker.expected_wait(Backlog(3, 30.0), _DEMAND, 1.0)
    assert 1.5 <= rest <= 4.0
    assert open_circuit.breaker.snapshot(1.0) == {"state": "open", "consecutive_failures": 3}


class BreakerMachine(RuleBasedStateMachine):
    """Any calls, ending in any order: at most one probe, and never shut for good."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = _Circuit()
        self.now = 0.0
        self.under_way: list[Call] = []
        self.probe: Call | None = None

    @rule()
    @precondition(lambda self: self.circuit.may_start(self.now))
    def start(self) -> None:
        was_open = self.circuit.state() is CircuitState.OPEN
        call = self.circuit.start(self.now)
        self.under_way.append(call)
        if was_open:
            assert self.probe is None or self.probe not in self.under_way
            self.probe = call

    @rule(data=st.data(), ending=st.sampled_from(Ending), accepted=st.booleans())
    @precondition(lambda self: self.under_way)
    def end(self, data: st.DataObject, ending: Ending, accepted: bool) -> None:
        call = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if accepted and ending in (Ending.SERVED, Ending.FAILED, Ending.ABANDONED):
            self.circuit.breaker.accepted(call, self.now)
        self.circuit.end(call, ending, self.now)
        if call is self.probe or self.circuit.state() is CircuitState.CLOSED:
            self.probe = None

    @rule(seconds=st.floats(0.1, 70))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_is_half_open_exactly_while_a_probe_is_out(self) -> None:
        half_open = self.circuit.state() is CircuitState.HALF_OPEN
        assert half_open == (self.probe is not None)

    @invariant()
    def without_a_probe_it_opens_by_itself(self) -> None:
        if self.probe is None:
            assert self.circuit.may_start(self.now + 60.0)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
