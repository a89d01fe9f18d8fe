"""Which unit an upstream's limit counts, told from where its refusals lie.

Each refused place that is let through later is a *crossing*: there the upstream's bucket held just
the call's amount. In the unit that the limit counts, crossings lie on a line over time, whose slope
is the rate; in any other they scatter as the sizes of jobs do.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from forebay.actors.scheduling.gates import Demand, Unit, part_of

_CROSSINGS = 8
_LEAST_CROSSINGS = 5
_CLEARLY = 0.5
"""Another unit must fit so much better."""
_FITS = 0.05
"""A unit that fits as well as this is not doubted."""


# Twice for every call: a class of named fields takes as long again to name them.
_new: Final = tuple.__new__


class Sums(NamedTuple):
    """What has gone through in sum."""

    requests: float
    tokens: float
    output: float

    def of(self, unit: Unit) -> float:
        return part_of(unit, self.requests, self.tokens, self.output)

    def plus(self, demand: Demand) -> Sums:
        requests, tokens, output = self
        return _new(Sums, (requests + 1.0, tokens + demand.tokens, output + demand.output))

    def less(self, demand: Demand) -> Sums:
        return Sums(self.requests - 1, self.tokens - demand.tokens, self.output - demand.output)

    def settled(self, taken: Demand, used: Demand) -> Sums:
        """A call has used another amount than it was counted for."""
        requests, tokens, output = self
        used_tokens, used_output = used
        taken_tokens, taken_output = taken
        sums = requests, tokens + used_tokens - taken_tokens, output + used_output - taken_output
        return _new(Sums, sums)

    def since(self, before: Sums) -> Sums:
        return Sums(
            self.requests - before.requests,
            self.tokens - before.tokens,
            self.output - before.output,
        )


NOTHING = Sums(0.0, 0.0, 0.0)


class Crossing(NamedTuple):
    refused_at: float
    passed_at: float
    sums: Sums
    """With the call that passed."""

    @property
    def at(self) -> float:
        return (self.refused_at + self.passed_at) / 2


class Crossings:
    """The last few."""

    def __init__(self) -> None:
        self._all: deque[Crossing] = deque(maxlen=_CROSSINGS)

    def add(self, crossing: Crossing) -> None:
        self._all.append(crossing)

    @property
    def last(self) -> Crossing | None:
        return self._all[-1] if self._all else None

    def better_unit(self, unit: Unit) -> Unit | None:
        """The unit in which they fit a line clearly better than in ``unit``."""
        if len(self._all) < _LEAST_CROSSINGS:
            return None
        error = self._error(unit)
        if error < _FITS:
            return None
        errors = {other: self._error(other) for other in Unit}
        best = min(errors, key=errors.__getitem__)
        return best if errors[best] < _CLEARLY * error else None

    def _error(self, unit: Unit) -> float:
        """The deviation from a line, in parts of what lies between two crossings."""
        points = [(crossing.at, crossing.sums.of(unit)) for crossing in self._all]
        (began_at, before), (ended_at, after) = points[0], points[-1]
        if ended_at <= began_at or after <= before:
            return inf
        rate = (after - before) / (ended_at - began_at)
        squares = sum(
            (later[1] - earlier[1] - rate * (later[0] - earlier[0])) ** 2
            for earlier, later in pairwise(points)
        )
        steps = len(points) - 1
        return float((squares / steps) ** 0.5 / ((after - before) / steps))

    def recent_line(self, unit: Unit) -> tuple[float, float]:
        """Units per second and units per call, by the last few."""
        first, last = self._all[-_LEAST_CROSSINGS], self._all[-1]
        through = last.sums.of(unit) - first.sums.of(unit)
        calls = last.sums.requests - first.sums.requests
        return through / max(1e-3, last.at - first.at), through / max(1.0, calls)
