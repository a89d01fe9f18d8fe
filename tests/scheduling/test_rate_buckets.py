"""Buckets and rate gates: never more than a burst and the rate, debt, and honest settlements."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Outcome, Unit
from forebay.actors.scheduling.rates import Bucket, RateGate

_RATES = st.floats(0.01, 1000)
_BURSTS = st.floats(1, 1000)
_AMOUNTS = st.floats(1, 5000)
_PAUSES = st.floats(0, 100)

_TOKENS = Demand(tokens=100.0)


def _start(gate: RateGate, now: float, tokens: float = 100.0) -> Call:
    call = Call(Demand(tokens), now)
    assert gate.ready_at(call.demand, now) <= now
    gate.take(call, now)
    return call


@given(
    rate=_RATES,
    burst=_BURSTS,
    steps=st.lists(st.tuples(_AMOUNTS, _PAUSES), max_size=40),
    start=st.floats(0, 1e6),
)
def test_in_any_interval_no_more_than_a_burst_and_the_rate(
    rate: float, burst: float, steps: list[tuple[float, float]], start: float
) -> None:
    """Whoever always takes as soon as allowed; one demand above the burst may come on top."""
    bucket = Bucket(rate, burst)
    now = start
    times: list[float] = []
    for amount, pause in steps:
        now = max(now + pause, bucket.ready_at(amount, now + pause))
        assert bucket.ready_at(amount, now) <= now
        bucket.take(amount, now)
        times.append(now)
    sums = [0.0, *accumulate(amount for amount, _ in steps)]
    for first, began in enumerate(times):
        for last, ended in enumerate(times[first:], first):
            taken = sums[last + 1] - sums[first]
            above_burst = max(0.0, steps[last][0] - burst)
            allowed = burst + rate * (ended - began) + above_burst
            assert taken <= allowed * (1 + 1e-6) + 1e-6 * rate * max(1.0, ended)


@given(rate=_RATES, burst=_BURSTS, now=st.floats(0, 1e6))
@example(rate=0.01, burst=1.0, now=0.1)
def test_a_full_bucket_gives_its_whole_burst_at_once(rate: float, burst: float, now: float) -> None:
    """To the last bit of the clock: who may not wait at all would be refused else."""
    bucket = Bucket(rate, burst)
    assert bucket.ready_at(burst, now) <= now
    assert bucket.ready_at(burst * 100, now) <= now


@given(rate=_RATES, burst=_BURSTS, amount=_AMOUNTS, now=st.floats(0, 1e6))
def test_the_time_that_a_bucket_names_is_the_time(
    rate: float, burst: float, amount: float, now: float
) -> None:
    bucket = Bucket(rate, burst)
    bucket.take(burst, now)
    ready = bucket.ready_at(amount, now)
    assert ready >= now
    assert bucket.ready_at(amount, ready) <= ready
    if ready > now + 1e-3:
        assert bucket.ready_at(amount, ready - 1e-3) > ready - 1e-3


def test_a_demand_above_the_burst_starts_from_a_full_bucket_and_is_paid_off() -> None:
    bucket = Bucket(rate=10, burst=100)
    bucket.take(1, now=0)
    assert bucket.ready_at(500, now=0) == pytest.approx(0.1)
    bucket.take(500, now=0.1)
    assert bucket.level(0.1) == pytest.approx(-400)
    # 400 units of debt, and one more.
    assert bucket.ready_at(1, now=0.1) == pytest.approx(40.2)
    assert bucket.ready_at(500, now=0.1) == pytest.approx(50.1)


@given(amounts=st.lists(st.floats(1, 100), min_size=1, max_size=20), pause=_PAUSES)
def test_what_is_given_back_can_be_taken_again_and_never_more(
    amounts: list[float], pause: float
) -> None:
    bucket = Bucket(rate=7, burst=50)
    for amount in amounts:
        bucket.take(amount, now=0)
    level = min(50.0, bucket.level(0) + pause * 7)
    for amount in amounts:
        bucket.give_back(amount, now=pause)
        level = min(50.0, level + amount)
        assert bucket.level(pause) == pytest.approx(level)
    assert bucket.ready_at(50, now=pause) <= pause + 1e-9


@given(
    taken=st.floats(0, 500), rate=_RATES, burst=_BURSTS, new_rate=_RATES, new_burst=_BURSTS,
    now=st.floats(0, 1e4),
)  # fmt: skip
def test_another_rate_keeps_what_is_owed(
    taken: float, rate: float, burst: float, new_rate: float, new_burst: float, now: float
) -> None:
    bucket = Bucket(rate, burst)
    bucket.take(taken, now)
    bucket.set_rate(new_rate, new_burst, now)
    missing = min(taken, burst)
    debt = taken - missing
    expected = new_burst - min(missing, new_burst) - debt
    assert bucket.level(now) == pytest.approx(expected, rel=1e-3, abs=1e-3 * (1 + new_rate))


def test_another_rate_holds_from_now_on() -> None:
    bucket = Bucket(rate=1, burst=10)
    bucket.take(10, now=5)
    bucket.set_rate(100, 10, now=5)
    assert bucket.ready_at(10, now=5) == pytest.approx(5.1)


def test_a_request_gate_counts_requests_and_a_token_gate_their_tokens() -> None:
    requests = RateGate("r", Unit.REQUESTS, rate=1, burst=3)
    tokens = RateGate("t", Unit.TOKENS, rate=100, burst=300)
    for _ in range(3):
        _start(requests, 0.0, tokens=1e6)
        _start(tokens, 0.0)
    assert requests.ready_at(_TOKENS, 0) == pytest.approx(1)
    assert tokens.ready_at(_TOKENS, 0) == pytest.approx(1)
    assert tokens.ready_at(Demand(10), 0) == pytest.approx(0.1)


@pytest.mark.parametrize("ending", Ending)
def test_a_request_counts_unless_nothing_was_sent(ending: Ending) -> None:
    gate = RateGate("r", Unit.REQUESTS, rate=1, burst=1)
    gate.finish(_start(gate, 0.0), Outcome(ending=ending), 0.0)
    nothing_sent = ending in (Ending.UNUSED, Ending.UNREACHABLE)
    assert gate.ready_at(_TOKENS, 0.0) == pytest.approx(0.0 if nothing_sent else 1.0)


@pytest.mark.parametrize("ending", Ending)
def test_tokens_come_back_where_the_upstream_read_nothing(ending: Ending) -> None:
    gate = RateGate("t", Unit.TOKENS, rate=100, burst=100)
    gate.finish(_start(gate, 0.0), Outcome(ending=ending, tokens=30), 0.0)
    read = ending in (Ending.SERVED, Ending.ABANDONED, Ending.FAILED)
    assert gate.ready_at(_TOKENS, 0.0) == pytest.approx(0.3 if read else 0.0)


@pytest.mark.parametrize(
    ("used", "ready_for_100"), [(40.0, 0.4), (100.0, 1.0), (250.0, 2.5), (None, 1.0)]
)
def test_tokens_are_settled_by_what_was_used_both_ways(
    used: float | None, ready_for_100: float
) -> None:
    gate = RateGate("t", Unit.TOKENS, rate=100, burst=100)
    gate.finish(_start(gate, 0.0), Outcome(ending=Ending.SERVED, tokens=used), 0.0)
    assert gate.ready_at(_TOKENS, 0.0) == pytest.approx(ready_for_100)


@given(
    st.lists(
        st.tuples(st.sampled_from(Ending), st.floats(1, 400), st.none() | st.floats(0, 800)),
        max_size=30,
    )
)
def test_over_time_a_gate_passes_what_was_used_and_nothing_is_lost(
    calls: list[tuple[Ending, float, float | None]],
) -> None:
    gate = RateGate("t", Unit.TOKENS, rate=10, burst=100)
    now = charged = 0.0
    for ending, tokens, used in calls:
        now = max(now, gate.ready_at(Demand(tokens), now))
        call = _start(gate, now, tokens)
        gate.finish(call, Outcome(ending=ending, tokens=used), now)
        read = ending in (Ending.SERVED, Ending.ABANDONED, Ending.FAILED)
        charged += (tokens if used is None else used) if read else 0.0
    # Full again exactly when what was used has been refilled, whatever was reserved before.
    full_at = max(now, gate.ready_at(Demand(1e9), now))
    assert full_at == pytest.approx(max(now, charged / 10), abs=1e-6)


def test_the_expected_wait_is_that_of_those_ahead_and_ones_own() -> None:
    gate = RateGate("r", Unit.REQUESTS, rate=2, burst=4)
    assert gate.expected_wait(Backlog(3, 0.0), _TOKENS, 0.0) == 0
    assert gate.expected_wait(Backlog(4, 0.0), _TOKENS, 0.0) == pytest.approx(0.5)
    _start(gate, 0.0)
    assert gate.expected_wait(Backlog(4, 0.0), _TOKENS, 0.0) == pytest.approx(1.0)
    tokens = RateGate("t", Unit.TOKENS, rate=100, burst=300)
    assert tokens.expected_wait(Backlog(9, 1200.0), _TOKENS, 0.0) == pytest.approx(10.0)
    # A demand above the burst needs no more than a full bucket.
    assert tokens.expected_wait(Backlog(0, 300.0), Demand(9000), 0.0) == pytest.approx(3.0)


def test_a_snapshot_shows_what_is_available() -> None:
    gate = RateGate("r", Unit.REQUESTS, rate=2, burst=4)
    assert gate.snapshot(1e6) == {"limit_per_minute": 120, "burst": 4, "available": 4}
    _start(gate, 1e6)
    assert gate.snapshot(1e6)["available"] == 3
