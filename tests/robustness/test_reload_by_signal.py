"""The real program applies its file on SIGHUP, and when it changes, with requests under way."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from running_program import ENDS_IN_TIME, Program, read, running

from forebay.protocol.jsontext import JsonObject


@contextmanager
def sandbox() -> Iterator[int]:
    """The port of a sandbox that runs as a program of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "forebay.endpoints.cli", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    yield int(found[1])
                    break
        finally:
            process.kill()


def config(port: int, model: str, *, provider: str = "one", more: str = "") -> str:
    return (
        f"providers: {{{provider}: {{kind: sandbox, base_url: 'http://127.0.0.1:{port}',"
        " limits: {concurrency: 1}}}\n"
        f"models: {{{model}: {{targets: [{provider}/sandbox-chat]}}}}\n"
        f"{more}"
    )


def until_reloaded(program: Program, *, ok: bool) -> JsonObject:
    """The last reload, once it is one that has come out so."""
    gives_up_at = time.monotonic() + ENDS_IN_TIME
    while time.monotonic() < gives_up_at:
        last = program.status()["last_reload"]
        if isinstance(last, dict) and last["ok"] is ok:
            return last
        time.sleep(0.02)
    raise AssertionError(program.said)


def test_sighup_applies_the_file_and_drops_no_request(tmp_path: Path) -> None:
    file = tmp_path / "forebay.yaml"
    quiet = "server: {watch_config: false}\n"
    with sandbox() as port, running(tmp_path, config(port, "fast", more=quiet)) as program:
        streaming = program.ask("[[fault: slow-head=1500]] one", model="fast", stream=True)
        program.until_in_flight(1)
        waiting = program.ask("two", model="fast")
        file.write_text(
            config(port, "fast", provider="two", more=quiet.replace("}", ", port: 1}")), "utf-8"
        )
        program.stop(signal.SIGHUP)
        last = until_reloaded(program, ok=True)
        assert last["after_restart"] == []  # --port comes before the file
        answer, text = read(waiting)
        assert answer.status == 200
        assert answer.headers["x-forebay-target"] == "two/sandbox-chat"
        answer, text = read(streaming)
        assert answer.status == 200
        assert text.endswith("data: [DONE]\n\n")
        file.write_text("models: {fast: {targets: [nobody/x]}}\nwait: {hold: never}\n", "utf-8")
        program.stop(signal.SIGHUP)
        last = until_reloaded(program, ok=False)
        assert isinstance(last["problems"], list)
        assert len(last["problems"]) == 2
        answer, text = read(program.ask("three", model="fast"))
        assert answer.status == 200
        program.stop(signal.SIGTERM)
        code, errors = program.ended()
        assert code == 0
        assert "Traceback" not in errors
        assert "names a provider that is not configured" in errors
        assert "forebay.yaml:2: wait.hold" in errors


def test_a_file_that_changes_is_applied(tmp_path: Path) -> None:
    file = tmp_path / "forebay.yaml"
    with sandbox() as port, running(tmp_path, config(port, "fast")) as program:
        time.sleep(0.05)  # so that the file's time is another one
        other = tmp_path / "other.yaml"
        other.write_text(config(port, "brisk"), "utf-8")
        other.replace(file)
        until_reloaded(program, ok=True)
        answer, _ = read(program.ask("hello", model="brisk"))
        assert answer.status == 200
        answer, _ = read(program.ask("hello", model="fast"))
        assert answer.status == 404
        program.stop(signal.SIGTERM)
        code, errors = program.ended()
        assert code == 0
        assert "applied forebay.yaml" in errors
