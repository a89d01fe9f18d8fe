"""The counters of fair queueing: no credit for idling, debts that end, and no memory left."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.scheduling.shares import Share, ShareTable


def _serve(table: ShareTable[str], share: Share[str], tokens: float) -> None:
    table.start(share, tokens)
    table.settle(share, tokens, tokens)


def test_what_is_served_counts_by_weight() -> None:
    table: ShareTable[str] = ShareTable()
    light, heavy = table.enter("light", 1.0), table.enter("heavy", 4.0)
    table.start(light, 100)
    table.start(heavy, 100)
    assert (light.counter, heavy.counter) == (100.0, 25.0)
    assert (light.served, heavy.served) == (0.0, 0.0)
    table.settle(light, 100, 40)
    table.settle(heavy, 100, 400)
    assert (light.counter, heavy.counter) == (light.served, heavy.served) == (40.0, 100.0)


def test_a_call_that_comes_to_nothing_costs_nothing() -> None:
    table: ShareTable[str] = ShareTable()
    share = table.enter("a", 2.0)
    table.start(share, 100)
    table.settle(share, 100, 0)
    assert share.counter == share.served == 0


def test_the_virtual_time_is_what_whoever_is_served_has_really_used() -> None:
    table: ShareTable[str] = ShareTable()
    share = table.enter("a", 1.0)
    for _ in range(10):
        table.start(share, 4000)
    assert table.virtual_time == 0
    for _ in range(10):
        table.settle(share, 4000, 100)
    table.start(share, 4000)
    assert table.virtual_time == 1000


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
    table.start(streaming, 50)
    table.leave(streaming)
    for _ in range(10):
        _serve(table, busy, 100)
    assert table.enter("streaming", 1.0) is streaming
    assert streaming.counter == 900


def test_who_waits_keeps_what_others_got_meanwhile_but_for_a_few_calls() -> None:
    """A call or two are a turn that was missed; hours are a target that was closed for hours."""
    table: ShareTable[str] = ShareTable()
    busy, blocked = table.enter("busy", 1.0), table.enter("blocked", 1.0)
    for _ in range(4):
        _serve(table, busy, 10)
    table.start(blocked, 10)
    assert blocked.counter == 10
    for _ in range(1000):
        _serve(table, busy, 10)
    table.start(blocked, 10)
    assert table.virtual_time == 10_030
    assert blocked.counter == 10_030 - 40 + 10


def test_small_jobs_lose_nothing_to_the_large_ones_of_others() -> None:
    table: ShareTable[str] = ShareTable()
    small, large = table.enter("small", 1.0), table.enter("large", 1.0)
    served = {"small": 0.0, "large": 0.0}
    for _ in range(5000):
        share, tokens = (large, 1000) if large.counter < small.counter else (small, 5)
        _serve(table, share, tokens)
        served[share.key] += tokens
    assert abs(served["large"] - served["small"]) <= 1000


def test_a_share_in_debt_is_kept_until_the_virtual_time_has_passed_it() -> None:
    table: ShareTable[str] = ShareTable()
    other, greedy = table.enter("other", 1.0), table.enter("greedy", 1.0)
    _serve(table, greedy, 1000)
    table.leave(greedy)
    for _ in range(9):
        _serve(table, other, 100)
    assert len(table) == 2
    assert table.enter("greedy", 1.0).counter == 1000
    table.leave(greedy)
    for _ in range(2):
        _serve(table, other, 100)
    assert len(table) == 1
    assert table.enter("greedy", 1.0).counter == table.virtual_time == 1000


def test_debts_end_when_nobody_is_left_to_whom_they_matter() -> None:
    table: ShareTable[str] = ShareTable()
    for number in range(100):
        share = table.enter(f"client-{number}", 1.0)
        table.start(share, 1000)
        table.leave(share)
        table.settle(share, 1000, 1000)
        assert len(table) == 0
    assert table.enter("client-0", 1.0).counter == table.virtual_time


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.floats(1, 1000)), max_size=80))
def test_only_shares_that_matter_are_kept(steps: list[tuple[int, int, float]]) -> None:
    """Any order of coming, starting, settling and leaving; nobody is forgotten too early."""
    table: ShareTable[int] = ShareTable()
    waiting: list[Share[int]] = []
    running: list[tuple[Share[int], float]] = []
    for key, what, cost in steps:
        virtual_time = table.virtual_time
        if what == 0:
            share = table.enter(key, 1.0 + key)
            assert share.counter >= table.virtual_time or share.waiting > 1
            waiting.append(share)
        elif what == 1 and waiting:
            share = min(waiting, key=lambda share: share.counter)
            table.start(share, cost)
            running.append((share, cost))
        elif what == 2 and running:
            share, charged = running.pop(key % len(running))
            table.settle(share, charged, cost)
        elif what == 3 and waiting:
            table.leave(waiting.pop(key % len(waiting)))
        assert table.virtual_time >= virtual_time
        matter = {share.key for share in waiting} | {share.key for share, _ in running}
        assert len(matter) <= len(table) <= (5 if matter else 0)
        for share in {*waiting, *(share for share, _ in running)}:
            assert share.pending >= -1e-6
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
    _serve(table, impatient, 1e9)
    table.leave(impatient)
    tracemalloc.start()
    try:
        for _ in range(5000):
            table.leave(table.enter("impatient", 1.0))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000
