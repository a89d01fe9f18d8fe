"""Whether an upstream's limit is a window, and how long it is.

A window shows in silence: much is let through, then for seconds nothing at all, then much at once.
A bucket never does that: who was let through after a long wait has emptied it. So when a silence
ends a window is *supposed*, of a usual length, with as much in it as had been sent when the last
call was refused; and the supposition stands or falls with the calls that follow at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from forebay.actors.scheduling.gates import Call, Demand, Unit
from forebay.actors.scheduling.learned_units import NOTHING, Sums
from forebay.actors.scheduling.learned_window import LearnedWindow
from forebay.actors.scheduling.learned_window_units import WindowUnits
from forebay.actors.scheduling.rolling_sums import RollingSums

_USUAL_SECONDS = (10.0, 60.0)
_LOG_SECONDS = 90.0
"""The longest of these, and how long a place may go unasked."""
_SILENCE_SECONDS = 2.0
_FEWEST = 3
"""Calls: fewer look like a bucket's."""
_SOON = 0.01
"""Part of a window."""
_MOSTLY = 0.95
_NOTHING = 0.3
"""Part of the limit: a refusal with so little sent is not a matter of the window."""
_CALLS_AFTER_ERROR = 16
_MOST_ERRORS = 6
_COUNTS_TO_AGREE = 5
_ALMOST = 0.005
_MANY = 100
"""Calls: fewer may agree by chance."""
_AFTER_THE_END = 0.003
"""Part of a window: so much after its end a place is tried again."""


@dataclass(slots=True)
class Doubt:
    """A refusal that a window did not foretell."""

    refused_at: float
    used_at_refusal: float
    """Of what had been sent by then, as much as counted when a call would still be refused."""
    was_late: bool
    """It came just after something came back."""
    used_at_passing: float = 0.0
    silence: float = 0.0
    """Seconds until the place was let through."""


class WindowSearch:
    """Supposes windows, and drops those that do not hold."""

    def __init__(self) -> None:
        self.window: LearnedWindow | None = None
        self.unit = Unit.REQUESTS
        """What windows are believed to count."""
        self._units = WindowUnits(_USUAL_SECONDS[-1])
        self.is_watching = True
        self._log = RollingSums(_LOG_SECONDS)
        self._began_at = -inf
        """When calls were first let through after a quiet time or a silence."""
        self._supposed_after = NOTHING
        """What had been sent before the call that ended the silence."""
        self._doubt: Doubt | None = None
        self.is_on_trial = False
        """Whether it is still to be seen that much is let through at once: one after the other."""
        self._tokens_to_prove = 0.0
        self._counts: deque[float] = deque(maxlen=_COUNTS_TO_AGREE)
        self._errors = 0
        self._calls_to_wait = 0

    def watch(self, is_wanted: bool) -> None:
        """Whether to keep count of calls: there is no need to where a rate is known well."""
        is_wanted = is_wanted or self.window is not None
        if self.is_watching and not is_wanted:
            self._log = RollingSums(_LOG_SECONDS)
        self.is_watching = is_wanted

    # Calls.

    def take(self, call: Call, serial: int, before: Sums, now: float) -> None:
        self._units.take(call.demand, now)
        if self.window is not None:
            self.window.take(call, serial, before, now)
            if self.is_on_trial:
                self._go_on_with_trial(before)
            if self.window.surety:
                return
        if not self._log.counted and now - self._began_at > _LOG_SECONDS:
            self._began_at = now
        self._log.add(call.demand.of(self.unit), now)
        if self._calls_to_wait:
            self._calls_to_wait -= 1

    def _go_on_with_trial(self, before: Sums) -> None:
        """A bucket would be empty again after less than that."""
        after = self._supposed_after
        if (
            before.requests - after.requests > _FEWEST
            and before.tokens - after.tokens >= self._tokens_to_prove
        ):
            self.is_on_trial = False

    def take_back(self, call: Call) -> None:
        """It was not counted."""
        amount = call.demand.of(self.unit)
        self._units.take_back(call.demand, call.started_at)
        self.settle(amount, call)
        if self._doubt is not None and call.started_at <= self._doubt.refused_at:
            self._doubt.used_at_refusal -= amount

    def settle(self, amount: float, call: Call) -> None:
        """``call`` did not count for so much; less than nothing: for more."""
        if self.window is not None:
            self.window.take_back(amount, call)
        if self.window is None or not self.window.surety:
            self._log.correct(-amount, self._log.step_of(call.started_at))

    def begin(self, counts: dict[Unit, float], now: float) -> None:
        """Calls are let through after a silence, before which so much had been sent."""
        self._began_at = now
        self._units.add(counts)
        better = self._units.better(self.unit)
        if better is not None:
            self._change_unit(better, now)

    def _change_unit(self, unit: Unit, renewed_at: float) -> None:
        """What was taken for a window of another unit is one of this."""
        self.unit = unit
        self._log = RollingSums(_LOG_SECONDS)
        for at, amount in self._units.log(unit):
            self._log.put(amount, self._log.step_of(at))
        seconds = _USUAL_SECONDS[-1]
        limit = self._units.most(unit)
        window = self.window = LearnedWindow(unit, limit, seconds, now=renewed_at)
        left = self._log.since(renewed_at - (1 - _SOON) * seconds)
        self._copy_log(window, -inf if left < _MOSTLY * limit else renewed_at)

    def _copy_log(self, window: LearnedWindow, since: float) -> None:
        """What had been sent in the window that is supposed now."""
        first = self._log.step_of(since) if since > -inf else since
        for step, amount in self._log:
            if step >= first:
                window.count(amount, self._log.time_of(step))

    def snapped(self, wait: float, now: float) -> float:
        """About ``wait``, but so that a usual window ends just before, if one does."""
        for seconds in _USUAL_SECONDS:
            until_end = self._began_at + seconds * (1 + _AFTER_THE_END) - now
            if 0.5 * wait < until_end < 1.7 * wait:
                return until_end
        return wait

    # Suppositions.

    def note_refusal(self, at: float) -> dict[Unit, float]:
        """Of a call that was sent then; the first of a place.

        Returns:
            What had been sent in a window up to then.
        """
        if self.window is None and self.unit is Unit.REQUESTS:
            self._log.turn(at)
            self._counts.append(self._log.since(at - _USUAL_SECONDS[-1]))
        return self._units.counts(at)

    @property
    def seems_full(self) -> bool:
        """Whether just as much had been sent within a window each time that a call was refused."""
        most = max(self._counts, default=0.0)
        if len(self._counts) < _COUNTS_TO_AGREE or most < _MANY:
            return False
        return most - min(self._counts) <= _ALMOST * most

    def suppose(
        self,
        demand: Demand,
        before: Sums,
        refused_at: float,
        refused_until: float,
        now: float,
    ) -> LearnedWindow | None:
        """A call has been sent after a silence.

        Args:
            demand: of the call.
            before: what had been sent before it.
            refused_at: when the call was sent that was refused last.
            refused_until: until when it would have been refused still, as far as is known.
        """
        shortest = refused_until - self._began_at
        if self._calls_to_wait:
            return None
        # If more than a window has gone by since, the limit is used at an even pace.
        seconds = next((each for each in _USUAL_SECONDS if each >= shortest), _USUAL_SECONDS[-1])
        self._log.turn(now)
        own = demand.of(self.unit)
        then = self._log.since(refused_at - seconds) - own
        if then < _FEWEST * own:
            return None
        window = LearnedWindow(self.unit, then, seconds, now=now)
        since = now - seconds
        came_back = self._log.since(since + _SOON * seconds) - own < then
        self._copy_log(window, since if came_back else now)
        self.window = window
        self._supposed_after = before
        self._tokens_to_prove = _FEWEST * demand.tokens
        self.is_on_trial = True
        return window

    def withdraw(self) -> None:
        """The call that should have ended the silence was refused."""
        self.window = None

    def disproves(self) -> bool:
        """Whether a refusal that was not foretold ends a supposition."""
        if self.window is None or not self.is_on_trial:
            return False
        self._drop()
        return True

    def is_too_short(self, silence: float) -> bool:
        """Whether a place was refused for longer than the window that was supposed, which then is
        none."""
        if self.window is None or silence <= self.window.seconds:
            return False
        self.window = None
        return True

    def doubt(self, refused: Call, refused_until: float) -> Doubt | None:
        """A refusal was not foretold; and no other call would have passed until then."""
        window = self.window
        self._doubt = None
        if window is not None:
            at = refused.started_at
            self._doubt = Doubt(at, window.used_at(refused_until), window.is_late(at))
        return self._doubt

    def explain(self, doubt: Doubt, now: float) -> None:
        """The place that was refused has been let through since, at ``now``."""
        window, self._doubt = self.window, None
        if window is None:
            return
        used = doubt.used_at_refusal
        if doubt.was_late and window.was_short(doubt.silence) and window.wait_longer():
            return
        if doubt.used_at_passing < used:
            # Something came back meanwhile: there are fewer than was thought.
            window.lower(used, now)
        elif doubt.silence >= _SILENCE_SECONDS and used >= _NOTHING * window.limit:
            window.lower(used, now)
            window.renew(now)
        else:
            window.surety -= 1
            if window.surety < 0:
                self._drop()

    # Over restarts.

    def memory(self, now: float) -> dict[str, float]:
        """The window that is known, and what was sent in it."""
        window = self.window
        if window is None or not window.surety:
            return {}
        return {
            "window_seconds": window.seconds,
            "window_limit": window.limit,
            "window_used": window.used(now),
            "window_unit": float(list(Unit).index(window.unit)),
        }

    def recall(self, memory: Mapping[str, float], now: float) -> None:
        """
        Raises:
            KeyError, ValueError: ``memory`` is of something else.
        """
        seconds = memory.get("window_seconds")
        if seconds is None:
            return
        limit, used = memory["window_limit"], memory["window_used"]
        if not (0 < seconds < inf and 1 <= limit < inf and 0 <= used < inf):
            raise ValueError(f"window_limit must be at least 1 in some seconds, not {limit}")
        self.unit = list(Unit)[int(memory["window_unit"])]
        self.window = LearnedWindow(self.unit, limit, seconds, now=now)
        self.window.surety = 1
        self.window.count(used, now)

    def _drop(self) -> None:
        self.window = None
        self._counts.clear()
        self._log = RollingSums(_LOG_SECONDS)
        self._calls_to_wait = _CALLS_AFTER_ERROR * 2**self._errors
        self._errors = min(self._errors + 1, _MOST_ERRORS)
