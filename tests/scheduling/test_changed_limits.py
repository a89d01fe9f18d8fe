"""Limits that are configured anew while calls are under way: what was taken stays taken."""

from __future__ import annotations

import pytest

from forebay.actors.config import LimitSettings
from forebay.actors.providers.budgets import budget_gates, carried_on, slot_gates
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome
from forebay.actors.scheduling.shares import ShareTable
from forebay.actors.scheduling.windows import Shape

NOON = 43_200.0
ONE = Demand(1.0)


def day_gate(limit: int, shape: Shape) -> Gate:
    (gate,) = budget_gates("a", LimitSettings(rpd=limit, day_shape=shape))
    return gate


def free(gate: Gate, now: float) -> int:
    """How many calls may start at once."""
    calls = 0
    while gate.ready_at(ONE, now) <= now:
        gate.take(Call(ONE, now), now)
        calls += 1
    return calls


@pytest.fixture
async def _clock(autojump_clock: object) -> None:
    """Fixed windows are made by the clock."""


@pytest.mark.usefixtures("_clock")
@pytest.mark.parametrize("before", Shape)
@pytest.mark.parametrize("after", Shape)
@pytest.mark.parametrize(("limit", "left"), [(10, 6), (20, 16), (5, 1), (3, 0)])
async def test_what_was_taken_of_a_day_stays_taken(
    before: Shape, after: Shape, limit: int, left: int
) -> None:
    old = day_gate(10, before)
    for _ in range(4):
        old.take(Call(ONE, 0.0), 0.0)
    (gate,) = carried_on([old], [day_gate(limit, after)], 0.0)
    assert (gate is old) == (before is after)
    assert free(gate, 0.0) == left


def test_calls_keep_their_slots_when_there_are_fewer() -> None:
    (old,) = slot_gates("a", LimitSettings(concurrency=3))
    calls = [Call(ONE, 0.0) for _ in range(3)]
    for call in calls:
        old.take(call, 0.0)
    (gate,) = carried_on([old], slot_gates("a", LimitSettings(concurrency=1)), 0.0)
    for call in calls[:2]:
        gate.finish(call, Outcome(ending=Ending.SERVED), 1.0)
        assert gate.ready_at(ONE, 1.0) > 1.0
    gate.finish(calls[2], Outcome(ending=Ending.SERVED), 1.0)
    assert gate.ready_at(ONE, 1.0) == 1.0


def test_a_limit_that_is_gone_is_gone_and_a_new_one_begins() -> None:
    old = budget_gates("a", LimitSettings(rpm=60))
    new = budget_gates("a", LimitSettings(tpm=60))
    assert list(carried_on(old, new, 0.0)) == new


def test_a_share_with_another_weight_owes_the_same_tokens() -> None:
    table: ShareTable[str] = ShareTable()
    share = table.enter("a", 1.0)
    table.start(share, 100.0)
    assert share.counter == 100.0
    table.change_weight(share, 4.0)
    assert share.counter == 25.0
    table.settle(share, 100.0, 40.0)
    assert share.counter == 10.0
