"""Limits that nobody told us: found by refusals, few of them.

A refusal without a word of explanation means one of two things, and the gate tells them apart by
the number of calls in flight:

- More calls in flight than were ever accepted together lately: the upstream bounds *concurrency*.
  The limit becomes the number that was accepted. After a pause more are probed: one, then
  ever more while probes succeed; the pause doubles with each probe that fails.
- No more than were accepted together lately: the upstream bounds a *rate*. At a refusal the
  upstream's bucket is known to be empty, so the calls accepted between two refusals, over the time
  between them, are its rate. Calls are then paced a little above that rate: the bucket stays
  empty, nothing of the quota is lost, and the share of refused calls is about the excess.

With no refusals the pace grows ever faster, to find a limit that was raised.
"""

from __future__ import annotations

from collections import deque
from math import inf
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome
from forebay.actors.scheduling.rates import Bucket
from forebay.actors.scheduling.slots import ServiceTime

_EXCESS = 0.01
"""By how much the pace exceeds the measured rate."""
_STEADY_SECONDS = 5.0
"""After a refusal at a known rate the pace is held this long before it grows."""
_GROWTH_SECONDS = 20.0
"""Seconds of growth in which the pace doubles; cubic, so slow at first."""
_SEARCH_HOLD_SECONDS = 1.0
_SEARCH_GROWTH = 1.25
"""The pace's growth per second while the rate is not known."""
_LONGEST_SEARCH_SECONDS = 60.0
_NEARLY = 1.25
"""A pace that was refused at no more than this above the measured average tells that no part of
the quota was left unused in between, so that the average is the rate."""
_UNPACED_GROWTH = 8.0
"""A pace that could grow so far unrefused bounds nothing any more."""
_PACE_BURST = 2.0
_FEW = 5
"""Fewer calls than this between two refusals measure nothing but that the pace is too high."""
_TOO_FAST = 0.7
_RECENT_CALLS = 20
_MEMORY_SECONDS = 30.0
"""How long calls that were accepted say something of the limits, at least."""
_FIRST_PROBE_PAUSE = 1.0
_LONGEST_PROBE_PAUSE = 60.0
_SLOW_START_STEP = 0.5


class LearnedLimit(Gate):
    """Concurrency and rate of one upstream, learned from what it accepts and refuses."""

    def __init__(
        self,
        name: str,
        random: Random,
        *,
        initial_slots: int = 8,
        refusals_to_pace: int = 2,
    ) -> None:
        """
        Args:
            initial_slots: calls in flight to begin with; doubles as calls are accepted.
            refusals_to_pace: refusals among the last 20 calls that begin pacing. More where a
                rate is configured and a refusal is likely a matter of clocks.
        """
        super().__init__(name)
        self._levels: dict[Call, int] = {}
        self._slots = float(initial_slots)
        self._slow_start = True
        self._probe_pause = _FIRST_PROBE_PAUSE
        self._probe_step = 1
        self._probe_at = -inf
        """``inf`` while a probe is under way."""
        self._accepted_together = 0
        self._accepted_together_before = 0
        self._memory_from = -inf
        self._refusals_to_pace = refusals_to_pace
        self._recent: deque[bool] = deque(maxlen=_RECENT_CALLS)
        self._accepted_at: deque[float] = deque(maxlen=512)
        self._pace: Bucket | None = None
        self._rate = 0.0
        """Measured; the pace follows it."""
        self._rate_is_known = False
        self._pace_burst = _PACE_BURST
        """What the upstream saves up while it asks to wait may be spent at once afterwards."""
        self._refused_at = -inf
        self._accepted_since = 0
        self._paused_until = -inf
        self._backoff = Backoff(initial=0.05, cap=20.0, random=random)
        self._service = ServiceTime()

    @property
    def in_flight(self) -> int:
        return len(self._levels)

    def ready_at(self, demand: Demand, now: float) -> float:
        ready = self._paused_until
        if self.in_flight >= int(self._slots):
            if self._slow_start:
                return inf
            ready = max(ready, self._probe_at)
        if self._pace is not None:
            ready = max(ready, self._pace.ready_at(1.0, now))
        return ready

    def take(self, call: Call, now: float) -> None:
        level = self.in_flight + 1
        self._levels[call] = level
        if level > int(self._slots):
            self._slots = float(level - 1 + self._probe_step)
            self._probe_at = inf
        if self._pace is not None:
            self._set_pace(now)
            if self._pace is not None:
                self._pace.take(1.0, now)

    def accepted(self, call: Call, now: float) -> None:
        level = self._levels.get(call)
        if level is None:
            return
        self._backoff.reset()
        self._recent.append(True)
        self._accepted_at.append(now)
        self._accepted_since += 1
        self._remember_together(level, now)
        if self._slow_start:
            if level * 2 > self._slots:
                # Calls are started in batches: not only the one that fills the last slot tells
                # that the slots were in use (as TCP's congestion window counts, RFC 7661).
                self._slots += _SLOW_START_STEP
        elif level >= int(self._slots) and self._probe_at == inf:
            self._probe_pause = _FIRST_PROBE_PAUSE
            self._probe_at = now + self._probe_pause
            self._probe_step = min(self._probe_step * 2, max(1, level // 4))

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        if outcome.ending is Ending.REFUSED:
            self._pace_burst = _PACE_BURST + self._rate * (outcome.retry_after or 0.0)
            self._forget_refused(call)
            self._refused(call, now)
            return
        del self._levels[call]
        if outcome.ending is Ending.SERVED:
            self._service.add(now - call.started_at)
        elif self._probe_at == inf:
            self._probe_at = now + self._probe_pause

    def _forget_refused(self, refused: Call) -> None:
        """A refused call never held a slot: those that started after it were fewer by one."""
        is_later = False
        for call, level in self._levels.items():
            if call is refused:
                is_later = True
            elif is_later:
                self._levels[call] = level - 1
        del self._levels[refused]

    def _remember_together(self, level: int, now: float) -> None:
        if now - self._memory_from > _MEMORY_SECONDS:
            self._accepted_together_before = self._accepted_together
            self._accepted_together = 0
            self._memory_from = now
        self._accepted_together = max(self._accepted_together, level)

    def _refused(self, call: Call, now: float) -> None:
        # Of calls that are sent together it does not matter which one the upstream saw last: what
        # counts is how many were too many.
        tried_together = self.in_flight + 1
        accepted = max(self._accepted_together, self._accepted_together_before, 1)
        # An upstream is done with a call a moment before we know, so one more may be accepted
        # than it bounds. What is refused while more are probed is the probe's fault all the same.
        is_probe = self._probe_at == inf and tried_together >= int(self._slots)
        if tried_together > accepted or is_probe:
            self._refused_for_concurrency(now)
        else:
            self._refused_for_rate(call, now)

    def _refused_for_concurrency(self, now: float) -> None:
        self._slow_start = False
        self._slots = min(self._slots, float(max(1, self.in_flight)))
        if self._probe_at == inf:
            self._probe_pause = min(_LONGEST_PROBE_PAUSE, self._probe_pause * 2)
        self._probe_step = 1
        self._probe_at = now + self._probe_pause

    def _refused_for_rate(self, call: Call, now: float) -> None:
        if self._probe_at == inf:
            self._probe_at = now + self._probe_pause
        if not self.in_flight:
            # Not even one call is let through: that says nothing about how many may run at once
            # when it is over, which is to be found out as fast as at the start.
            self._slow_start = True
        self._recent.append(False)
        self._forget_old_calls(now)
        begins_pacing = (
            self._pace is None
            and bool(self._accepted_at)
            and self._recent.count(False) >= self._refusals_to_pace
        )
        if call.started_at <= self._refused_at and not begins_pacing:
            # It was under way when the last refusal was answered: the same news.
            return
        if begins_pacing:
            self._begin_pacing(now)
        elif self._pace is not None:
            self._measure(now)
        self._refused_at = now
        self._accepted_since = 0
        if self._pace is None:
            self._paused_until = now + self._backoff.next()
        else:
            self._set_pace(now)
            self._pace.take(self._pace.level(now), now)
            self._paused_until = now + 1 / self._rate

    def _forget_old_calls(self, now: float) -> None:
        """Calls of a time when few were asked for say nothing of the rate."""
        while self._accepted_at and now - self._accepted_at[0] > _MEMORY_SECONDS:
            self._accepted_at.popleft()

    def _begin_pacing(self, now: float) -> None:
        # The fastest of all spans up to now: before a rush there may have been little to do.
        spans = ((count, now - at) for count, at in enumerate(reversed(self._accepted_at), 1))
        self._rate = _TOO_FAST * max(count / max(span, 0.1) for count, span in spans)
        self._pace = Bucket(self._rate, self._pace_burst, now=now)

    def _measure(self, now: float) -> None:
        """At a refusal: what the calls accepted since the last one say of the rate."""
        elapsed = now - self._refused_at
        if self._accepted_since < _FEW or elapsed <= 0:
            self._rate *= _TOO_FAST
            self._rate_is_known = False
            return
        average = self._accepted_since / elapsed
        refused_pace = self._rate * (1 + self._growth(now))
        if refused_pace > average * _NEARLY:
            # The pace was below the rate for a while, and the bucket may have overflowed: the
            # rate is somewhere between the two.
            self._rate = (average * refused_pace) ** 0.5
            self._rate_is_known = False
        else:
            weight = min(1.0, self._accepted_since / _RECENT_CALLS) if self._rate_is_known else 1.0
            self._rate += weight * (average - self._rate)
            self._rate_is_known = True

    def _growth(self, now: float) -> float:
        """By what share the pace exceeds the measured rate, to find out more."""
        calm = now - self._refused_at
        if self._rate_is_known:
            return float((max(0.0, calm - _STEADY_SECONDS) / _GROWTH_SECONDS) ** 3)
        searched = min(max(0.0, calm - _SEARCH_HOLD_SECONDS), _LONGEST_SEARCH_SECONDS)
        return float(_SEARCH_GROWTH**searched - 1)

    def _set_pace(self, now: float) -> None:
        assert self._pace is not None
        growth = self._growth(now)
        if growth > _UNPACED_GROWTH:
            self._pace = None
            self._rate_is_known = False
            self._recent.clear()
            self._accepted_at.clear()
            return
        self._pace.set_rate(self._rate * (1 + _EXCESS + growth), self._pace_burst, now)

    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        wait = max(0.0, self._paused_until - now)
        if self._pace is not None:
            wait = max(wait, (ahead + 1) / self._rate)
        beyond = ahead + 1 - (int(self._slots) - self.in_flight)
        if beyond > 0 and self._service.mean is not None:
            wait = max(wait, beyond * self._service.mean / max(1, int(self._slots)))
        return wait

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "in_flight": self.in_flight,
            "slots": int(self._slots),
            "per_minute": None if self._pace is None else round(self._rate * 60, 3),
            "paused_for_seconds": round(max(0.0, self._paused_until - now), 3),
        }
