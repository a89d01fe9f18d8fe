"""A limit as the provider tells it: how much there is, how much is left, when it is back.

What a provider says is old when it is read, and answers come out of order. So the gate keeps count
by itself, and what an answer says is compared with what was thought when its call was started; the
difference corrects what is thought now. Only the answer to the call that was started last is
believed. Less than was thought counts at once; more is taken on by halves, since several servers
of one provider may each know a part.

Both count in estimates, so near the end of the limit a call may be refused that should have passed.
Each time the gate gets more cautious and leaves a little in the bucket, which costs nothing: what
comes back is used as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from forebay.actors.scheduling.gates import (
    Backlog,
    Call,
    Demand,
    Ending,
    Gate,
    Outcome,
    Unit,
    surplus,
)
from forebay.actors.scheduling.kept import KeptShare
from forebay.actors.scheduling.rates import Bucket
from forebay.actors.scheduling.windows import Shape

_USUAL_WINDOW = 60.0
"""Seconds, where nobody has said yet."""
_LEAST_BURST_SECONDS = 1.0
_TRUST = 0.5
_CAUTION_STEP = 0.5
"""Of a refused call's demand."""
_MOST_CAUTION = 0.25
"""Of all that fits."""
_CALM = 0.999
"""What is left of the caution after each call that was taken on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one answer says of one limit; None: nothing. Times are seconds."""

    limit: float | None = None
    """Units in a window."""
    remaining: float | None = None
    resets_in: float | None = None
    """Until all is back: little by little, or at once."""
    window: float | None = None
    shape: Shape = Shape.SMOOTH


class _Belief:
    """What a call took, and what was thought to be left then."""

    __slots__ = ("amount", "corrected", "left", "window")

    def __init__(self, amount: float, left: float | None, corrected: float, window: int) -> None:
        self.amount = amount
        self.left = left
        """None: nobody had told anything."""
        self.corrected = corrected
        """The sum of all corrections until then."""
        self.window = window
        """In which window it was thought."""


class ToldLimit(Gate):
    """One limit of one account or target."""

    def __init__(self, name: str, unit: Unit) -> None:
        super().__init__(name)
        self.unit = unit
        self._kept = KeptShare()
        self._beliefs: dict[Call, _Belief] = {}
        """Of the calls under way, in the order in which they were started."""
        self._told_by = -inf
        """When the call was started whose answer was believed last."""
        self._corrected = 0.0
        self._limit: float | None = None
        self._window = _USUAL_WINDOW
        self._capacity = 0.0
        """The most that was ever left, as far as was seen."""
        self._bucket: Bucket | None = None
        """Of a smooth limit."""
        self._caution = 0.0
        """Units that stay in the bucket."""
        self._left: float | None = None
        """In this window, of a limit that comes back at once."""
        self._resets_at = inf
        self._windows = 0

    def hear(self, told: Told, call: Call, now: float) -> None:
        """The answer to ``call`` began, and said this."""
        if call.started_at < self._told_by:
            return
        self._told_by = call.started_at
        if told.limit is not None and told.limit > 0:
            self._limit = told.limit
        if told.window is not None:
            self._window = told.window
        belief = self._beliefs.get(call)
        if told.shape is Shape.SMOOTH and self._limit is not None:
            self._hear_smooth(self._limit, told, belief, now)
        else:
            self._hear_window(told, belief, now)

    def _hear_smooth(self, limit: float, told: Told, belief: _Belief | None, now: float) -> None:
        self._left = None
        rate = limit / self._window
        if told.remaining is not None:
            seen = told.remaining + (0.0 if belief is None else belief.amount)
            self._capacity = min(limit, max(self._capacity, seen))
        capacity = max(self._capacity, rate * _LEAST_BURST_SECONDS, 1.0)
        if self._bucket is None:
            self._bucket = Bucket(rate, capacity, now=now)
            if told.remaining is not None:
                self._bucket.set_level(self._less_unseen(told.remaining, belief), now)
            return
        level = self._bucket.level(now)
        if told.remaining is not None:
            level += self._correction(told.remaining, belief)
        self._bucket.set_rate(rate, capacity, now)
        self._bucket.set_level(min(level, capacity), now)

    def _hear_window(self, told: Told, belief: _Belief | None, now: float) -> None:
        self._bucket = None
        self._turn(now)
        if told.remaining is not None:
            if self._left is None:
                self._left = self._less_unseen(told.remaining, belief)
            elif belief is not None and belief.window == self._windows:
                self._left += self._correction(told.remaining, belief)
        if told.resets_in is not None:
            self._resets_at = now + told.resets_in

    def _less_unseen(self, remaining: float, belief: _Belief | None) -> float:
        """What is left without what later calls have taken, as far as is known."""
        for later in reversed(self._beliefs.values()):
            if later is belief:
                break
            remaining -= later.amount
        return remaining

    def _correction(self, remaining: float, belief: _Belief | None) -> float:
        if belief is None or belief.left is None:
            return 0.0
        error = remaining - (belief.left + self._corrected - belief.corrected)
        if error > 0:
            error *= _TRUST
        self._corrected += error
        return error

    def _turn(self, now: float) -> None:
        if self._left is None or now < self._resets_at:
            return
        self._windows += 1
        if self._limit is None:
            self._left, self._resets_at = None, inf
            return
        self._left = self._limit
        self._resets_at += (1 + (now - self._resets_at) // self._window) * self._window

    def ready_at(self, demand: Demand, now: float) -> float:
        amount = demand.of(self.unit)
        if self._bucket is not None:
            return self._bucket.ready_at(amount + self._caution, now)
        self._turn(now)
        if self._left is None or min(amount, self._limit or amount) <= self._left:
            return now
        return self._resets_at

    def take(self, call: Call, now: float) -> None:
        amount = call.demand.of(self.unit)
        self._change(-amount, now)
        left = self._left if self._bucket is None else self._bucket.level(now)
        self._beliefs[call] = _Belief(amount, left, self._corrected, self._windows)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        belief = self._beliefs.pop(call, None)
        if belief is not None:
            unused = surplus(call.demand, outcome, self.unit)
            if outcome.ending is Ending.REFUSED:
                step = _CAUTION_STEP * belief.amount
                self._caution = min(self._caution + step, _MOST_CAUTION * self._capacity)
            else:
                self._caution *= _CALM
            if self.unit is not Unit.REQUESTS:
                self._kept.note(belief.amount, unused, outcome)
            self._change(unused, now)

    def _change(self, amount: float, now: float) -> None:
        if self._bucket is not None:
            self._bucket.give_back(amount, now)
        elif self._left is not None:
            self._left += amount

    def room(self, now: float) -> float:
        if self._bucket is not None:
            return self._bucket.fullness(now)
        self._turn(now)
        if self._left is None or not self._limit:
            return 1.0
        return min(1.0, max(0.0, self._left / self._limit))

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        before = self._kept.of(ahead.of(self.unit))
        own = demand.of(self.unit)
        amount = before + min(own, self._limit or own)
        if self._bucket is not None:
            return self._bucket.time_until(amount + self._caution, now)
        self._turn(now)
        if self._left is None or amount <= self._left:
            return 0.0
        windows = 0.0 if not self._limit else (amount - self._left - 1e-9) // self._limit
        return max(0.0, self._resets_at - now) + windows * self._window

    def memory(self, now: float) -> dict[str, float]:
        if self._limit is None and self._left is None:
            return {}
        memory = {"window": self._window, "capacity": self._capacity}
        if self._limit is not None:
            memory["limit"] = self._limit
        if self._bucket is not None:
            memory["level"] = self._bucket.level(now)
        elif self._left is not None:
            memory |= {"left": self._left, "resets_in": self._resets_at - now}
        return memory

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        self._window, self._capacity = memory["window"], memory["capacity"]
        self._limit = memory.get("limit")
        if "level" in memory and self._limit is not None:
            rate = self._limit / self._window
            capacity = max(self._capacity, rate * _LEAST_BURST_SECONDS, 1.0)
            self._bucket = Bucket(rate, capacity, now=remembered_at)
            self._bucket.set_level(memory["level"], remembered_at)
        elif "left" in memory:
            self._left = memory["left"]
            self._resets_at = remembered_at + memory["resets_in"]

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        level = self._left if self._bucket is None else self._bucket.level(now)
        return {
            "limit": self._limit,
            "window_seconds": self._window,
            "available": None if level is None else round(level, 3),
        }
