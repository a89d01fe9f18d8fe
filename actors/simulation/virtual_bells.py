"""Bells of providers in virtual time.

A cancel scope with a deadline for each sleep, as in real time, would be a tenth of what a simulated
request costs.
"""

from __future__ import annotations

import trio

from forebay.actors.providers.bell import Bell
from forebay.actors.simulation.clock import VirtualClock


class VirtualBell(Bell):
    """Sleeps on the clock's own events."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._has_rung = False
        self._listener: trio.lowlevel.Task | None = None
        self._serial = 0

    def ring(self) -> None:
        self._has_rung = True
        if self._listener is not None and self._clock.forestall(self._serial):
            trio.lowlevel.reschedule(self._listener)

    def silence(self) -> None:
        self._has_rung = False

    async def heard(self, until: float) -> None:
        if self._has_rung:
            await trio.lowlevel.checkpoint()
            return
        self._listener = trio.lowlevel.current_task()
        try:
            await self._clock.until_forestalled(until, self._note)
        finally:
            self._listener = None

    def _note(self, serial: int) -> None:
        self._serial = serial
