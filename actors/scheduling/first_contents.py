"""How long a target takes to say something: learned from its answers.

Streams begin to speak long before whole answers are there, so the two are never compared.
"""

from __future__ import annotations

from math import exp, inf

_LEAST_WEIGHT = 0.2
"""Of the newest time in the mean, however soon it follows the last."""
_MEMORY_SECONDS = 30.0
"""What is older than this counts for less than what is new."""


class FirstContent:
    """The times of one target's answers of one kind: an exponentially weighted mean."""

    __slots__ = ("mean", "noted_at")

    def __init__(self) -> None:
        self.mean: float | None = None
        """Seconds from the call's start to its first content; None: nothing is known."""
        self.noted_at = -inf

    def note(self, seconds: float, now: float) -> None:
        if self.mean is None:
            self.mean = seconds
        else:
            # By age, so that a single new time corrects a figure of long ago.
            weight = max(_LEAST_WEIGHT, 1 - exp((self.noted_at - now) / _MEMORY_SECONDS))
            self.mean += weight * (seconds - self.mean)
        self.noted_at = now


class FirstContents:
    """Of one target, by kind of answer."""

    __slots__ = ("_streamed", "_whole")

    def __init__(self) -> None:
        self._streamed = FirstContent()
        self._whole = FirstContent()

    def of(self, *, streams: bool) -> FirstContent:
        return self._streamed if streams else self._whole
