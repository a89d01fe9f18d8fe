"""The real program, told to stop: it finishes what it has begun, in time, and ends with code 0."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from spoken_errors import request_of

from forebay.protocol.jsontext import JsonValue, dumps, loads_object

CHAT = "/v1/chat/completions"
ENDS_IN_TIME = 15
"""Seconds; on a busy machine. What would hang takes twice as long."""


class Program:
    """A running ``forebay serve``, with nothing but the sandbox behind it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self.connections: list[HTTPConnection] = []
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
        watching = self._connect()
        while True:
            watching.request("GET", "/forebay/status")
            if loads_object(watching.getresponse().read())["in_flight"] == count:
                watching.close()
                return

    def stop(self, kind: signal.Signals) -> None:
        self.process.send_signal(kind)

    def ended(self) -> tuple[int, str]:
        """Exit code and standard error."""
        _, errors = self.process.communicate(timeout=ENDS_IN_TIME)
        return self.process.returncode, errors


@contextmanager
def running(folder: Path, *, drain_ms: int) -> Iterator[Program]:
    (folder / "forebay.yaml").write_text(f"server: {{drain_ms: {drain_ms}}}\n", encoding="utf-8")
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


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_a_stream_and_ends_with_code_0(
    kind: signal.Signals, tmp_path: Path
) -> None:
    with running(tmp_path, drain_ms=30_000) as program:
        assert any("no real model" in line for line in program.said)
        streaming = program.ask("[[fault: slow-head=700]] one", stream=True)
        whole = program.ask("[[fault: slow-head=700]] two")
        program.until_in_flight(2)
        program.stop(kind)
        answer, text = read(streaming)
        assert answer.status == 200
        assert text.endswith("data: [DONE]\n\n")
        answer, text = read(whole)
        assert answer.status == 200
        assert "two" in text
        code, errors = program.ended()
        assert code == 0
        assert "Traceback" not in errors
        assert "stopping" in errors


def test_what_does_not_end_is_cut_when_the_drain_is_over(tmp_path: Path) -> None:
    with running(tmp_path, drain_ms=1000) as program:
        hanging = program.ask("[[fault: hang]]")
        program.until_in_flight(1)
        began = time.monotonic()
        program.stop(signal.SIGTERM)
        answer, text = read(hanging)
        assert answer.status == 503
        assert "shutting down" in text
        code, errors = program.ended()
        assert code == 0
        assert time.monotonic() - began > 0.5
        assert "Traceback" not in errors


def test_told_twice_it_ends_at_once(tmp_path: Path) -> None:
    with running(tmp_path, drain_ms=600_000) as program:
        hanging = program.ask("[[fault: hang]]")
        program.until_in_flight(1)
        program.stop(signal.SIGTERM)
        assert program.process.stderr is not None
        while "stopping" not in program.process.stderr.readline():
            pass
        program.stop(signal.SIGTERM)
        code, errors = program.ended()
        assert code == 0
        assert "Traceback" not in errors
        with pytest.raises(OSError, match=r"\[Errno|closed|reset|aborted"):
            hanging.getresponse()
