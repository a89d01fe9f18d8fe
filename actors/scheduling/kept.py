"""What calls keep of what they reserve at one limit; the rest comes back when they end."""

from __future__ import annotations

from typing import Final

from forebay.actors.scheduling.averages import RunningRatio
from forebay.actors.scheduling.gates import Ending, Outcome

_LEAST_WEIGHT = 0.02
_SERVED: Final = Ending.SERVED


class KeptShare:
    """Of calls that were served. For limits on tokens: what counts requests keeps all."""

    __slots__ = ("_ratio",)

    def __init__(self) -> None:
        self._ratio = RunningRatio(_LEAST_WEIGHT)

    def note(self, reserved: float, came_back: float, outcome: Outcome) -> None:
        if outcome.ending is _SERVED and reserved > 0:
            self._ratio.add(reserved - came_back, reserved)

    def of(self, reserved: float) -> float:
        """What calls that reserve so much take in the end."""
        return reserved * self._ratio.value(1.0)
