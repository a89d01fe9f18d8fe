"""Rates as one number each: the generic cell rate algorithm (ITU-T I.371) with debt.

A bucket of ``burst`` units refills at ``rate`` units a second. Its whole state is the theoretical
arrival time ``tat``: the bucket is full at ``tat`` and empty when ``tat`` is ``burst / rate``
seconds ahead. A demand above the burst may start when the bucket is full and is paid off after:
otherwise a prompt larger than the bucket could never be served.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome

_NOTHING_SENT = frozenset({Ending.UNUSED, Ending.UNREACHABLE})
_NOTHING_READ = _NOTHING_SENT | {Ending.REFUSED, Ending.OVERLOADED}


_ROUNDING = 1e-9
"""Seconds: what sums of intervals may be off by is no time to wait for."""


class Unit(Enum):
    REQUESTS = auto()
    TOKENS = auto()


class Bucket:
    """The arithmetic of one smooth bucket."""

    __slots__ = ("_interval", "_tat", "_tolerance")

    def __init__(self, rate: float, burst: float, *, now: float = 0.0) -> None:
        """A full bucket.

        Args:
            rate: units per second, above 0.
            burst: units the bucket holds, at least the smallest demand.
        """
        self._interval = 1 / rate
        self._tolerance = burst / rate
        self._tat = now

    def ready_at(self, amount: float, now: float) -> float:
        start = max(now, self._tat)
        # In this order, so that a full bucket is ready at exactly ``now``, without rounding.
        ready = start + (min(amount * self._interval, self._tolerance) - self._tolerance)
        return now if ready - now < _ROUNDING else ready

    def take(self, amount: float, now: float) -> None:
        start = max(now, self._tat)
        self._tat = start + amount * self._interval

    def give_back(self, amount: float, now: float) -> None:
        if self._tat > now:
            self._tat = max(now, self._tat - amount * self._interval)

    def level(self, now: float) -> float:
        """Units in the bucket now; negative while in debt."""
        return (self._tolerance - max(0.0, self._tat - now)) / self._interval

    def set_rate(self, rate: float, burst: float, now: float) -> None:
        """Go on with another rate and size. What is missing in the bucket stays missing in
        units, at most all of it; debt beyond that stays, too."""
        missing = max(0.0, self._tat - now)
        debt = max(0.0, missing - self._tolerance)
        units = min((missing - debt) / self._interval, burst) + debt / self._interval
        self._interval = 1 / rate
        self._tolerance = burst / rate
        self._tat = now + units * self._interval


class RateGate(Gate):
    """Requests or tokens per time."""

    def __init__(self, name: str, unit: Unit, *, rate: float, burst: float) -> None:
        super().__init__(name)
        self.unit = unit
        self.rate = rate
        self.burst = burst
        self._bucket = Bucket(rate, burst, now=float("-inf"))

    def _amount(self, demand: Demand) -> float:
        return 1.0 if self.unit is Unit.REQUESTS else demand.tokens

    def ready_at(self, demand: Demand, now: float) -> float:
        return self._bucket.ready_at(self._amount(demand), now)

    def take(self, call: Call, now: float) -> None:
        self._bucket.take(self._amount(call.demand), now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        match self.unit:
            case Unit.REQUESTS:
                # A refused or failed call counts against most providers' request limits.
                if outcome.ending in _NOTHING_SENT:
                    self._bucket.give_back(1.0, now)
            case Unit.TOKENS:
                if outcome.ending in _NOTHING_READ:
                    self._bucket.give_back(call.demand.tokens, now)
                elif outcome.tokens is not None:
                    surplus = call.demand.tokens - outcome.tokens
                    if surplus > 0:
                        self._bucket.give_back(surplus, now)
                    else:
                        self._bucket.take(-surplus, now)
            case _:
                assert_never(self.unit)

    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        before = float(ahead) if self.unit is Unit.REQUESTS else ahead_tokens
        own = min(self._amount(demand), self.burst)
        return max(0.0, (before + own - self._bucket.level(now)) / self.rate)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "limit_per_minute": self.rate * 60,
            "burst": self.burst,
            "available": round(min(self._bucket.level(now), self.burst), 3),
        }
