"""What a simulated provider really allows, and how much of it was used.

Kept apart from the gates of :mod:`forebay.actors.scheduling`, which are judged by it: a limit that
both got wrong in the same way would look right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from forebay.actors.config import LimitSettings
from forebay.actors.scheduling.gates import Unit
from forebay.actors.scheduling.windows import Shape

_ROUNDING = 1e-6
"""Units: what sums may be off by."""
_STEPS = 2000

_MINUTE, _DAY = 60.0, 86_400.0


class Allowance:
    """One limit on what is counted in units: a bucket that refills, or a window of time."""

    def __init__(
        self, name: str, unit: Unit, *, limit: float, window: float, shape: Shape, burst: float
    ) -> None:
        """
        Args:
            limit: units in a window.
            window: seconds.
            burst: what the bucket of a smooth limit holds.
        """
        self.name = name
        self.unit = unit
        self.limit = limit
        self.window = window
        self.burst = burst
        self._shape = shape
        self._left = burst if shape is Shape.SMOOTH else limit
        self._at = 0.0
        self._sums: deque[list[float]] = deque()
        self.used = 0.0
        """Units, since the beginning."""
        self.used_while_waiting = 0.0
        """Of them, those of calls that came while jobs waited."""
        self.allowed = 0.0
        """Units that came in the time that was accounted for."""
        self.allowed_while_waiting = 0.0

    @property
    def per_second(self) -> float:
        return self.limit / self.window

    def _move_on(self, now: float) -> None:
        if self._shape is Shape.SMOOTH:
            self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        elif self._shape is Shape.FIXED:
            windows = now // self.window - self._at // self.window
            if windows:
                self._left = min(self.limit, self._left + windows * self.limit)
        else:
            while self._sums and self._sums[0][0] + self.window <= now:
                self._left += self._sums.popleft()[1]
        self._at = now

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until so much may be taken; 0: now. What is larger than all there ever is may
        be taken when nothing is missing."""
        self._move_on(now)
        most = self.burst if self._shape is Shape.SMOOTH else self.limit
        missing = min(amount, most) - self._left
        if missing <= _ROUNDING:
            return 0.0
        if self._shape is Shape.SMOOTH:
            return missing / self.per_second
        if self._shape is Shape.FIXED:
            return self.window - now % self.window
        for at, taken in self._sums:
            missing -= taken
            if missing <= _ROUNDING:
                return at + self.window - now
        return self.window

    def take(self, amount: float, now: float, *, while_waiting: float | None) -> None:
        """After :meth:`wait_for` has said 0 for ``now``.

        Args:
            while_waiting: for how many seconds jobs have waited before it, ``inf`` for those
                that are not the first to be taken; None: nobody waited.
        """
        self._left -= amount
        self.used += amount
        if while_waiting is not None:
            # The first one also takes what was there when the waiting began.
            self.used_while_waiting += min(amount, while_waiting * self.per_second)
        if self._shape is Shape.ROLLING:
            # Never later than it really comes back.
            step = self.window / _STEPS
            at = now // step * step
            if self._sums and self._sums[-1][0] == at:
                self._sums[-1][1] += amount
            else:
                self._sums.append([at, amount])

    def account(self, seconds: float, waited: float) -> None:
        """So much time has passed, in ``waited`` of which jobs waited."""
        self.allowed += seconds * self.per_second
        self.allowed_while_waiting += waited * self.per_second

    def change(self, limit: float, now: float) -> None:
        """From now on ``limit`` holds; a burst of its own keeps its part of it."""
        self._move_on(now)
        before = self.limit
        self.burst *= limit / before
        self.limit = limit
        most = self.burst if self._shape is Shape.SMOOTH else limit
        if self._shape is not Shape.SMOOTH:
            self._left += limit - before
        self._left = min(self._left, most)

    def left(self, now: float) -> float:
        self._move_on(now)
        return max(0.0, self._left)

    def resets_in(self, now: float) -> float:
        """Seconds until nothing is missing."""
        self._move_on(now)
        if self._shape is Shape.SMOOTH:
            return max(0.0, self.burst - self._left) / self.per_second
        if self._shape is Shape.FIXED:
            return self.window - now % self.window
        return self._sums[-1][0] + self.window - now if self._sums else 0.0


class Slots:
    """Calls at once."""

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        self.taken = 0
        self.used = 0.0
        """Slots times seconds."""
        self.used_while_waiting = 0.0
        self.allowed = 0.0
        self.allowed_while_waiting = 0.0

    def account(self, seconds: float, *, while_waiting: bool) -> None:
        """So much time has passed in which nothing changed."""
        self.used += seconds * self.taken
        self.allowed += seconds * self.limit
        if while_waiting:
            self.used_while_waiting += seconds * self.taken
            self.allowed_while_waiting += seconds * self.limit


def allowances_of(name: str, limits: LimitSettings) -> Iterator[Allowance]:
    """The limits on requests and tokens; a smooth one lets a whole window's worth pass at once
    after a rest, unless ``burst`` says otherwise."""
    requests, tokens = limits.burst, limits.token_burst
    smooth, by_minute, by_day = Shape.SMOOTH, limits.minute_shape, limits.day_shape
    table = (
        ("rps", Unit.REQUESTS, limits.rps, 1.0, smooth, requests),
        ("rpm", Unit.REQUESTS, limits.rpm, _MINUTE, by_minute, requests),
        ("tpm", Unit.TOKENS, limits.tpm, _MINUTE, by_minute, tokens),
        ("itpm", Unit.INPUT_TOKENS, limits.itpm, _MINUTE, by_minute, tokens),
        ("otpm", Unit.OUTPUT_TOKENS, limits.otpm, _MINUTE, by_minute, tokens),
        ("rpd", Unit.REQUESTS, limits.rpd, _DAY, by_day, None),
        ("tpd", Unit.TOKENS, limits.tpd, _DAY, by_day, None),
        ("itpd", Unit.INPUT_TOKENS, limits.itpd, _DAY, by_day, None),
        ("otpd", Unit.OUTPUT_TOKENS, limits.otpd, _DAY, by_day, None),
    )
    for what, unit, limit, window, shape, burst in table:
        if limit is not None:
            yield Allowance(
                f"{name}{what}",
                unit,
                limit=float(limit),
                window=window,
                shape=shape,
                burst=float(burst or max(1.0, float(limit))),
            )
    for one in limits.windows:
        yield Allowance(
            f"{name}{one.unit} per {one.seconds} s",
            one.unit,
            limit=float(one.limit),
            window=float(one.seconds),
            shape=one.shape,
            burst=float(one.limit),
        )
