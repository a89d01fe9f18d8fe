"""Limits by windows of time: so much from here to there, and then anew.

In a *fixed* window all comes back at once when the window ends, in a *rolling* one what was taken
comes back one window after it was taken. Within a window nothing is spread: whoever needs that has
a smooth rate beside it.

What is larger than a whole window may start when nothing else was taken, and is paid off in the
windows that follow: otherwise it could never be served.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from enum import StrEnum

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Gate, Outcome, Unit, surplus
from forebay.actors.scheduling.kept import KeptShare
from forebay.actors.scheduling.rolling_sums import STEPS, RollingSums

_ROUNDING = 1e-9
"""Units: what sums may be off by."""


class Shape(StrEnum):
    """How a limit comes back."""

    SMOOTH = "smooth"
    """All the time, a little."""
    FIXED = "fixed"
    """All at once, at the end of a window."""
    ROLLING = "rolling"
    """One window after it was taken."""


def after_whole_windows(beyond: float, used: float, limit: float) -> tuple[float, float]:
    """How many whole windows go by until ``beyond`` units more have come back, and how much of
    ``used`` may be left at that time of a window."""
    whole, rest = divmod(beyond, limit)
    if not rest:
        whole, rest = whole - 1, limit
    return whole, max(0.0, used - rest)


class WindowGate(Gate):
    """So many units in a window; what both kinds of windows have in common."""

    def __init__(self, name: str, unit: Unit, *, limit: float, window: float) -> None:
        """
        Args:
            limit: units in one window, above 0.
            window: seconds.
        """
        super().__init__(name)
        self.unit = unit
        self.limit = limit
        self.window = window
        self._kept = KeptShare()

    @abstractmethod
    def used(self, now: float) -> float:
        """Units that count against the limit now; above it where one demand was larger."""

    @abstractmethod
    def _free_at(self, amount: float, now: float) -> float:
        """When no more than ``amount`` is used, if nobody takes more."""

    @abstractmethod
    def _add(self, amount: float, taken_at: float, now: float) -> None:
        """``amount``, negative where it comes back, for a call that was taken at ``taken_at``."""

    def change(self, limit: float) -> None:
        """Another limit: what was taken stays taken."""
        self.limit = limit

    @abstractmethod
    def take_over(self, taken: float, now: float) -> None:
        """Count what was taken at a gate of another shape, as if it had been taken now."""

    def ready_at(self, demand: Demand, now: float) -> float:
        return self._free_at(max(0.0, self.limit - demand.of(self.unit)), now)

    def take(self, call: Call, now: float) -> None:
        self._add(call.demand.of(self.unit), now, now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        unused = surplus(call.demand, outcome, self.unit)
        if self.unit is not Unit.REQUESTS:
            self._kept.note(call.demand.of(self.unit), unused, outcome)
        self._add(-unused, call.started_at, now)

    def room(self, now: float) -> float:
        return min(1.0, max(0.0, 1 - self.used(now) / self.limit))

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        before = self._kept.of(ahead.of(self.unit))
        used = self.used(now)
        beyond = used + before + min(self.limit, demand.of(self.unit)) - self.limit
        if beyond <= 0:
            return 0.0
        whole, left = after_whole_windows(beyond, used, self.limit)
        return max(0.0, self._free_at(left, now) - now) + whole * self.window

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "limit": self.limit,
            "window_seconds": self.window,
            "available": round(self.limit - self.used(now), 3),
        }


class FixedWindowGate(WindowGate):
    """All comes back when the window ends."""

    def __init__(
        self, name: str, unit: Unit, *, limit: float, window: float, ends_at: float
    ) -> None:
        """
        Args:
            ends_at: when any of the windows ends, on the clock of all ``now``.
        """
        super().__init__(name, unit, limit=limit, window=window)
        self._ends_at = ends_at
        self._used = 0.0

    def _turn(self, now: float) -> None:
        if now >= self._ends_at:
            windows = 1 + (now - self._ends_at) // self.window
            self._used = max(0.0, self._used - windows * self.limit)
            self._ends_at += windows * self.window

    def used(self, now: float) -> float:
        self._turn(now)
        return self._used

    def take_over(self, taken: float, now: float) -> None:
        self._add(taken, now, now)

    def memory(self, now: float) -> dict[str, float]:
        return {"used": self.used(now), "ends_in": self._ends_at - now}

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        # Windows end by the calendar, whatever the time of saving was off by.
        windows = round((self._ends_at - remembered_at - memory["ends_in"]) / self.window)
        self._used = max(0.0, memory["used"] - max(0, windows) * self.limit)
        self._ends_at -= min(0, windows) * self.window

    def _free_at(self, amount: float, now: float) -> float:
        self._turn(now)
        if self._used <= amount:
            return now
        windows = -((self._used - amount) // -self.limit)
        return self._ends_at + (windows - 1) * self.window

    def _add(self, amount: float, taken_at: float, now: float) -> None:
        self._turn(now)
        # What was taken in an earlier window is of no use to this one, if it left no debt.
        if amount > 0 or taken_at >= self._ends_at - self.window:
            self._used = max(0.0, self._used + amount)


class RollingWindowGate(WindowGate):
    """What was taken comes back one window later, a thousandth of the window late at most."""

    def __init__(self, name: str, unit: Unit, *, limit: float, window: float) -> None:
        super().__init__(name, unit, limit=limit, window=window)
        self._sums = RollingSums(window)
        self._owed = 0.0
        """What was taken beyond the limit, and takes the place of what comes back."""

    def _turn(self, now: float) -> None:
        sums = self._sums
        while returned := sums.turn(now):
            if not self._owed:
                return
            for step, amount in returned:
                paid = min(self._owed, amount)
                self._owed -= paid
                sums.put(paid, step + STEPS + 1)

    def used(self, now: float) -> float:
        self._turn(now)
        return self._sums.counted + self._owed

    def take_over(self, taken: float, now: float) -> None:
        if taken > 0:
            self._add(taken, now, now)

    def memory(self, now: float) -> dict[str, float]:
        self._turn(now)
        taken = {str(now - self._sums.time_of(step)): amount for step, amount in self._sums}
        return taken | {"owed": self._owed}

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        for ago, amount in memory.items():
            if ago == "owed":
                self._owed += amount
            else:
                self._sums.put(amount, self._sums.step_of(remembered_at - float(ago)))

    def _free_at(self, amount: float, now: float) -> float:
        if self.used(now) <= amount + _ROUNDING:
            return now
        return self._free_of_debt_at(amount) if self._owed else self._sums.free_at(amount)

    def _free_of_debt_at(self, amount: float) -> float:
        """The same where what comes back is owed at once."""
        left, owed = self._sums.counted + self._owed, self._owed
        sums = deque(self._sums)
        step = 0.0
        while left > amount + _ROUNDING and sums:
            step, taken = sums.popleft()
            left -= taken
            paid = min(owed, taken)
            owed -= paid
            if paid:
                sums.append((step + STEPS + 1, paid))
        return self._sums.comes_back_at(step)

    def _add(self, amount: float, taken_at: float, now: float) -> None:
        self._turn(now)
        step = self._sums.step_of(taken_at)
        if amount < 0:
            self._give_back(-amount, step)
            return
        fitting = min(amount, max(0.0, self.limit - self._sums.counted))
        self._sums.put(fitting, step)
        self._owed += amount - fitting

    def _give_back(self, amount: float, step: float) -> None:
        part = self._sums.take_out(amount, step)
        if part is None:
            return  # It has come back already.
        self._owed = max(0.0, self._owed - (amount - part))
        paid = min(self._owed, part)
        self._owed -= paid
        self._sums.put(paid, step)
