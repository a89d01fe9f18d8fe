"""Gates that say they are dormant are passed over: there must be nothing to miss."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import pytest

from forebay.actors.scheduling.admission import Admission
from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome
from forebay.actors.scheduling.recovery import Recovery
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.ways import Way

_SERVED = Outcome(ending=Ending.SERVED, tokens=50.0)
_DEMAND = Demand(100.0, 20.0)


def _all_that_may_sleep(random: Random) -> tuple[Admission, CircuitBreaker, Cooldown, Recovery]:
    breaker = CircuitBreaker("breaker", random, failures_to_open=2)
    cooldown = Cooldown("cooldown", random)
    recovery = Recovery("recovery", breaker, cooldown, hears_of_readiness=True)
    recovery.in_doubt = lambda: True
    return Admission("admission"), breaker, cooldown, recovery


@pytest.mark.parametrize("seed", range(16))
def test_a_dormant_gate_is_open_and_calls_that_go_well_leave_it_as_it_is(seed: int) -> None:
    random = Random(seed)
    gates = _all_that_may_sleep(random)
    admission, _, _, recovery = gates
    now = 0.0
    running: list[Call] = []
    slept = dict.fromkeys(gates, 0)
    for _ in range(300):
        now += random.choice([0.0, 0.01, 1.0, 20.0])
        for gate in gates:
            if gate.is_dormant:
                slept[gate] += 1
                if random.random() < 0.1:
                    _assert_sleeps(gate, now)
        dice = random.random()
        if dice < 0.4 and all(gate.ready_at(_DEMAND, now) <= now for gate in gates):
            running.append(call := Call(_DEMAND, now))
            for gate in gates:
                gate.take(call, now)
        elif dice < 0.6 and running:
            call = random.choice(running)
            for gate in gates:
                gate.accepted(call, now)
        elif dice < 0.93 and running:
            call = running.pop(random.randrange(len(running)))
            ending = random.choice([Ending.SERVED, *Ending])
            retry_after = random.choice([None, 3.0]) if ending is Ending.OVERLOADED else None
            for gate in gates:
                gate.finish(call, Outcome(ending=ending, retry_after=retry_after), now)
        elif dice < 0.95:
            admission.exclude("no credit", now)
        elif dice < 0.97:
            admission.begin_trial()
        elif dice < 0.985:
            recovery.is_unwell(now, answers=random.random() < 0.5)
        else:
            recovery.is_well(now)
    assert all(slept.values())


def _assert_sleeps(gate: Gate, now: float) -> None:
    assert gate.ready_at(_DEMAND, now) <= now
    awake = deepcopy(gate)
    call = Call(_DEMAND, now)
    awake.take(call, now)
    _assert_alike(awake, gate, now)
    awake.accepted(call, now)
    _assert_alike(awake, gate, now)
    awake.finish(call, _SERVED, now)
    _assert_alike(awake, gate, now)


def _assert_alike(one: Gate, other: Gate, now: float) -> None:
    assert one.is_dormant
    assert other.is_dormant
    for later in (now, now + 0.1, now + 100):
        assert one.snapshot(later) == other.snapshot(later)
        assert one.memory(later) == other.memory(later)
        assert max(later, one.ready_at(_DEMAND, later)) == max(
            later, other.ready_at(_DEMAND, later)
        )
    trouble, at = Call(_DEMAND, now), now + 1.0
    one, other = deepcopy(one), deepcopy(other)
    for each in (one, other):
        each.take(trouble, at)
        each.finish(trouble, Outcome(ending=Ending.FAILED), at)
    # Nothing was missed that counts when things go wrong later.
    assert one.is_dormant == other.is_dormant
    assert one.snapshot(at) == other.snapshot(at)


@pytest.mark.parametrize("number", range(4))
def test_every_gate_that_may_sleep_is_asleep_until_something_happens(number: int) -> None:
    assert _all_that_may_sleep(Random(1))[number].is_dormant


def test_an_account_that_is_out_does_not_sleep() -> None:
    admission = Admission("admission")
    admission.exclude("no credit", 1.0)
    assert not admission.is_dormant
    admission.begin_trial()
    assert not admission.is_dormant
    admission.take(trial := Call(_DEMAND, 2.0), 2.0)
    admission.accepted(trial, 3.0)
    assert admission.is_dormant


def test_a_breaker_sleeps_again_once_its_failures_are_forgotten() -> None:
    breaker = CircuitBreaker("breaker", Random(1), failures_to_open=3)
    for _ in range(2):
        breaker.take(call := Call(_DEMAND, 1.0), 1.0)
        breaker.finish(call, Outcome(ending=Ending.FAILED), 1.0)
        assert not breaker.is_dormant
    breaker.take(call := Call(_DEMAND, 2.0), 2.0)
    breaker.finish(call, _SERVED, 2.0)
    assert breaker.is_dormant


def test_a_cooldown_stays_awake_while_it_counts_who_is_let_through() -> None:
    cooldown = Cooldown("cooldown", Random(1))
    cooldown.take(call := Call(_DEMAND, 0.0), 0.0)
    cooldown.finish(call, Outcome(ending=Ending.OVERLOADED, retry_after=2.0), 0.0)
    now = 2.0
    for _ in range(64):
        now = max(now, cooldown.ready_at(_DEMAND, now))
        cooldown.take(call := Call(_DEMAND, now), now)
        assert not cooldown.is_dormant
    cooldown.accepted(call, now)
    assert cooldown.is_dormant


def test_a_way_knows_at_once_which_of_its_gates_are_awake() -> None:
    gates = (Admission("admission"), SlotGate("slots", 1), CircuitBreaker("breaker", Random(1)))
    admission, slots, breaker = gates
    way = Way(gates)
    assert (way.awake(), way.hearing(), way.alike()) == ((slots,), (), (slots,))
    admission.exclude("no credit", 1.0)
    breaker.found_unreachable(1.0)
    assert way.awake() == gates
    assert way.hearing() == (admission, breaker)
    assert way.alike() == (breaker, slots, admission)
    admission.forgive(2.0)
    assert way.awake() == (slots, breaker)
    assert way.gates == gates
