"""Gateways and sandboxes in processes of their own, ended by their own process id.

Both are started as people start them, by their commands, on free ports of loopback.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forebay.protocol.jsontext import JsonValue

_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")
_STOP_SECONDS: Final = 5.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """A server ended before it listened; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process has taken from the machine."""

    rss_bytes: int
    cpu_seconds: float
    """User and system, since its start."""
    open_files: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens on loopback, in a process of its own."""

    port: int
    pid: int
    log: Path

    def resources(self) -> Resources:
        """As the kernel counts them now (Linux)."""
        proc = Path(f"/proc/{self.pid}")
        rss = re.search(r"^VmRSS:\s+(\d+) kB", (proc / "status").read_text(), re.MULTILINE)
        # Counted from behind the name, which may hold anything (proc_pid_stat(5), fields 14, 15).
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        return Resources(
            rss_bytes=0 if rss is None else int(rss[1]) * 1024,
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            open_files=len(os.listdir(proc / "fd")),
        )

    def has_ended(self) -> bool:
        """A zombie, which its parent has yet to bury, has."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "Z"

    def faults_logged(self) -> int:
        """Lines of its log at ERROR, and tracebacks."""
        text = self.log.read_text()
        return len(re.findall(r"^\S+ \S+ ERROR |^Traceback", text, re.MULTILINE))


def prepare_process() -> None:
    """Allow this process and its children as many files as the system does, and let a SIGTERM
    end it as Ctrl-C does, by way of its ``finally`` blocks, so that no server outlives it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A shell may have started us with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@contextmanager
def sandbox(**options: str | float) -> Iterator[Server]:
    """A sandbox; ``options`` are those of ``forebay sandbox``, with underscores. Without limits and
    rate-limit headers, and at once, unless they say otherwise."""
    chosen: dict[str, str | float] = {
        "limit_headers": "none",
        "latency_ms": 0,
        "token_interval_ms": 0,
        **options,
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
        log = Path(folder) / "sandbox.log"
        with _running(["sandbox", "--port=0", *arguments], log) as server:
            yield server


@contextmanager
def gateway(config: Mapping[str, JsonValue]) -> Iterator[Server]:
    """A gateway of this configuration (the shape of ``forebay.yaml``)."""
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
        path = Path(folder) / "forebay.yaml"
        # JSON is YAML, but a dollar sign stands for the environment there.
        path.write_text(json.dumps(config).replace("$", "$$"))
        arguments = ["serve", "--port=0", f"--config={path}"]
        with _running(arguments, Path(folder) / "gateway.log") as server:
            yield server


@contextmanager
def _running(arguments: list[str], log: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "forebay.endpoints.cli", *arguments]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Server(_announced_port(process, log), process.pid, log)
        finally:
            _stop(process)


def _announced_port(process: subprocess.Popen[str], log: Path) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := _ADDRESS.search(line):
            return int(found[1])
    raise DidNotStart(log.read_text()[-2000:])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
