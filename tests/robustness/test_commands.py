"""The commands: what they say to people, and that a mistake costs one line and exit code 1."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forebay.endpoints.cli import main

WRONG = """\
server:
  prt: 4290
providers:
  up:
    kind: openai_compatibel
    base_url: http://127.0.0.1:1/v1
models:
  fast:
    targets: [up/x]
"""
RIGHT = WRONG.replace("prt", "port").replace("compatibel", "compatible")


def run(*arguments: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(main, [os.fspath(argument) for argument in arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory, and no keys in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")) or name.startswith(
            ("OLLAMA", "OPENAI", "FOREBAY")
        ):
            monkeypatch.delenv(name)
    return tmp_path


def one_line(result: Result) -> str:
    """The only line of a command that failed."""
    assert result.exit_code == 1, result.output
    assert result.output.count("\n") == 1, result.output
    assert result.output.startswith("Error: ")
    return result.output


def test_check_names_the_lines_and_the_mends_of_a_wrong_file(here: Path) -> None:
    (here / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    result = run("check", "--config", "wrong.yaml")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    first, second = (line for line in result.output.splitlines() if "wrong.yaml:" in line)
    assert "wrong.yaml:2" in first
    assert "'port'" in first
    assert "wrong.yaml:5" in second
    assert "'openai_compatible'" in second


def test_check_accepts_a_right_file_and_counts_what_is_in_it(here: Path) -> None:
    (here / "forebay.yaml").write_text(RIGHT, encoding="utf-8")
    for arguments in ([], ["--config", "forebay.yaml"]):
        result = run("check", *arguments)
        assert result.exit_code == 0
        assert result.output == "forebay.yaml: valid. Providers: up. Models: 1. Clients: 0.\n"


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_file_that_is_not_there_or_can_not_be_read_is_one_line(command: str, here: Path) -> None:
    assert "nothing.yaml" in one_line(run(command, "--config", "nothing.yaml"))
    (here / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in one_line(run(command, "--config", "binary.yaml"))
    (here / "list.yaml").write_text("- a\n", encoding="utf-8")
    assert "list.yaml" in one_line(run(command, "--config", "list.yaml"))
    (here / "broken.yaml").write_text("a: [\n", encoding="utf-8")
    assert "broken.yaml" in one_line(run(command, "--config", "broken.yaml"))


def test_init_writes_a_file_that_check_accepts_and_never_replaces_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("init")
    assert result.exit_code == 0
    written = (here / "forebay.yaml").read_text(encoding="utf-8")
    for name in set(re.findall(r"\$\{(\w+)", written)):
        monkeypatch.setenv(name, "key-for-a-test")
    assert run("check").exit_code == 0
    (here / "forebay.yaml").write_text("mine", encoding="utf-8")
    assert "--force" in one_line(run("init"))
    assert (here / "forebay.yaml").read_text(encoding="utf-8") == "mine"
    assert run("init", "--force").exit_code == 0
    assert (here / "forebay.yaml").read_text(encoding="utf-8") == written
    assert "can't write" in one_line(run("init", here / "no" / "such" / "folder.yaml"))


def test_version_and_help(here: Path) -> None:
    version = run("--version")
    assert version.exit_code == 0
    assert re.fullmatch(r"forebay, version \d+\.\d+\.\d+\S*\n", version.output)
    for arguments in (["--help"], ["-h"], ["serve", "--help"], ["check", "-h"], ["sandbox", "-h"]):
        result = run(*arguments)
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")
    for arguments in (["nothing"], ["serve", "--nothing"], ["serve", "--port", "99999"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.output


@contextmanager
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_a_port_in_use_is_one_line_that_says_what_to_do(command: str, here: Path) -> None:
    with busy_port() as port:
        result = run(command, "--port", str(port))
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line
    assert "Traceback" not in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example"])
def test_without_clients_serve_refuses_to_listen_beyond_this_machine(host: str, here: Path) -> None:
    (here / "forebay.yaml").write_text(RIGHT, encoding="utf-8")
    line = one_line(run("serve", "--host", host))
    assert "server.host" in line
    assert "clients" in line


def test_an_address_that_is_not_this_machines_is_one_line(here: Path) -> None:
    (here / "forebay.yaml").write_text(RIGHT + "clients: {team: {key: k-1}}\n", encoding="utf-8")
    line = one_line(run("serve", "--host", "203.0.113.7", "--port", "0"))
    assert "203.0.113.7" in line
    assert "can't listen" in line


def forebay(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The real program, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "forebay.endpoints.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_real_program_refuses_an_open_door_in_one_line_on_stderr(here: Path) -> None:
    done = forebay(["serve", "--host", "0.0.0.0", "--port", "0"], here)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    assert "clients" in done.stderr
