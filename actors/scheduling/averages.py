"""Running averages: of the first few values their mean, later mostly of those of late."""

from __future__ import annotations

from math import exp, sqrt


class RunningMean:
    """The mean of values and how far they scatter."""

    __slots__ = ("_count", "_first", "_least_weight", "_variance", "mean")

    def __init__(self, least_weight: float) -> None:
        """
        Args:
            least_weight: of a new value, between 0 and 1; the first ones weigh more.
        """
        self._least_weight = least_weight
        self._first = int(1 / least_weight)
        """So many count alike."""
        self._count = 0
        self._variance = 0.0
        self.mean: float | None = None

    @property
    def variance(self) -> float:
        return self._variance

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return sqrt(self._variance)

    def add(self, value: float) -> None:
        if self.mean is None:
            self.mean = value
            self._count = 1
            return
        weight = self._least_weight
        if self._count < self._first:
            self._count += 1
            weight = 1 / self._count
        error = value - self.mean
        self.mean += weight * error
        self._variance = (1 - weight) * (self._variance + weight * error * error)


class RunningRatio:
    """How large one thing is to another, summed over calls: large calls weigh more."""

    __slots__ = ("_count", "_first", "_least_weight", "_part", "_whole")

    def __init__(self, least_weight: float) -> None:
        self._least_weight = least_weight
        self._first = int(1 / least_weight)
        self._count = 0
        self._part = self._whole = 0.0

    def add(self, part: float, whole: float) -> None:
        weight = self._least_weight
        if self._count < self._first:
            self._count += 1
            weight = 1 / self._count
        self._part += weight * (part - self._part)
        self._whole += weight * (whole - self._whole)

    def value(self, otherwise: float) -> float:
        """The ratio; ``otherwise`` while nothing is known."""
        return self._part / self._whole if self._whole > 0 else otherwise


class RecentCount:
    """How many there were of late; older ones count less."""

    __slots__ = ("_at", "_count", "_seconds")

    def __init__(self, seconds: float) -> None:
        """
        Args:
            seconds: after which one counts for about a third.
        """
        self._seconds = seconds
        self._count = 0.0
        self._at = 0.0

    def add(self, now: float) -> None:
        self._count = self._count * exp((self._at - now) / self._seconds) + 1.0
        self._at = now

    def at(self, now: float) -> float:
        return self._count * exp((self._at - now) / self._seconds) if self._count else 0.0
