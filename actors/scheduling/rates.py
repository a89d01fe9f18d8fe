"""Rates as one number each: the generic cell rate algorithm (ITU-T I.371) with debt.

A bucket of ``burst`` units refills at ``rate`` units a second. Its whole state is the theoretical
arrival time ``tat``: the bucket is full at ``tat`` and empty when ``tat`` is ``burst / rate``
seconds ahead. A demand above the burst may start when the bucket is full and is paid off after:
otherwise a prompt larger than the bucket could never be served.
"""

from __future__ import annotations

from collections.abc import Mapping

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Gate, Outcome, Unit, surplus
from forebay.actors.scheduling.kept import KeptShare

_ROUNDING = 1e-9
"""Seconds: what sums of intervals may be off by is no time to wait for."""


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
        ready = self._tat
        if ready < now:
            ready = now
        needed = amount * self._interval
        if needed < self._tolerance:
            # In this order, so that a full bucket is ready at exactly ``now``, without rounding.
            ready += needed - self._tolerance
        return now if ready - now < _ROUNDING else ready

    def take(self, amount: float, now: float) -> None:
        if self._tat < now:
            self._tat = now
        self._tat += amount * self._interval

    def give_back(self, amount: float, now: float) -> None:
        """Undo taking ``amount``; a negative one is taken."""
        if amount < 0:
            self.take(-amount, now)
        elif self._tat > now:
            self._tat = max(now, self._tat - amount * self._interval)

    def level(self, now: float) -> float:
        """Units in the bucket now; negative while in debt."""
        return (self._tolerance - max(0.0, self._tat - now)) / self._interval

    def fullness(self, now: float) -> float:
        """From 0, empty or in debt, to 1, full."""
        return max(0.0, 1 - max(0.0, self._tat - now) / self._tolerance)

    def set_level(self, units: float, now: float) -> None:
        """So much is in the bucket, whatever was thought; negative: so much is owed."""
        self._tat = now + max(0.0, self._tolerance - units * self._interval)

    def time_until(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` has been taken, one after the other, by calls that are small
        to the size of the bucket."""
        return max(0.0, amount - self.level(now)) * self._interval

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
        self.same_for_all = self._counts_calls = unit is Unit.REQUESTS
        self.hears_of_good_ends = not self._counts_calls
        self._bucket = Bucket(rate, burst, now=float("-inf"))
        self._kept = KeptShare()

    def ready_at(self, demand: Demand, now: float) -> float:
        bucket = self._bucket
        if self._counts_calls:
            return bucket.ready_at(1.0, now)
        return bucket.ready_at(demand.of(self.unit), now)

    def take(self, call: Call, now: float) -> None:
        self._bucket.take(1.0 if self._counts_calls else call.demand.of(self.unit), now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        demand = call.demand
        unused = surplus(demand, outcome, self.unit)
        if not self._counts_calls:
            self._kept.note(demand.of(self.unit), unused, outcome)
        self._bucket.give_back(unused, now)

    def room(self, now: float) -> float:
        return self._bucket.fullness(now)

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        before = self._kept.of(ahead.of(self.unit))
        own = min(demand.of(self.unit), self.burst)
        return self._bucket.time_until(before + own, now)

    def used(self, now: float) -> float:
        """Units that are missing in the bucket, debt included."""
        return max(0.0, self.burst - self._bucket.level(now))

    def take_over(self, taken: float, now: float) -> None:
        """Count what was taken at a gate of another shape, as if it had been taken now."""
        self._bucket.take(taken, now)

    def change(self, *, rate: float, burst: float, now: float) -> None:
        """Another limit: what was taken stays taken."""
        self.rate = rate
        self.burst = burst
        self._bucket.set_rate(rate, burst, now)

    def memory(self, now: float) -> dict[str, float]:
        return {"missing": self.used(now)}

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        self._bucket.set_level(self.burst - memory["missing"], remembered_at)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "limit_per_minute": self.rate * 60,
            "burst": self.burst,
            "available": round(min(self._bucket.level(now), self.burst), 3),
        }
