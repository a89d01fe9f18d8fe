"""Applying the configuration file while the gateway serves: on SIGHUP, and when the file changes.

A file that can't be used changes nothing; every problem is a line in the log, and stands in
``/forebay/status`` until the next try.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import trio

from forebay.actors.config import ConfigError, Settings, load_settings
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.jobs.failures import JobFailure

_log = logging.getLogger("forebay.config")

_LOOK_EVERY: Final = 2.0
"""Seconds. Asking the system costs some microseconds; what tells of changes by itself is different
on every system, and none hears of all: files behind links, and on other machines."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the system says of a file; another one after whatever is done to it."""

    inode: int = 0
    size: int = -1
    changed_at: int = 0

    @classmethod
    def at(cls, path: Path) -> Self:
        try:
            found = os.stat(path)
        except OSError:
            return cls()
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class Reloader:
    """Has one gateway go on with what stands in one file."""

    def __init__(
        self,
        gateway: Gateway,
        path: Path,
        *,
        amended: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> None:
        """
        Args:
            amended: the settings of the file with what the command line says.
        """
        self._gateway = gateway
        self._path = path
        self._amended = amended
        self._turn = trio.Lock()

    async def run(self) -> None:
        """Apply the file whenever that is asked for, until cancelled."""
        look = await trio.to_thread.run_sync(_Look.at, self._path)
        async with trio.open_nursery() as nursery:
            if hasattr(signal, "SIGHUP"):
                await nursery.start(self._on_signal)
            if self._gateway.settings.server.watch_config:
                nursery.start_soon(self._on_change, look)

    async def reload(self) -> None:
        """Apply the file as it is now. What is wrong is logged and noted, never raised."""
        async with self._turn:
            try:
                settings = await trio.to_thread.run_sync(load_settings, self._path)
                done = await self._gateway.apply(self._amended(settings))
            except ConfigError as fault:
                self._gateway.note_failed_reload(fault)
                _log.error("%s can't be used, and nothing was changed:", self._path)
                for line in str(fault).splitlines():
                    _log.error("%s", line)
                return
            except JobFailure:
                _log.warning("%s was not applied: the gateway is shutting down", self._path)
                return
        kept = ", ".join(done.kept)
        rest = f"; after the next start: {kept}" if kept else ""
        _log.info("applied %s%s", self._path, rest)

    async def _on_signal(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                await self.reload()

    async def _on_change(self, applied: _Look) -> None:
        before = applied
        while True:
            await trio.sleep(_LOOK_EVERY)
            look = await trio.to_thread.run_sync(_Look.at, self._path)
            # What is still being written is not looked at yet; nor is a file that is gone, which
            # may be about to be replaced.
            if look == before and look not in (applied, _Look()):
                applied = look
                await self.reload()
            before = look
