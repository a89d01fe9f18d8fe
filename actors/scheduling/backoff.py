"""Growing pauses."""

from __future__ import annotations

from math import inf
from random import Random


class Backoff:
    """Exponential pauses with jitter: each at random up to a bound that doubles.

    With full jitter, those who were sent away together come back spread as wide as can be (Brooker:
    Exponential Backoff And Jitter, AWS Architecture Blog, 2015). A floor is for who must not come
    back at once.
    """

    __slots__ = ("_cap", "_floor", "_growth", "_initial", "_random", "steps")

    def __init__(
        self, *, initial: float, cap: float, random: Random, floor: float = 0.5, growth: float = 2.0
    ) -> None:
        """
        Args:
            initial: the first bound, in seconds.
            cap: the largest.
            floor: the share of the bound that each pause has at least; 0 is full jitter.
            growth: of the bound, from pause to pause.
        """
        self._cap = cap
        self._growth = growth
        self._floor = floor
        self._initial = initial
        self._random = random
        self.steps = 0

    def next(self, within: float = inf) -> float:
        """The next pause, in seconds, above 0.

        Args:
            within: no longer than this, but as long as the first may be.
        """
        bound = min(self._cap, self._initial * self._growth ** min(self.steps, 60))
        bound = min(bound, max(self._initial, within))
        self.steps += 1
        return bound * (1.0 - (1.0 - self._floor) * self._random.random())

    def reset(self) -> None:
        self.steps = 0
