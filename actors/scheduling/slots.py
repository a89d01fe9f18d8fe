"""Calls at the same time: a configured number of slots."""

from __future__ import annotations

from math import inf

from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome

_SMOOTHING = 0.1


class ServiceTime:
    """A running mean of how long calls hold their slot, in seconds."""

    __slots__ = ("mean",)

    def __init__(self) -> None:
        self.mean: float | None = None

    def add(self, seconds: float) -> None:
        if self.mean is None:
            self.mean = seconds
        else:
            self.mean += _SMOOTHING * (seconds - self.mean)


class SlotGate(Gate):
    """At most ``slots`` calls in flight."""

    def __init__(self, name: str, slots: int) -> None:
        super().__init__(name)
        self.slots = slots
        self.taken = 0
        self._service = ServiceTime()

    def ready_at(self, demand: Demand, now: float) -> float:
        return now if self.taken < self.slots else inf

    def take(self, call: Call, now: float) -> None:
        self.taken += 1

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        self.taken -= 1
        if outcome.ending is Ending.SERVED:
            self._service.add(now - call.started_at)

    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        beyond = ahead + 1 - (self.slots - self.taken)
        if beyond <= 0 or self._service.mean is None:
            return 0.0
        return beyond * self._service.mean / self.slots

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"limit": self.slots, "in_use": self.taken}
