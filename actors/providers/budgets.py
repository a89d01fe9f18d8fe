"""The gates of configured limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import trio

from forebay.actors.config import LimitSettings
from forebay.actors.providers.wall_clock import SYSTEM_CLOCK, WallClock
from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.windows import (
    FixedWindowGate,
    RollingWindowGate,
    Shape,
    WindowGate,
)

_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_TOKEN_BURST_SECONDS: Final = 10.0
_WORDS: Final = {
    Unit.REQUESTS: "requests",
    Unit.TOKENS: "tokens",
    Unit.INPUT_TOKENS: "input tokens",
    Unit.OUTPUT_TOKENS: "output tokens",
}


def budget_gates(
    name: str, limits: LimitSettings, wall_clock: WallClock = SYSTEM_CLOCK
) -> list[Gate]:
    """All but concurrency.

    Args:
        name: of the account or target, which the gates are named after.
        wall_clock: windows of shape ``fixed`` end by it.
    """
    return list(_budget_gates(name, limits, wall_clock))


def _budget_gates(name: str, limits: LimitSettings, wall_clock: WallClock) -> Iterator[Gate]:
    if limits.rps is not None:
        burst = limits.burst if limits.burst and limits.rpm is None else max(1.0, limits.rps)
        yield RateGate(f"{name}: requests per second", Unit.REQUESTS, rate=limits.rps, burst=burst)
    per_minute = {
        Unit.REQUESTS: limits.rpm,
        Unit.TOKENS: limits.tpm,
        Unit.INPUT_TOKENS: limits.itpm,
        Unit.OUTPUT_TOKENS: limits.otpm,
    }
    for unit, limit in per_minute.items():
        if limit is not None:
            what = f"{name}: {_WORDS[unit]} per minute"
            yield _gate(
                what,
                unit,
                limit,
                _MINUTE,
                limits.minute_shape,
                _burst(unit, limit, limits),
                wall_clock,
            )
    per_day = {
        Unit.REQUESTS: limits.rpd,
        Unit.TOKENS: limits.tpd,
        Unit.INPUT_TOKENS: limits.itpd,
        Unit.OUTPUT_TOKENS: limits.otpd,
    }
    for unit, limit in per_day.items():
        if limit is not None:
            what = f"{name}: {_WORDS[unit]} per day"
            # A whole day's may be used at once: nobody has it trickle.
            yield _gate(what, unit, limit, _DAY, limits.day_shape, limit, wall_clock)
    for window in limits.windows:
        what = f"{name}: {_WORDS[window.unit]} per {window.seconds} s"
        yield _gate(
            what, window.unit, window.limit, window.seconds, window.shape, window.limit, wall_clock
        )


def _burst(unit: Unit, limit: float, limits: LimitSettings) -> float:
    if unit is Unit.REQUESTS:
        return limits.burst or max(1.0, limit / _MINUTE)
    return limits.token_burst or max(1.0, limit / _MINUTE * _TOKEN_BURST_SECONDS)


def _gate(
    name: str,
    unit: Unit,
    limit: float,
    window: float,
    shape: Shape,
    burst: float,
    wall_clock: WallClock,
) -> Gate:
    match shape:
        case Shape.SMOOTH:
            return RateGate(name, unit, rate=limit / window, burst=burst)
        case Shape.ROLLING:
            return RollingWindowGate(name, unit, limit=limit, window=window)
        case Shape.FIXED:
            # Windows end with whole multiples of their length since 1970: at full minutes, at
            # midnight UTC.
            left = window - wall_clock() % window
            return FixedWindowGate(
                name, unit, limit=limit, window=window, ends_at=trio.current_time() + left
            )


def carried_on(old: Iterable[Gate], new: Iterable[Gate], now: float) -> tuple[Gate, ...]:
    """The gates of limits that were configured anew, in the place of ``old``: what was taken stays
    taken, and calls under way keep their slots.

    Args:
        old: as far as they are of configured limits; others are left alone.
    """
    known = {gate.name: gate for gate in old}
    return tuple(_carried_on(known.get(gate.name), gate, now) for gate in new)


def _carried_on(old: Gate | None, new: Gate, now: float) -> Gate:
    match old, new:
        case RateGate(), RateGate():
            old.change(rate=new.rate, burst=new.burst, now=now)
            return old
        case SlotGate(), SlotGate():
            old.change(new.slots)
            return old
        case WindowGate(), WindowGate() if type(old) is type(new):
            old.change(new.limit)
            return old
        case RateGate() | WindowGate(), RateGate() | WindowGate():
            new.take_over(old.used(now), now)
    return new


def is_configured_limit(gate: Gate) -> bool:
    """Whether it is one of those that are made here."""
    return isinstance(gate, RateGate | WindowGate | SlotGate)


def slot_gates(name: str, limits: LimitSettings) -> tuple[Gate, ...]:
    """That of concurrency, where it is configured."""
    if limits.concurrency is None:
        return ()
    return (SlotGate(f"{name}: concurrency", limits.concurrency),)
