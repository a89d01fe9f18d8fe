"""Virtual time: a clock that jumps to whatever comes next, and an order of events that repeats.

Trio's own ``MockClock`` jumps, too, but needs a pass through its loop for each jump, and sleeping
on it a cancel scope and a deadline for each sleep. Here an event is an entry of a heap, looked at
when no task can run; each pass wakes one task, so events of the same moment happen in an order
that is given and not left to chance.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from math import inf
from random import Random
from typing import Any

import trio
import trio._core._run as _trio_run
from trio.abc import Clock

_FOREVER = 999_999.0
"""Seconds of real time, for a simulation in which nothing is left to happen."""


class VirtualClock(Clock):
    """Starts at 0 and only moves when every task waits. For one run without real I/O."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, trio.lowlevel.Task]] = []
        self._serial = 0
        self._gone: set[int] = set()
        """Serials of events whose tasks were cancelled."""
        self._forestallable: dict[int, float] = {}
        """Events that are still to come and that something else may forestall: when they come."""

    # Of trio's interface.

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Trio asks this when no task can run: the moment to move on."""
        events = self._events
        while events and events[0][1] in self._gone:
            self._gone.discard(heapq.heappop(events)[1])
        if deadline <= self.now:
            return 0
        if events and events[0][0] <= deadline:
            when, serial, task = heapq.heappop(events)
            self._forestallable.pop(serial, None)
            if when > self.now:
                self.now = when
            trio.lowlevel.reschedule(task)
            return 0
        if deadline == inf:
            return _FOREVER
        self.now = deadline
        return 0

    # What simulated sessions wait for.

    def wake(self, task: trio.lowlevel.Task, when: float) -> int:
        """Have ``task``, which waits for nothing else, go on at ``when``; its serial number."""
        self._serial += 1
        if when < inf:
            heapq.heappush(self._events, (when, self._serial, task))
        return self._serial

    def forestall(self, serial: int) -> bool:
        """The task of this event was told to go on by something else. False: it goes on already."""
        when = self._forestallable.pop(serial, None)
        if when is not None and when < inf:
            self._gone.add(serial)
        return when is not None

    async def until_forestalled(self, when: float, told: Callable[[int], None]) -> None:
        """As :meth:`until`, unless the event is forestalled.

        Args:
            when: ``inf``: never by itself.
            told: is given its serial number before the task sleeps.
        """
        serial = self.wake(trio.lowlevel.current_task(), when)
        self._forestallable[serial] = when
        told(serial)

        def forget(_: Callable[[], Any]) -> trio.lowlevel.Abort:
            self.forestall(serial)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(forget)

    async def until(self, when: float) -> None:
        """Sleep until ``when`` or, if that is past, until it is this task's turn. Of several that
        wake at the same time those that went to sleep first are first."""
        serial = self.wake(trio.lowlevel.current_task(), when)

        def forget(_: Callable[[], Any]) -> trio.lowlevel.Abort:
            self._gone.add(serial)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(forget)


class _Shuffle(Random):
    """Most often there is only one."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)


@contextmanager
def repeatable_order(seed: int) -> Iterator[None]:
    """Let trio run tasks of the same moment in an order that ``seed`` decides.

    Trio shuffles them on purpose, and has no public switch for it. These two names are what
    pytest-trio uses to make failing examples repeatable; this is the only place that touches them.
    """
    before = _trio_run._ALLOW_DETERMINISTIC_SCHEDULING, _trio_run._r
    # Trio's own constant, which its set-up for Hypothesis changes, too.
    _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _trio_run._r = _Shuffle(seed)
    try:
        yield
    finally:
        _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]  # type: ignore[misc]
        _trio_run._r = before[1]
