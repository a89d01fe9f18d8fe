"""What has passed a pool of late: who comes, which class is served, what estimates come to.

For forecasts only; nothing is granted by it. Nothing in here needs a clock: all is counted per
job that was granted.
"""

from __future__ import annotations

from forebay.actors.scheduling.averages import RunningMean
from forebay.actors.scheduling.flows import TrafficClass

_GROWTH = 1 / 0.998
"""Of the weight of what happens: as much as the last 500 grants counts."""
_MOST_KNOWN = 16
_LARGEST_WEIGHT = 1e100
_DOUBT = 20.0
"""Grants without anybody coming that stand at the beginning."""
_LEAST_WEIGHT = 0.02


class Turnover:
    """Of one pool."""

    __slots__ = (
        "_arrivals", "_charged", "_doubt", "_grants", "_late", "_settled", "_squared", "_used",
        "_weight",
    )  # fmt: skip

    def __init__(self) -> None:
        self._weight = 1.0
        self._grants = dict.fromkeys(TrafficClass, 0.0)
        self._arrivals = dict.fromkeys(TrafficClass, 0.0)
        self._late = {traffic_class: RunningMean(_LEAST_WEIGHT) for traffic_class in TrafficClass}
        self._doubt = _DOUBT
        self._settled = 0
        self._charged = self._used = self._squared = 0.0
        """What calls were thought to take, what they took, and the square of the former, in the
        mean."""

    def came(self, traffic_class: TrafficClass, late: float) -> None:
        """A client that had none waiting has a job waiting.

        Args:
            late: how many of its jobs must be granted to others before its turn comes.
        """
        self._arrivals[traffic_class] += self._weight
        self._late[traffic_class].add(late if late > 0 else 0.0)

    def gave_up(self, traffic_class: TrafficClass) -> None:
        """A client that came has none waiting any more, and none was granted: it takes nothing
        from others."""
        count = self._arrivals[traffic_class] - self._weight
        self._arrivals[traffic_class] = count if count > 0 else 0.0

    def granted(self, traffic_class: TrafficClass) -> None:
        self._weight *= _GROWTH
        self._grants[traffic_class] += self._weight
        if self._weight > _LARGEST_WEIGHT:
            for counts in (self._grants, self._arrivals):
                for each in counts:
                    counts[each] /= self._weight
            self._doubt /= self._weight
            self._weight = 1.0

    def settled(self, charged: float, used: float) -> None:
        """A call was served that was thought to take ``charged`` tokens."""
        weight = _LEAST_WEIGHT
        if self._settled < 1 / _LEAST_WEIGHT:
            self._settled += 1
            weight = 1 / self._settled
        self._used += weight * (used - self._used)
        self._charged += weight * (charged - self._charged)
        self._squared += weight * (charged * charged - self._squared)

    @property
    def kept(self) -> float:
        """What calls take, relative to what they are thought to take."""
        return self._used / self._charged if self._charged else 1.0

    @property
    def unevenness(self) -> float:
        """How much larger the job is that is under way at some point of the virtual time than jobs
        are in the mean: large ones are met more often. 1 where all are alike."""
        return self._squared / self._charged**2 if self._charged else 1.0

    def newcomers(self, traffic_class: TrafficClass, waiting: int) -> float:
        """How many clients come for each job of the class that is granted; at most 1.

        Args:
            waiting: clients that wait now. They have come, and are known; which matters while
                there was little else.
        """
        known = min(waiting, _MOST_KNOWN) * self._weight
        arrivals = max(0.0, self._arrivals[traffic_class] - known)
        grants = self._grants[traffic_class] + self._doubt
        return arrivals / max(grants, arrivals) if arrivals else 0.0

    def late(self, traffic_class: TrafficClass) -> float:
        """How late clients usually are when they come, in jobs of their own."""
        return self._late[traffic_class].mean or 0.0

    def share_of(self, traffic_class: TrafficClass) -> float:
        """Of the class in all jobs that were granted."""
        total = sum(self._grants.values())
        return self._grants[traffic_class] / total if total else 0.0
