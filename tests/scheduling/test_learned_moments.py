"""Upstreams that answer in the moment in which they are asked: time has to pass after a refusal."""

from __future__ import annotations

from random import Random

import pytest

from forebay.actors.scheduling.gates import Call, Demand, Ending, Outcome
from forebay.actors.scheduling.learned import LearnedLimit

_DEMAND = Demand(10.0)
_MOST = 100


def _ask_while_ready(gate: LearnedLimit, passes: int, now: float) -> int:
    """Call for as long as the gate lets us; the first ``passes`` calls are served at once and all
    others refused.

    Returns:
        How many were refused.
    """
    refused = 0
    while refused < _MOST and gate.ready_at(_DEMAND, now) <= now:
        call = Call(_DEMAND, now)
        gate.take(call, now)
        if passes:
            passes -= 1
            gate.accepted(call, now)
            gate.finish(call, Outcome(ending=Ending.SERVED), now)
        else:
            refused += 1
            gate.finish(call, Outcome(ending=Ending.REFUSED), now)
    return refused


@pytest.mark.parametrize("passes", [0, 1, 2, 10])
def test_nobody_is_asked_twice_in_the_moment_of_a_refusal(passes: int) -> None:
    """A call that is refused in the moment in which another one was let through is no old news."""
    gate = LearnedLimit("learned", Random(1))
    now = 0.0
    for _ in range(50):
        assert _ask_while_ready(gate, passes, now) <= 1
        now = max(now + 0.001, gate.ready_at(_DEMAND, now))
