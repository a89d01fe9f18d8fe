"""What was configured and what is found out bind together: right, too low, or too high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from limited_upstream import (
    Backlog,
    BucketLimit,
    FixedWindow,
    Job,
    Limit,
    Manners,
    RollingWindow,
    Slots,
    Upstream,
    constant_jobs,
    mixed_jobs,
)

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome, RefusedBy, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.windows import FixedWindowGate, RollingWindowGate

_HOUR = 3600.0
_FINDING = 240.0
_TPM = 2e6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    limit: Callable[[], Limit]
    gate: Callable[[float], Gate]
    """Configured with so many times the limit."""
    latency: float = 1.0
    jobs: Callable[[Random], Job] = constant_jobs


_CASES = {
    "requests": _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 10),
        gate=lambda times: RateGate("rate", Unit.REQUESTS, rate=10 * times, burst=10),
    ),
    "tokens": _Case(
        limit=lambda: BucketLimit(Unit.TOKENS, _TPM / 60, _TPM),
        gate=lambda times: RateGate("rate", Unit.TOKENS, rate=_TPM / 60 * times, burst=_TPM),
        latency=5.0,
        jobs=mixed_jobs,
    ),
    "slots": _Case(limit=lambda: Slots(10), gate=lambda times: SlotGate("slots", int(10 * times))),
    "fixed window": _Case(
        limit=lambda: FixedWindow(Unit.REQUESTS, 60),
        gate=lambda times: FixedWindowGate(
            "window", Unit.REQUESTS, limit=60 * times, window=60, ends_at=60
        ),
    ),
    "rolling window": _Case(
        limit=lambda: RollingWindow(Unit.REQUESTS, 60),
        gate=lambda times: RollingWindowGate("window", Unit.REQUESTS, limit=60 * times, window=60),
    ),
}


def _about(seconds: float) -> Callable[[Random], float]:
    return lambda random: random.lognormvariate(0.0, 0.7) * seconds * 0.78


def _backlog(case: _Case, times: float) -> Backlog:
    random = Random(101)
    cooldown = Cooldown("cooldown", random)
    gates = (case.gate(times), cooldown, LearnedLimit("learned", random, cooldown=cooldown))
    upstream = Upstream([case.limit()], Manners(latency=_about(case.latency)))
    return Backlog(gates, upstream, jobs=case.jobs)


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_nothing_is_refused_of_what_was_configured_right(case: _Case) -> None:
    backlog = _backlog(case, 1.0)
    finding = backlog.run(_FINDING)
    tally = backlog.run(_FINDING + _HOUR)
    assert finding.refused + tally.refused == 0
    assert tally.used >= 0.995


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_what_was_configured_too_low_is_kept_to(case: _Case) -> None:
    backlog = _backlog(case, 0.5)
    finding = backlog.run(_FINDING)
    tally = backlog.run(_FINDING + _HOUR)
    assert finding.refused + tally.refused == 0
    assert 0.4975 <= tally.used <= 0.5025


@pytest.mark.parametrize("times", [1.1, 2.0])
@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
def test_the_truth_is_found_below_what_was_configured_too_high(case: _Case, times: float) -> None:
    backlog = _backlog(case, times)
    finding = backlog.run(_FINDING)
    tally = backlog.run(_FINDING + _HOUR)
    refused = finding.refused + tally.refused
    assert tally.used >= 0.995
    assert refused <= 0.03 * (refused + finding.accepted + tally.accepted)


def test_a_configured_rate_a_little_above_a_bucket_of_one_call() -> None:
    """The calls that are refused take their turn of the configured rate as well, so each costs a
    part of a call: what is left is 98 % of the limit."""
    case = _Case(
        limit=lambda: BucketLimit(Unit.REQUESTS, 10, 1),
        gate=lambda times: RateGate("rate", Unit.REQUESTS, rate=10 * times, burst=1),
    )
    backlog = _backlog(case, 1.1)
    backlog.run(_FINDING)
    tally = backlog.run(_FINDING + _HOUR)
    assert tally.used >= 0.98
    assert tally.refused_share <= 0.02


# Refusals that name what they were by.


def _call(gate: LearnedLimit, now: float, tokens: float = 100.0) -> Call:
    call = Call(Demand(tokens, tokens / 5), now)
    gate.take(call, now)
    return call


def _serve(gate: LearnedLimit, call: Call, now: float) -> None:
    gate.accepted(call, now)
    gate.finish(call, Outcome(ending=Ending.SERVED), now)


def _refuse(gate: LearnedLimit, call: Call, now: float, hint: RefusedBy) -> None:
    gate.finish(call, Outcome(ending=Ending.REFUSED, hint=hint), now)


def test_a_rate_that_a_refusal_names_is_kept_to_at_once() -> None:
    gate = LearnedLimit("learned", Random(1))
    hint = RefusedBy(unit=Unit.TOKENS, limit=1000.0)
    _refuse(gate, _call(gate, 0.0), 0.1, hint)
    assert gate.snapshot(0.1)["tokens_per_minute"] == 60_000
    sent = 0
    now = 0.1
    while now < 4:
        now = max(now + 1e-6, gate.ready_at(Demand(100.0, 20.0), now))
        _serve(gate, _call(gate, now), now)
        sent += 1
    # Later it is tried whether there is more.
    assert 100 * sent == pytest.approx(1000 * 4, rel=0.05)


def test_a_unit_that_a_refusal_names_is_paced_by_what_went_through() -> None:
    """Between the first refusal, that names the unit alone, and the next."""
    gate = LearnedLimit("learned", Random(1))
    hint = RefusedBy(unit=Unit.OUTPUT_TOKENS)
    _refuse(gate, _call(gate, 0.0), 0.1, hint)
    passes = max(0.1, gate.ready_at(Demand(100.0), 0.1))
    _serve(gate, _call(gate, passes), passes + 0.1)
    for number in range(1, 50):
        _serve(gate, _call(gate, passes + number / 10), passes + number / 10)
    _refuse(gate, _call(gate, passes + 5), passes + 5, hint)
    # Fifty calls of twenty tokens in five seconds.
    assert gate.snapshot(60.0)["output_tokens_per_minute"] == pytest.approx(200 * 60, rel=0.05)


def test_a_refusal_that_names_a_rate_is_no_matter_of_slots() -> None:
    gate = LearnedLimit("learned", Random(1), initial_slots=8)
    calls = [_call(gate, 0.0) for _ in range(8)]
    _refuse(gate, calls[-1], 0.1, RefusedBy(unit=Unit.REQUESTS))
    assert gate.snapshot(0.1)["slots"] == 8


def test_a_refusal_that_names_slots_is_no_matter_of_a_rate() -> None:
    gate = LearnedLimit("learned", Random(1), initial_slots=8)
    calls = [_call(gate, 0.0) for _ in range(8)]
    _refuse(gate, calls[-1], 0.1, RefusedBy())
    known = gate.snapshot(0.1)
    assert known["slots"] == 7
    assert (known["per_minute"], known["paused_for_seconds"]) == (None, 0)
