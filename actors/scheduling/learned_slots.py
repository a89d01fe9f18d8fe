"""How many calls an upstream lets run at the same time, learned from what it accepts and refuses.

The number doubles as calls are accepted, up to the first refusal with more calls in flight than
were accepted together lately. After that more are probed: one, then ever more while probes
succeed; the pause before the next doubles with each probe that fails.

A probe that succeeds although nothing has ended since as many were refused shows that it was never
a matter of slots: the next refusals are put down to a rate.
"""

from __future__ import annotations

from math import inf

from forebay.actors.scheduling.slots import ServiceTime

_MEMORY_SECONDS = 15.0
"""How long a number of calls that were accepted together says something of the limit, at least."""
_MEMORY_CALLS = 3.0
"""The same in lengths of a call."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_CALLS_BETWEEN_PROBES = 64
"""At the longest pause: so the share of refused calls is small where calls take long."""
_COSTLY_PAUSE = 300.0
"""Seconds for each second that a refusal asks to wait."""
_SLOW_START_STEP = 0.5
_SLOW_START_GROWTH = 1.5
_DOUBTS = 5


class SlotSearch:
    """The number of calls that may be in flight."""

    def __init__(self, initial: int, service: ServiceTime) -> None:
        self._service = service
        self._exact = float(initial)
        self.limit = initial
        """That may be in flight."""
        self._slow_start = True
        self._pause = _FIRST_PAUSE
        self._step = 1
        self._probe_at = -inf
        """``inf`` while a probe is under way."""
        self._probed_at = -inf
        self._full_since = inf
        self._is_answered = False
        """Whether the upstream has ever said anything, so that silence means consent."""
        self._together = 0
        self._together_before = 0
        self._memory_until = -inf
        self._asked_wait = 0.0
        self._ended = 0
        self._refused_level = inf
        self._ended_at_refusal = 0
        self._doubts = 0

    def ready_at(self, patience: float) -> float:
        """When one more than the limit may start.

        Args:
            patience: seconds after which a call that was not refused counts as accepted.
        """
        if self._slow_start:
            return self._full_since + patience if self._is_answered else inf
        if self._probe_at == inf:
            return self._probed_at + patience
        return self._probe_at

    def _change(self, limit: float) -> None:
        self._exact = limit
        self.limit = int(limit)

    def took(self, level: int, now: float) -> None:
        """A call started that is the ``level``-th in flight."""
        if level > self.limit:
            if self._slow_start:
                self._change(max(float(level), self._exact * _SLOW_START_GROWTH))
            else:
                if self._probe_at == inf:
                    self._probe_succeeded(level - 1, now)
                self._change(max(self._exact, float(level - 1 + self._step)))
                self._probe_at = inf
                self._probed_at = now
        if level >= self.limit:
            self._full_since = now

    def accepted(self, level: int, now: float) -> None:
        self._is_answered = True
        if level > self._together or now > self._memory_until:
            self.prove(level, now)
        if self._slow_start:
            if level * 2 > self._exact:
                # Calls are started in batches: not only the one that fills the last slot tells
                # that the slots were in use (as TCP's congestion window counts, RFC 7661).
                self._change(self._exact + _SLOW_START_STEP)
        elif level >= self.limit and self._probe_at == inf:
            self._probe_succeeded(level, now)

    def ended(self) -> None:
        self._ended += 1

    def prove(self, level: int, now: float) -> None:
        """So many calls were accepted together."""
        if now > self._memory_until:
            self._together_before = self._together
            self._together = 0
            memory = max(_MEMORY_SECONDS, _MEMORY_CALLS * (self._service.mean or 0.0))
            self._memory_until = now + memory
        self._together = max(self._together, level)

    def _probe_succeeded(self, level: int, now: float) -> None:
        if level >= self._refused_level and self._ended == self._ended_at_refusal:
            self._doubts = _DOUBTS
            self.start_again()
            self._change(max(self._exact, _SLOW_START_GROWTH * level))
            self._refused_level = inf
        self._pause = _FIRST_PAUSE
        self._step = min(self._step * 2, max(1, level // 4))
        self._probe_at = now + self._pause

    def start_again(self) -> None:
        """Find out as fast as at the start."""
        self._slow_start = True

    def is_suspect(self, tried: int) -> bool:
        """Whether a refusal of one of ``tried`` calls in flight is a matter of slots. Of calls
        that are sent together it does not matter which one the upstream saw last."""
        proven = max(self._together, self._together_before, 1)
        # An upstream is done with a call a moment before we know, so one more may be accepted
        # than it bounds. What is refused while more are probed is the probe's fault all the same.
        is_probe = self._probe_at == inf and tried >= self.limit
        if tried <= proven and not is_probe:
            return False
        if self._doubts:
            self._doubts -= 1
            return False
        return True

    def refused(self, tried: int, left: int, asked_wait: float, now: float) -> None:
        """One of ``tried`` calls in flight was too many; ``left`` go on."""
        self._slow_start = False
        self._is_answered = True
        self._refused_level = tried
        self._ended_at_refusal = self._ended
        self._asked_wait = max(0.9 * self._asked_wait, asked_wait)
        self._change(min(self._exact, float(max(1, left))))
        if self._probe_at == inf:
            calls = _CALLS_BETWEEN_PROBES * (self._service.mean or 0.0) / self._exact
            longest = max(_LONGEST_PAUSE, calls, _COSTLY_PAUSE * self._asked_wait)
            self._pause = min(longest, self._pause * 2)
        self._step = 1
        self._probe_at = now + self._pause

    def set_limit(self, limit: float) -> None:
        """The upstream, or an earlier life, has told."""
        self._slow_start = False
        self._change(max(1.0, limit))
        self._pause = _LONGEST_PAUSE

    def disturbed(self, now: float) -> None:
        """A probe may have failed for another reason: it is to be made again."""
        if self._probe_at == inf:
            self._probe_at = now + self._pause

    @property
    def is_known(self) -> bool:
        return not self._slow_start
