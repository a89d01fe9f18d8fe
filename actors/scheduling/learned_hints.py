"""What waits that refusals ask for are worth, to who knows something of the limit itself.

They are told in whole seconds mostly, rounded up, and so may be up to a second too long. What is
told more exactly is taken as it is.
"""

from __future__ import annotations

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Outcome
from forebay.actors.scheduling.slots import ServiceTime

_COARSE = 1.0
"""Seconds: what is told in whole ones may be so much too long."""
_LONG = 5.0
"""Seconds: an upstream that asks for more, and more than calls take, has slots to give."""


class Hints:
    """Of one upstream."""

    def __init__(self, cooldown: Cooldown | None) -> None:
        """
        Args:
            cooldown: waits for as long as refusals ask for, and has heard of them already.
        """
        self._cooldown = cooldown

    def honoured(self, outcome: Outcome, foreseen: float) -> float:
        """The seconds to wait as a refusal asks, if another call may pass after ``foreseen`` by
        all that is known. 0: the hint says no more than that, and the cooldown is told so."""
        asked = outcome.retry_after or 0.0
        if _is_exact(asked) or asked > foreseen + _COARSE:
            return asked
        if asked and self._cooldown is not None:
            self._cooldown.overrule()
        return 0.0

    def speak_of_a_rate(self, outcome: Outcome, service: ServiceTime) -> bool:
        """Nobody knows to the millisecond when a slot is free, and few calls take so long."""
        asked, mean = outcome.retry_after or 0.0, service.mean
        return _is_exact(asked) or (mean is not None and asked > max(_LONG, mean))


def surely_refused_for(asked: float) -> float:
    """For how long at least another call would have been refused, if so many seconds were asked
    for."""
    return asked if _is_exact(asked) else max(0.0, asked - _COARSE)


def _is_exact(seconds: float) -> bool:
    return seconds % 1 > 0
