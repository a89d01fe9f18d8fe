"""A gate that goes on from what another remembered bounds calls as that one would have."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome, Unit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import FixedWindowGate, RollingWindowGate, Shape

AWAY = 10.0
"""Seconds from the last word of the one to the first of the other."""


class WindowTold(ToldLimit):
    """Is told of a limit that comes back at once."""


GATES: dict[str, Callable[[], Gate]] = {
    "rate": lambda: RateGate("rate", Unit.TOKENS, rate=10, burst=300),
    "rolling": lambda: RollingWindowGate("rolling", Unit.TOKENS, limit=600, window=60),
    "fixed": lambda: FixedWindowGate("fixed", Unit.TOKENS, limit=600, window=60, ends_at=60),
    "told": lambda: ToldLimit("told", Unit.TOKENS),
    "told of windows": lambda: WindowTold("told", Unit.TOKENS),
    "cooldown": lambda: Cooldown("cooldown", Random(1)),
}
STEPS = st.lists(st.tuples(st.floats(1, 500), st.floats(0, 30)), min_size=1, max_size=12)


def use(gate: Gate, steps: list[tuple[float, float]]) -> float:
    """Calls one after the other, each as soon as it may; when the last one started."""
    now = 0.0
    for tokens, pause in steps:
        now = max(now + pause, gate.ready_at(Demand(tokens), now + pause))
        call = Call(Demand(tokens), now)
        gate.take(call, now)
        match gate:
            case ToldLimit():
                shape = Shape.FIXED if isinstance(gate, WindowTold) else Shape.SMOOTH
                told = Told(limit=600, remaining=400, resets_in=30, window=60, shape=shape)
                gate.hear(told, call, now)
            case Cooldown():
                refused = Outcome(ending=Ending.REFUSED, retry_after=tokens / 10)
                gate.finish(call, refused, now)
    return now


def opens_at(gate: Gate, asked: float, now: float) -> float:
    return max(now, gate.ready_at(Demand(asked), now))


@pytest.mark.parametrize("kind", GATES)
@given(steps=STEPS, asked=st.floats(1, 500))
def test_it_opens_when_the_other_would_have(
    kind: str, steps: list[tuple[float, float]], asked: float
) -> None:
    before, after = GATES[kind](), GATES[kind]()
    left_at = use(before, steps)
    after.recall(before.memory(left_at), left_at)
    back_at = left_at + AWAY
    expected = opens_at(before, asked, back_at)
    assert opens_at(after, asked, back_at) == pytest.approx(expected, abs=0.1)


def test_what_was_never_used_bounds_no_more_than_before() -> None:
    for make in GATES.values():
        before, after = make(), make()
        memory = before.memory(100.0)
        if memory:
            after.recall(memory, 100.0)
        assert opens_at(after, 100.0, 200.0) == 200.0


def test_windows_that_ended_while_nobody_was_there_are_over() -> None:
    for kind in ("rolling", "fixed", "told of windows"):
        before, after = GATES[kind](), GATES[kind]()
        left_at = use(before, [(590.0, 1.0)])
        after.recall(before.memory(left_at), left_at)
        assert opens_at(after, 500.0, left_at + 200.0) == left_at + 200.0
