"""So many units in any span of so many seconds, at an upstream that does not tell how many.

That is what a rolling window allows. A fixed one, in which all comes back at the same instant,
allows it as well: who sends the same in every span of its length uses it up, wherever it begins.

The limit is what had been sent when a call was refused. To see whether it has risen, one call more
is sent when it is used up: a *probe*. If that is let through, then two more, four more, and so on.
"""

from __future__ import annotations

from math import inf

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Unit
from forebay.actors.scheduling.learned_calls import Sent
from forebay.actors.scheduling.learned_units import NOTHING, Sums
from forebay.actors.scheduling.rolling_sums import RollingSums
from forebay.actors.scheduling.windows import after_whole_windows

_CALLS_BETWEEN_PROBES = 60
"""So few of them are refused that it takes two windows to see one of 30 calls rise."""
_MORE_BETWEEN_PROBES = 120
"""Where the limit is smaller still, and it takes longer anyway."""
_SECONDS_BETWEEN_PROBES = 30.0
_CALM = 0.25
"""Part of a window: a probe is sent when nothing comes back for so long, if there is such a time.
Else it could be let through in the place of what just came back."""
_MARGIN, _MOST_MARGIN = 0.0005, 0.004
"""Parts of a window: what is sent again must not be early."""
_SOON = 0.002
_LATE = 0.02
"""Part of a window: within this after something came back, a refusal is a matter of clocks."""
_MOST_SURETY = 2
_BATCHES = 8
_LEAST_BATCH = 4
"""Calls: so few are sent before it is heard whether they are refused, lest all of a window are
when its limit has fallen."""
_ROUNDING = 1e-6


class LearnedWindow:
    """One window, believed in more or less."""

    def __init__(self, unit: Unit, limit: float, seconds: float, *, now: float) -> None:
        self.unit = unit
        self.limit = limit
        self.seconds = seconds
        self.surety = 0
        """How often it was refused where it was foretold, less what was not foretold."""
        self._margin = _MARGIN * seconds
        self._sent = RollingSums(seconds + self._margin)
        self._calls_to_probe = 0
        self._probe_at = inf
        self._step = 1.0
        self._probe: Call | None = None
        """The last call beyond the limit, until it is known to be let through."""
        self._probe_serial = 0
        self._probed_at = -inf
        self._reach = 0.0
        """Up to where calls belong to the probe."""
        self._before_probe = NOTHING
        self._surely_used = self._beyond = 0.0
        """When the probe began, and what it has taken."""
        self._batch = 0.0
        """What was sent since it began."""
        self._batch_from = -inf
        self._rest(now)

    def used(self, now: float) -> float:
        """Units sent in the span up to now."""
        self._sent.turn(now)
        return self._sent.counted

    def used_at(self, at: float) -> float:
        """What will count still at a later time, if nothing more is sent."""
        return self._sent.left_at(at)

    def count(self, amount: float, at: float) -> None:
        """So much had been sent at that time."""
        self._sent.put(amount, self._sent.step_of(at))

    def renew(self, at: float) -> None:
        """All came back at once."""
        sent, self._sent = self._sent, RollingSums(self.seconds + self._margin)
        for step, amount in sent:
            if step >= sent.step_of(at):
                self.count(amount, sent.time_of(step))

    # Calls.

    def ready_at(self, demand: Demand, patience: float, now: float) -> float:
        if self._batch >= max(_LEAST_BATCH * demand.of(self.unit), self.limit / _BATCHES):
            heard_at = self._batch_from + min(patience, self.seconds / (2 * _BATCHES))
            if heard_at > now:
                return heard_at
            self._batch = 0.0
        amount = min(demand.of(self.unit), self.limit)
        excess = self.used(now) + amount - self.limit
        if excess <= _ROUNDING or (
            self._probe is not None and excess <= self._reach - self.limit + _ROUNDING
        ):
            return now
        free_at = self._sent.free_at(self.limit - amount)
        if self._probe is not None:
            probe_at = self._probed_at + patience
        elif self._calls_to_probe:
            probe_at = inf
        elif free_at - max(now, self._probe_at) >= _CALM * self.seconds:
            probe_at = self._probe_at
        else:
            probe_at = self._probe_at + self.seconds
        return max(now, min(probe_at, free_at))

    def take(self, call: Call, serial: int, before: Sums, now: float) -> None:
        amount = call.demand.of(self.unit)
        used = self.used(now)
        if used + min(amount, self.limit) > self.limit + _ROUNDING:
            if self._probe is not None and used + amount > self._reach + _ROUNDING:
                self._probe_passed()
            if self._probe is None:
                self._probe_serial = serial
                self._before_probe = before
                # What is about to come back may be back already, as the upstream sees it.
                self._surely_used = self._sent.since(now - (1 - _SOON) * self.seconds)
                self._beyond = 0.0
                self._reach = used + max(self._step, amount)
            self._beyond += amount
            self._probe = call
            self._probed_at = now
        self._sent.add(amount, now)
        if not self._batch:
            self._batch_from = now
        self._batch += amount
        if self._calls_to_probe:
            self._calls_to_probe -= 1
            if not self._calls_to_probe:
                self._probe_at = max(self._probe_at, now)

    def take_back(self, amount: float, call: Call) -> None:
        """``call`` did not count for so much; less than nothing: for more."""
        self._sent.correct(-amount, self._sent.step_of(call.started_at))

    def accepted(self, call: Call, now: float) -> None:
        if self._probe is call:
            self._probe_passed()

    def _probe_passed(self) -> None:
        self._probe = None
        self.limit = max(self.limit, self._surely_used + self._beyond)
        self._step = min(2 * self._beyond, max(1.0, self.limit / _BATCHES))
        self._calls_to_probe = 0
        self._probe_at = -inf

    # Refusals.

    def foretells(self, demand: Demand, sent: Sent, now: float) -> bool:
        """Whether a call had to be refused, which has been taken back already."""
        if self._probe is not None and sent.serial >= self._probe_serial:
            return True
        amount = min(demand.of(self.unit), self.limit)
        return self.used(now) + amount > self.limit + _ROUNDING

    def refused(self, sent: Sent, now: float) -> None:
        """As foretold."""
        if self._probe is None or sent.serial < self._probe_serial:
            return
        through = sent.before.of(self.unit) - self._before_probe.of(self.unit)
        self.limit = max(self.limit, self._surely_used + through)
        self.surety = min(_MOST_SURETY, self.surety + 1)
        self._rest(now)

    def _rest(self, now: float) -> None:
        self._probe = None
        self._step = 1.0
        self._probe_at = now + _SECONDS_BETWEEN_PROBES
        self._calls_to_probe = (
            _CALLS_BETWEEN_PROBES
            if 2 * self.limit >= _CALLS_BETWEEN_PROBES
            else _MORE_BETWEEN_PROBES
        )

    def free_at(self) -> float:
        """When the next call may pass, if the limit is used up."""
        return self._sent.free_at(max(0.0, self.limit - 1))

    def is_late(self, now: float) -> bool:
        """Whether something has come back only just now: not quite yet, as the upstream sees it."""
        return now - self._sent.returned_at < _LATE * self.seconds

    def was_short(self, seconds: float) -> bool:
        """Whether so long a refusal may be a matter of clocks."""
        return seconds < _LATE * self.seconds

    def wait_longer(self) -> bool:
        """It came back later than was thought. False: too late for that."""
        if self._margin >= _MOST_MARGIN * self.seconds:
            return False
        self._margin *= 2
        self._sent.window = self.seconds + self._margin
        return True

    def lower(self, limit: float, now: float) -> None:
        self.limit = max(1.0, limit)
        self._rest(now)

    # For others.

    def time_until(self, ahead: Backlog, demand: Demand, now: float) -> float:
        """As :meth:`Gate.expected_wait`."""
        used = self.used(now)
        own = min(self.limit, demand.of(self.unit))
        beyond = used + ahead.of(self.unit) + own - self.limit
        if beyond <= 0:
            return 0.0
        whole, left = after_whole_windows(beyond, used, self.limit)
        return max(0.0, self._sent.free_at(left) - now) + whole * self.seconds

    def fullness(self, now: float) -> float:
        return min(1.0, max(0.0, 1 - self.used(now) / self.limit))
