"""The paces at which calls may go, one for each unit that was found to be limited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from forebay.actors.scheduling.gates import Backlog, Demand, Unit
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_rate import RateEstimate
from forebay.actors.scheduling.learned_units import Sums

_TIGHT = 1.5
_LONGEST_SAVED = 60.0
"""Seconds of a rate that a bucket is believed to save up at most."""
_ESTABLISHED = 4
"""As sure as this, a pace stays when another unit turns out to be limited, too."""


class Paces:
    """All of them bind."""

    def __init__(self) -> None:
        self._all: list[Pace] = []
        self.first_burst: Sums | None = None
        """What was let through at once before the first refusal of all."""
        self._largest = 1.0

    def __iter__(self) -> Iterator[Pace]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    # Calls.

    def ready_at(self, demand: Demand, earliest: float, now: float) -> float:
        ready = earliest
        for pace in self._all:
            at = pace.ready_at(demand.of(pace.unit), now)
            if at > ready:
                ready = at
        return ready

    def take(self, demand: Demand, now: float) -> None:
        if demand.tokens > self._largest:
            self._largest = demand.tokens
        for pace in self._all:
            pace.take(demand.of(pace.unit), now)

    def give_back(self, demand: Demand) -> None:
        """It was not counted."""
        for pace in self._all:
            pace.give_back(demand.of(pace.unit))

    def settle(self, taken: Demand, used: Demand) -> None:
        for pace in self._all:
            pace.give_back(taken.of(pace.unit) - used.of(pace.unit))

    # Which there are.

    def add(self, unit: Unit, rate: float, amount: float, through: Sums, now: float) -> Pace:
        """
        Args:
            rate: units per second.
            amount: units of a usual call.
            through: what has gone through in sum.
        """
        burst = self.first_burst or Sums(1.0, self._largest, 0.0)
        is_tight = unit is Unit.REQUESTS and burst.requests < _TIGHT
        estimate = RateEstimate(
            rate, even=unit is Unit.REQUESTS, tight=is_tight, tightness_is_known=is_tight
        )
        cap = min(burst.of(unit), _LONGEST_SAVED * rate)
        if unit is not Unit.REQUESTS:
            cap = max(cap, self._largest)
        pace = Pace(unit, estimate, amount=amount, cap=cap, now=now)
        pace.begin(through.of(unit), now)
        self._all.append(pace)
        return pace

    def add_as_told(
        self, unit: Unit, rate: float, amount: float, through: Sums, now: float
    ) -> None:
        """The upstream itself has named the rate."""
        self.add(unit, rate, amount, through, now).estimate.surety = _ESTABLISHED

    def change_unit(
        self, pace: Pace, unit: Unit, rate: float, amount: float, through: Sums, now: float
    ) -> None:
        """What was taken for a limit of ``pace``'s unit is one of another."""
        self._all = [
            other
            for other in self._all
            if other.unit is not unit and (other is not pace or pace.surety >= _ESTABLISHED)
        ]
        self.add(unit, rate, amount, through, now).estimate.surety = 1

    def remove(self, pace: Pace) -> None:
        self._all.remove(pace)

    def clear(self) -> None:
        self._all = []

    def of(self, unit: Unit) -> Pace | None:
        return next((pace for pace in self._all if pace.unit is unit), None)

    # What they say of refusals.

    @property
    def tightest(self) -> Pace | None:
        """The one that holds calls back most."""
        return min(self._all, key=_slack, default=None)

    @property
    def are_established(self) -> bool:
        """Whether one of them is."""
        return any(pace.surety >= _ESTABLISHED for pace in self._all)

    def are_surer_than(self, surety: int) -> bool:
        return any(pace.surety > surety for pace in self._all)

    def foretell_refusals(self, now: float) -> bool:
        return any(pace.foretells_refusals(now) for pace in self._all)

    def seconds_for(self, demand: Demand) -> float:
        """How long the longest of them takes for it, or for a usual call."""
        return max(
            (max(pace.amount, demand.of(pace.unit)) / pace.rate for pace in self._all), default=0.0
        )

    # For others.

    def fullness(self, now: float) -> float:
        return min((pace.fullness(now) for pace in self._all), default=1.0)

    def time_until(self, ahead: Backlog, demand: Demand, now: float) -> float:
        """Seconds until ``demand`` may pass, if ``ahead`` passes before it."""
        return max(
            (
                pace.time_until(ahead.of(pace.unit) + demand.of(pace.unit), now)
                for pace in self._all
            ),
            default=0.0,
        )

    def memory(self) -> dict[str, float]:
        known: dict[str, float] = {}
        for pace in self._all:
            known |= pace.memory()
        return known

    def recall(self, memory: Mapping[str, float], now: float) -> None:
        """
        Raises:
            KeyError, ValueError: ``memory`` is of something else.
        """
        self._all = [
            pace for unit in Unit if (pace := Pace.recalled(unit, memory, now)) is not None
        ]

    def per_minute(self) -> dict[str, float]:
        """Rates by the names that operators read."""
        return {
            "per_minute" if pace.unit is Unit.REQUESTS else f"{pace.unit}_per_minute": round(
                pace.rate * 60, 3
            )
            for pace in self._all
        }


def _slack(pace: Pace) -> float:
    return pace.slack
