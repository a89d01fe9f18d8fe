"""A pause after an upstream said no."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log2
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome

_UNWELL = frozenset({Ending.OVERLOADED, Ending.UNREACHABLE, Ending.FAILED})
_DOUBLING_SECONDS = 0.25
"""After a pause, twice as many calls have been let through in each such span: as long as it takes
to hear of a refusal."""
_WELL_AGAIN = 64
"""Calls, after which an upstream that has not said no again is well."""


class Cooldown(Gate):
    """Closed until the time that the upstream named; after overload or a failure without one, for
    a growing pause, no longer than the job that met it can still wait.

    An upstream that was unwell is not sent all who wait at once: one call first, then ever more in
    ever shorter intervals, unless it says no again. How to go on after a refusal by a limit is for
    :class:`~forebay.actors.scheduling.learned.LearnedLimit` to find out."""

    same_for_all = True

    def __init__(
        self, name: str, random: Random, *, initial: float = 0.1, cap: float = 30.0
    ) -> None:
        super().__init__(name)
        self.be_dormant(is_dormant=True)
        self._until = -inf
        self._told_until = -inf
        """For as long as the upstream itself has asked for."""
        self._before_refusal = -inf, -inf
        self._backoff = Backoff(initial=initial, cap=cap, random=random, floor=0.0)
        self._released: int | None = None
        """Calls let through since the last pause, while that is counted."""
        self._released_at = -inf
        """When the first of them was: nobody may have come until long after the pause."""

    def ready_at(self, demand: Demand, now: float) -> float:
        if not self._released:
            return self._until
        since = max(self._until, self._released_at)
        return since + _DOUBLING_SECONDS * log2(1 + self._released)

    def take(self, call: Call, now: float) -> None:
        if self._released is not None:
            if not self._released:
                self._released_at = now
            self._released += 1
            if self._released >= _WELL_AGAIN:
                self._released = None

    def accepted(self, call: Call, now: float) -> None:
        self._backoff.reset()
        self.be_dormant(is_dormant=self._released is None and self._until <= now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        is_unwell = outcome.ending in _UNWELL
        if outcome.retry_after is not None:
            self._before_refusal = self._until, self._told_until
            self.close_for(outcome.retry_after, now)
            self._told_until = self._until
        elif is_unwell and call.started_at >= self._until:
            # Calls that were under way when the pause began are news of the same trouble,
            # however late they end.
            self.close_for(self._backoff.next(within=outcome.patience), now)
        else:
            return
        if is_unwell:
            self._released = 0

    def close_for(self, seconds: float, now: float) -> None:
        self.be_dormant(is_dormant=False)
        self._until = max(self._until, now + seconds)

    def overrule(self) -> None:
        """Who knows the limit that has just refused a call says that it asked for too long."""
        self._until, self._told_until = self._before_refusal

    def relent(self, now: float) -> None:
        """The upstream seems to be well again: what is left of a pause that it has not asked for
        itself is over."""
        self._until = min(self._until, max(now, self._told_until))
        if self._released is not None:
            self._released = 0

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return max(0.0, self.ready_at(demand, now) - now)

    def memory(self, now: float) -> dict[str, float]:
        return {"closed_for": self._until - now} if self._until > now else {}

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        self.be_dormant(is_dormant=False)
        self._until = remembered_at + memory["closed_for"]

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"closed_for_seconds": round(max(0.0, self._until - now), 3)}
