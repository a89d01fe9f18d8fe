"""A way to an upstream that has failed, while somebody finds out for nothing if it works again.

Calls fail because a server is away, starts or loads a model. Whoever asks a free question of it
(a list, a version, whether it is ready) tells the answers here: what would fail is held back, and
what may work is let through before the pauses of the other gates are over. Who asks, and what, is
not known here; without any answer, nothing is held for long.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import inf
from typing import Final

from forebay.actors.scheduling.breaker import CircuitBreaker, CircuitState
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome

BELIEVED_FOR: Final = 15.0
"""Seconds for which an answer counts. After that a call may find out by itself."""
LONGEST_UNREADY: Final = 900.0
"""Seconds for which a server that answers is believed that it is not ready. One of its models may
never be, and others serve."""


class Trouble(StrEnum):
    """Why the way is in doubt."""

    UNREACHABLE = "unreachable"
    OVERLOADED = "overloaded"
    """Or it is loading: some say both with the same words."""
    FAILING = "failing"
    """The circuit is open."""


class Recovery(Gate):
    """Of one route. Open while nothing is wrong."""

    same_for_all = True

    def __init__(
        self, name: str, breaker: CircuitBreaker, cooldown: Cooldown, *, hears_of_readiness: bool
    ) -> None:
        """
        Args:
            breaker, cooldown: of the same route; they hear of calls before this gate does.
            hears_of_readiness: the answers tell of a server that is there but not ready. Else
                nobody need ask after an overload.
        """
        super().__init__(name)
        self.be_dormant(is_dormant=True)
        self.in_doubt: Callable[[], bool] = _nobody_asks
        """Called when there is something to find out; whether somebody will."""
        self.trouble: Trouble | None = None
        self._breaker = breaker
        self._cooldown = cooldown
        self._hears_of_readiness = hears_of_readiness
        self._held_until = -inf
        self._began_at = -inf
        self._was_held = False
        self._vouched = False
        """It was said to work, and no call has shown it since."""

    def ready_at(self, demand: Demand, now: float) -> float:
        return self._held_until

    def accepted(self, call: Call, now: float) -> None:
        self._works()

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        match outcome.ending:
            case Ending.SERVED | Ending.REFUSED:
                self._works()
            case Ending.UNREACHABLE:
                is_asked = self._doubt(Trouble.UNREACHABLE, now)
                if is_asked and not self._vouched:
                    # Until the first answer, which comes in no time from a server that is well.
                    self._held_until = now + BELIEVED_FOR
            case Ending.OVERLOADED if self._hears_of_readiness:
                self._doubt(Trouble.OVERLOADED, now)
            case Ending.FAILED if self._breaker.state is CircuitState.OPEN:
                self._doubt(Trouble.FAILING, now)

    def is_well(self, now: float) -> None:
        """The server answers, and is ready.

        That ends the pauses of the other gates, if it is news: the server was said to be away or
        not ready before, or could not be reached. That a server is well by its own account while
        it fails at calls is none.
        """
        if self.trouble is None:
            return
        was_away = self.trouble is Trouble.UNREACHABLE and not self._vouched
        if self._was_held or was_away:
            self._vouched = True
            self._breaker.relent(now)
            self._cooldown.relent(now)
        self.trouble = None
        self._held_until = -inf
        self._was_held = False

    def is_unwell(self, now: float, *, answers: bool) -> None:
        """The server can't be reached, or (``answers``) says that it is not ready."""
        if self.trouble is None:
            return
        self._vouched = False
        if answers and now - self._began_at > LONGEST_UNREADY:
            self._held_until = -inf
            return
        self._was_held = True
        self._held_until = now + BELIEVED_FOR
        if not answers:
            self._breaker.found_unreachable(now)

    def suspect(self, now: float, *, answers: bool) -> None:
        """As `is_unwell`, found out before a call has met it."""
        if self.trouble is None:
            self._doubt(Trouble.OVERLOADED if answers else Trouble.UNREACHABLE, now)
        self.is_unwell(now, answers=answers)

    def _doubt(self, trouble: Trouble, now: float) -> bool:
        if self.trouble is None:
            self._began_at = now
        self.be_dormant(is_dormant=False)
        self.trouble = trouble
        return self.in_doubt()

    def _works(self) -> None:
        self.be_dormant(is_dormant=True)
        self.trouble = None
        self._held_until = -inf
        self._was_held = False
        self._vouched = False

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return max(0.0, self._held_until - now)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "trouble": None if self.trouble is None else self.trouble.value,
            "held_for_seconds": round(max(0.0, self._held_until - now), 3),
        }


def _nobody_asks() -> bool:
    return False
