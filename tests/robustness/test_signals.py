"""The real program, told to stop: it finishes what it has begun, in time, and ends with code 0."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from running_program import read, running


def _drains_for(milliseconds: int) -> str:
    return f"server: {{drain_ms: {milliseconds}}}\n"


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_a_stream_and_ends_with_code_0(
    kind: signal.Signals, tmp_path: Path
) -> None:
    with running(tmp_path, _drains_for(30_000)) as program:
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
    with running(tmp_path, _drains_for(1000)) as program:
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
    with running(tmp_path, _drains_for(600_000)) as program:
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
