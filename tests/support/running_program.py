"""The real program in a process of its own, and requests to it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from spoken_errors import request_of

from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

CHAT = "/v1/chat/completions"
ENDS_IN_TIME = 15
"""Seconds; on a busy machine. What would hang takes twice as long."""


class Program:
    """A running ``forebay serve``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self.connections: list[HTTPConnection] = []
        self._watching: HTTPConnection | None = None
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line)
            found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                return
        raise AssertionError(self.said)

    def ask(self, text: str, **fields: JsonValue) -> HTTPConnection:
        connection = self._connect()
        connection.request("POST", CHAT, dumps(request_of(CHAT, text, **fields)))
        return connection

    def _connect(self) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ENDS_IN_TIME)
        self.connections.append(connection)
        return connection

    def until_in_flight(self, count: int) -> None:
        """Until so many calls are under way upstream."""
        while self.status()["in_flight"] != count:
            pass

    def status(self) -> JsonObject:
        """What it tells operators."""
        if self._watching is None:
            self._watching = self._connect()
        self._watching.request("GET", "/forebay/status")
        return loads_object(self._watching.getresponse().read())

    def stop(self, kind: signal.Signals) -> None:
        self.process.send_signal(kind)

    def ended(self) -> tuple[int, str]:
        """Exit code and standard error."""
        _, errors = self.process.communicate(timeout=ENDS_IN_TIME)
        return self.process.returncode, errors


@contextmanager
def running(folder: Path, configuration: str) -> Iterator[Program]:
    """A program with this ``forebay.yaml``."""
    (folder / "forebay.yaml").write_text(configuration, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "forebay.endpoints.cli", "serve", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            program = Program(process)
            yield program
            for connection in program.connections:
                connection.close()
        finally:
            process.kill()


def read(connection: HTTPConnection) -> tuple[HTTPResponse, str]:
    response = connection.getresponse()
    return response, response.read().decode()
