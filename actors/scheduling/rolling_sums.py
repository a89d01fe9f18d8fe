"""What was taken within a span of time that moves on, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

_ROUNDING = 1e-9
"""Units: what sums may be off by."""
STEPS = 1000
"""The window moves on in so many steps, and one sum is remembered for each."""


class RollingSums:
    """The sums of a window's steps; each comes back one window after the end of its step."""

    __slots__ = ("_step", "_sums", "counted", "returned_at", "window")

    def __init__(self, window: float) -> None:
        self.window = window
        """Seconds; it may grow a little."""
        self._step = window / STEPS
        self._sums: deque[tuple[float, float]] = deque()
        """The numbers of steps and what was taken in each, in the order of time."""
        self.counted = 0.0
        """The sum of these."""
        self.returned_at = float("-inf")
        """When something came back last."""

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Steps and their sums."""
        return iter(self._sums)

    def step_of(self, at: float) -> float:
        return at // self._step

    def time_of(self, step: float) -> float:
        """The middle of it."""
        return (step + 0.5) * self._step

    def comes_back_at(self, step: float) -> float:
        return (step + 1) * self._step + self.window

    def turn(self, now: float) -> Iterable[tuple[float, float]]:
        """Forget what has come back by now, and return it."""
        sums = self._sums
        if not sums or self.comes_back_at(sums[0][0]) > now:
            return ()
        returned = []
        while sums and (back_at := self.comes_back_at(sums[0][0])) <= now:
            returned.append(sums.popleft())
            self.counted -= returned[-1][1]
            self.returned_at = back_at
        if not sums:
            self.counted = 0.0
        return returned

    def since(self, at: float) -> float:
        """What was taken after the step in which ``at`` lies."""
        first = self.step_of(at)
        return sum(amount for step, amount in self._sums if step > first)

    def left_at(self, at: float) -> float:
        """What of it will not have come back by then."""
        return sum(amount for step, amount in self._sums if self.comes_back_at(step) > at)

    def free_at(self, most: float) -> float:
        """When no more than ``most`` of what is counted now is left."""
        left = self.counted
        last = 0.0
        for step, amount in self._sums:
            left -= amount
            last = step
            if left <= most + _ROUNDING:
                break
        return self.comes_back_at(last)

    def add(self, amount: float, now: float) -> None:
        """Put it in the step of ``now``, the latest, and forget what has come back."""
        sums = self._sums
        step = now // self._step
        if sums and sums[-1][0] == step:
            sums[-1] = (step, sums[-1][1] + amount)
        else:
            self.turn(now)
            sums.append((step, amount))
        self.counted += amount

    def put(self, amount: float, step: float) -> None:
        if amount <= 0:
            return
        self.counted += amount
        sums = self._sums
        place = self._place_after(step)
        if place and sums[place - 1][0] == step:
            sums[place - 1] = (step, sums[place - 1][1] + amount)
        else:
            sums.insert(place, (step, amount))

    def correct(self, amount: float, step: float) -> None:
        """Put in more, or take out less than nothing, of what has not come back yet."""
        if amount < 0:
            self.take_out(-amount, step)
        elif self._sums and step >= self._sums[0][0]:
            self.put(amount, step)

    def take_out(self, amount: float, step: float) -> float | None:
        """Take ``amount`` out of what was put there, as far as it is there.

        Returns:
            How much it was; None: the step has come back already.
        """
        place = self._place_after(step)
        if not place or self._sums[place - 1][0] != step:
            return None
        taken = self._sums[place - 1][1]
        part = min(amount, taken)
        self._sums[place - 1] = (step, taken - part)
        self.counted -= part
        return part

    def _place_after(self, step: float) -> int:
        """How many sums are of this step or of earlier ones."""
        place = len(self._sums)
        while place and self._sums[place - 1][0] > step:
            place -= 1
        return place
