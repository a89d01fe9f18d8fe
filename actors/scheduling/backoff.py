"""Growing pauses."""

from __future__ import annotations

from random import Random


class Backoff:
    """Exponential pauses with jitter: each between half and the whole of a doubling bound.

    Half of the bound is kept as a floor, so that a refused target is never tried again at once
    (full jitter may draw nearly nothing).
    """

    __slots__ = ("_cap", "_initial", "_random", "steps")

    def __init__(self, *, initial: float, cap: float, random: Random) -> None:
        self._initial = initial
        self._cap = cap
        self._random = random
        self.steps = 0

    def next(self) -> float:
        """The next pause, in seconds."""
        bound = min(self._cap, self._initial * 2.0 ** min(self.steps, 60))
        self.steps += 1
        return bound * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        self.steps = 0
