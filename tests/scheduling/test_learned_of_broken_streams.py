"""Calls that are refused in the middle of their answers: they were let through, whatever broke."""

from __future__ import annotations

from random import Random

import pytest

from forebay.actors.scheduling.gates import Call, Demand, Ending, Outcome
from forebay.actors.scheduling.learned import LearnedLimit


def _after(outcome: Outcome) -> dict[str, float | int | str | None]:
    """What is known after a minute of calls of which the last ended so, half a minute after its
    start."""
    gate = LearnedLimit("learned", Random(1))
    now = 0.0
    for _ in range(60):
        call = Call(Demand(100.0), now)
        gate.take(call, now)
        gate.accepted(call, now + 0.1)
        gate.finish(call, Outcome(ending=Ending.SERVED), now + 0.5)
        now += 1
    last = Call(Demand(100.0), now)
    gate.take(last, now)
    gate.accepted(last, now + 0.1)
    gate.finish(last, outcome, now + 30)
    assert gate.ready_at(Demand(100.0), now + 30) <= now + 30
    return gate.snapshot(now + 30)


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.OVERLOADED])
def test_a_call_that_is_refused_in_the_middle_says_nothing_of_how_many_are_let_through(
    ending: Ending,
) -> None:
    begun = Outcome(ending=ending, tokens=40.0, output=10.0, has_begun=True)
    broken = Outcome(ending=Ending.FAILED, tokens=40.0, output=10.0)
    assert _after(begun) == _after(broken)
