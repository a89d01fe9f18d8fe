"""What wakes whoever pumps a provider's pool: that somebody rings, or that it is time."""

from __future__ import annotations

import trio


class Bell:
    """For one task that listens."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Something has happened."""
        self._rung.set()

    def silence(self) -> None:
        """What has happened until now is known."""
        if self._rung.is_set():
            self._rung = trio.Event()

    async def heard(self, until: float) -> None:
        """Return once it was rung since it was silenced, or at ``until`` on trio's clock."""
        with trio.CancelScope(deadline=until):
            await self._rung.wait()
