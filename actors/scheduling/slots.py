"""Calls at the same time: a configured number of slots."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import inf
from typing import Final

from forebay.actors.scheduling.averages import RunningMean
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome

_LEAST_WEIGHT = 0.03
_SERVED: Final = Ending.SERVED


class ServiceTime:
    """How long calls hold their slot, in seconds, and what that says of when the next is free."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds = RunningMean(_LEAST_WEIGHT)

    @property
    def mean(self) -> float | None:
        return self._seconds.mean

    def add(self, seconds: float) -> None:
        self._seconds.add(seconds)

    def until_free(self, turn: float, slots: int, calls: Iterable[Call], now: float) -> float:
        """Seconds until a slot comes free for the ``turn``-th time, 1 being the next.

        Args:
            slots: all that will be in use until then.
            calls: those that hold one now, the oldest first.
        """
        turn = max(1.0, turn)
        mean = self.mean
        if mean is None:
            # Nothing has ended yet: as much again as it has taken is the best guess.
            oldest = next(iter(calls), None)
            return 0.0 if oldest is None else turn * (now - oldest.started_at) / slots
        if not mean:
            return 0.0
        # Where all calls take the same time the slots come free in the order in which they were
        # taken. Where a call that has taken long is no nearer to its end than a new one (times
        # without memory: their deviation is their mean), they come free at an even pace.
        chance = min(1.0, self._seconds.variance / mean**2)
        rounds, number = divmod(int(turn) - 1, slots)
        call = next(itertools.islice(calls, number, None), None)
        rest = mean if call is None else max(0.0, mean - (now - call.started_at))
        return (1 - chance) * (rounds * mean + rest) + chance * turn * mean / slots


class SlotGate(Gate):
    """At most ``slots`` calls in flight."""

    same_for_all = True

    def __init__(self, name: str, slots: int) -> None:
        super().__init__(name)
        self.slots = slots
        self._calls: dict[Call, None] = {}
        self._service = ServiceTime()

    @property
    def taken(self) -> int:
        """Slots in use: more than there are, where there were more."""
        return len(self._calls)

    def change(self, slots: int) -> None:
        """Another limit: calls under way keep their slots, also those beyond it."""
        self.slots = slots

    def ready_at(self, demand: Demand, now: float) -> float:
        return now if len(self._calls) < self.slots else inf

    def take(self, call: Call, now: float) -> None:
        self._calls[call] = None

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        del self._calls[call]
        if outcome.ending is _SERVED:
            self._service.add(now - call.started_at)

    def room(self, now: float) -> float:
        return max(0.0, 1 - self.taken / self.slots) if self.slots else 0.0

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        beyond = ahead.calls + 1 - (self.slots - self.taken)
        if beyond <= 0:
            return 0.0
        return self._service.until_free(beyond, self.slots, self._calls, now)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"limit": self.slots, "in_use": self.taken}
