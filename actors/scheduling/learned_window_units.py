"""What the windows of an upstream count, told from what had been sent each time one was used up.

In the unit that the limit counts it is the same each time; in any other it scatters as the sizes of
jobs do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from forebay.actors.scheduling.gates import Demand, Unit
from forebay.actors.scheduling.rolling_sums import RollingSums

_SAMPLES = 5
_FEWEST = 3
_CLEARLY = 0.5
"""Another unit must scatter so much less."""
_FITS = 0.05
"""A unit that scatters no more than this is not doubted."""
_USUAL = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.REQUESTS)
_LARGEST_TO_SMALLEST = 1.2
"""Where jobs are more alike than this, they count the same in all units."""


class WindowUnits:
    """Keeps count of calls in all units, where jobs differ in size."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._logs = {unit: RollingSums(seconds) for unit in Unit}
        self._samples: deque[dict[Unit, float]] = deque(maxlen=_SAMPLES)
        self._least = self._most = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether the unit is open: jobs differ, and none is known to fit."""
        return self._most > _LARGEST_TO_SMALLEST * self._least

    def take(self, demand: Demand, now: float) -> None:
        if not self._most:
            self._least = self._most = demand.tokens
        elif demand.tokens > self._most:
            self._most = demand.tokens
        elif demand.tokens < self._least:
            self._least = demand.tokens
        if self.is_wanted:
            for unit, log in self._logs.items():
                log.add(demand.of(unit), now)

    def take_back(self, demand: Demand, sent_at: float) -> None:
        if self.is_wanted:
            for unit, log in self._logs.items():
                log.correct(-demand.of(unit), log.step_of(sent_at))

    def counts(self, at: float) -> dict[Unit, float]:
        """What had been sent in the window up to then."""
        return {unit: log.since(at - self._seconds) for unit, log in self._logs.items()}

    def log(self, unit: Unit) -> Iterator[tuple[float, float]]:
        """Times, and what was sent then."""
        log = self._logs[unit]
        return ((log.time_of(step), amount) for step, amount in log)

    def most(self, unit: Unit) -> float:
        """By which a window was used up."""
        return max(sample[unit] for sample in self._samples)

    def add(self, counts: dict[Unit, float]) -> None:
        """A window was used up by so much."""
        if self.is_wanted and all(counts.values()):
            self._samples.append(counts)

    def better(self, unit: Unit) -> Unit | None:
        """The unit that scatters clearly less than ``unit``."""
        if len(self._samples) < _FEWEST:
            return None
        scatter = {each: self._scatter(each) for each in Unit}
        least = min(scatter.values())
        if scatter[unit] <= _FITS or least >= _CLEARLY * scatter[unit]:
            return None
        # Of those that fit about as well, the one that most providers count.
        return next(each for each in _USUAL if scatter[each] <= max(_FITS, least / _CLEARLY))

    def _scatter(self, unit: Unit) -> float:
        counts = [sample[unit] for sample in self._samples]
        return (max(counts) - min(counts)) / max(counts)
