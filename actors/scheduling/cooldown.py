"""A pause after an upstream said no."""

from __future__ import annotations

from math import inf
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome

_UNWELL = frozenset({Ending.OVERLOADED, Ending.UNREACHABLE, Ending.FAILED})


class Cooldown(Gate):
    """Closed until the time that the upstream named; after overload or a failure without one, for
    a growing pause. How to go on after a refusal that names no time is for
    :class:`~forebay.actors.scheduling.learned.LearnedLimit` to find out."""

    def __init__(
        self, name: str, random: Random, *, initial: float = 0.1, cap: float = 30.0
    ) -> None:
        super().__init__(name)
        self._until = -inf
        self._backoff = Backoff(initial=initial, cap=cap, random=random)

    def ready_at(self, demand: Demand, now: float) -> float:
        return self._until

    def accepted(self, call: Call, now: float) -> None:
        self._backoff.reset()

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        if outcome.retry_after is not None:
            self.close_for(outcome.retry_after, now)
        elif outcome.ending in _UNWELL and call.started_at >= self._until:
            # Calls that were under way when the pause began are news of the same trouble,
            # however late they end.
            self.close_for(self._backoff.next(), now)

    def close_for(self, seconds: float, now: float) -> None:
        self._until = max(self._until, now + seconds)

    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        return max(0.0, self._until - now)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"closed_for_seconds": round(max(0.0, self._until - now), 3)}
