"""What else the machine is doing: figures in milliseconds mean little without it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from harness.figures import Figure
from harness.processes import Server

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Bystanders:
    """Counts the CPU that programs other than ours take, from when it is made."""

    def __init__(self, *servers: Server) -> None:
        """
        Args:
            servers: ours, beside this process. They must live until :meth:`figure` is asked.
        """
        self._servers = servers
        self._began = time.monotonic()
        self._others_before = self._others()

    def figure(self) -> Figure:
        """How many cores they kept busy on average."""
        seconds = max(1e-9, time.monotonic() - self._began)
        busy = max(0.0, self._others() - self._others_before) / seconds
        return Figure(f"cores busy with other programs, of {os.cpu_count()}", busy)

    def _others(self) -> float:
        ours = time.process_time() + sum(s.resources().cpu_seconds for s in self._servers)
        return _busy_seconds() - ours


def _busy_seconds() -> float:
    """CPU time of the whole machine that was not idle (proc_stat(5): the fourth and fifth fields
    are idle and waiting for disks, the ninth and tenth are counted in the first two already)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    ticks = [int(field) for field in fields]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / _TICKS
