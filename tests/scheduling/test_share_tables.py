"""The counters of fair queueing: no credit for idling, debts that end, and no memory left."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.shares import Share, ShareTable


def _serve(table: ShareTable[str], share: Share[str], cost: float) -> None:
    """As a pool does: the virtual time is that of whoever is served."""
    table.advance(share.counter)
    table.start(share, cost)


def test_what_is_served_counts_by_weight() -> None:
    table: ShareTable[str] = ShareTable()
    light, heavy = table.enter("light", 1.0), table.enter("heavy", 4.0)
    _serve(table, light, 100)
    _serve(table, heavy, 100)
    assert (light.counter, heavy.counter) == (100.0, 25.0)
    table.settle(light, 100, 40)
    table.settle(heavy, 100, 400)
    assert (light.counter, heavy.counter) == (40.0, 100.0)


def test_a_share_that_comes_back_from_idle_has_earned_nothing() -> None:
    table: ShareTable[str] = ShareTable()
    busy, other = table.enter("busy", 1.0), table.enter("other", 1.0)
    table.leave(other)
    for _ in range(10):
        _serve(table, busy, 100)
    assert table.enter("other", 1.0).counter == table.virtual_time == 900


def test_neither_has_one_that_only_had_a_long_call_under_way() -> None:
    table: ShareTable[str] = ShareTable()
    busy, streaming = table.enter("busy", 1.0), table.enter("streaming", 1.0)
    _serve(table, streaming, 50)
    table.leave(streaming)
    for _ in range(10):
        _serve(table, busy, 100)
    assert table.enter("streaming", 1.0) is streaming
    assert streaming.counter == 900


def test_who_waits_keeps_what_others_got_meanwhile_but_for_a_few_calls() -> None:
    """Two calls late is a turn lost; hours late is a target that was closed for hours."""
    table: ShareTable[str] = ShareTable()
    busy, blocked = table.enter("busy", 1.0), table.enter("blocked", 1.0)
    _serve(table, blocked, 10)
    for _ in range(3):
        _serve(table, busy, 10)
    table.start(blocked, 10)
    assert blocked.counter == 20
    for _ in range(1000):
        _serve(table, busy, 10)
    table.start(blocked, 10)
    assert blocked.counter == table.virtual_time - 30


def test_a_share_in_debt_is_kept_until_the_virtual_time_has_passed_it() -> None:
    table: ShareTable[str] = ShareTable()
    other = table.enter("other", 1.0)
    greedy = table.enter("greedy", 1.0)
    table.start(greedy, 1000)
    table.leave(greedy)
    table.settle(greedy, 1000, 1000)
    table.advance(999)
    assert len(table) == 2
    assert table.enter("greedy", 1.0).counter == 1000
    table.leave(greedy)
    table.advance(1000)
    assert len(table) == 1
    assert table.enter("greedy", 1.0).counter == 1000
    assert other.waiting == 1


def test_debts_end_when_nobody_is_left_to_whom_they_matter() -> None:
    table: ShareTable[str] = ShareTable()
    for number in range(100):
        share = table.enter(f"client-{number}", 1.0)
        table.start(share, 1000)
        table.leave(share)
        table.settle(share, 1000, 1000)
        assert len(table) == 0
    assert table.enter("client-0", 1.0).counter == table.virtual_time


def test_the_virtual_time_falls_with_those_who_used_less_than_was_thought() -> None:
    """Else who comes would wait until they have caught up with what was never used."""
    table: ShareTable[str] = ShareTable()
    noisy = table.enter("noisy", 1.0)
    for _ in range(100):
        _serve(table, noisy, 4000)
    assert table.virtual_time == 99 * 4000
    for _ in range(100):
        table.settle(noisy, 4000, 100)
    assert noisy.counter == 100 * 100
    newcomer = table.enter("newcomer", 1.0)
    assert newcomer.counter - noisy.counter <= 3900


def test_the_virtual_time_does_not_fall_to_one_who_is_late_for_another_reason() -> None:
    table: ShareTable[str] = ShareTable()
    busy, blocked = table.enter("busy", 1.0), table.enter("blocked", 1.0)
    table.start(blocked, 100)
    for _ in range(1000):
        _serve(table, busy, 100)
    before = table.virtual_time
    table.settle(blocked, 100, 10)
    assert table.virtual_time == before
    table.settle(busy, 100, 10)
    assert table.virtual_time == before


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.floats(1, 1000)), max_size=80))
def test_only_shares_that_matter_are_kept(steps: list[tuple[int, int, float]]) -> None:
    """Any order of coming, starting, settling and leaving; nobody is forgotten too early."""
    table: ShareTable[int] = ShareTable()
    waiting: list[Share[int]] = []
    running: list[tuple[Share[int], float]] = []
    for key, what, cost in steps:
        if what == 0:
            share = table.enter(key, 1.0 + key)
            assert share.counter >= table.virtual_time or share.waiting > 1
            waiting.append(share)
        elif what == 1 and waiting:
            share = waiting[key % len(waiting)]
            table.advance(min(each.counter for each in waiting))
            table.start(share, cost)
            running.append((share, cost))
        elif what == 2 and running:
            share, charged = running.pop(key % len(running))
            table.settle(share, charged, cost)
        elif what == 3 and waiting:
            table.leave(waiting.pop(key % len(waiting)))
        matter = {share.key for share in waiting} | {share.key for share, _ in running}
        assert len(table) >= len(matter)
        assert len(table) <= (5 if matter else 0)
        for share in waiting:
            assert table.enter(share.key, share.weight) is share
            table.leave(share)
    for share, charged in running:
        table.settle(share, charged, charged)
    for share in waiting:
        table.leave(share)
    assert len(table) == 0


def test_coming_and_leaving_in_debt_leaves_no_trace() -> None:
    """A client in debt that tries and gives up all night, while another waits."""
    table: ShareTable[str] = ShareTable()
    table.enter("waits", 1.0)
    impatient = table.enter("impatient", 1.0)
    table.start(impatient, 1e9)
    table.settle(impatient, 1e9, 1e9)
    table.leave(impatient)
    tracemalloc.start()
    try:
        for _ in range(5000):
            table.leave(table.enter("impatient", 1.0))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000
