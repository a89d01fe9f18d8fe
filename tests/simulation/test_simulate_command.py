"""``forebay simulate``: tables, JSON, pages and pictures, and mistakes in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from forebay.actors.simulation import pages
from forebay.endpoints.cli import main

CONFIG = """\
providers:
  up: {kind: openai_compatible, base_url: "http://up.test/v1", limits: {rpm: 60}}
models:
  fast: {targets: [up/m]}
"""
LOAD = """\
duration: 5m
traffic:
  chat: {users: 3, models: fast, rate: 1.5/s, input_tokens: 100, output_tokens: 50}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a configuration and a load."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "forebay.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "load.yaml").write_text(LOAD, encoding="utf-8")
    return tmp_path


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


def shown(*arguments: str) -> str:
    result = simulate(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_says_who_waited_and_what_was_used(here: Path) -> None:
    text = shown("load.yaml")
    assert re.search(r"^300 s simulated: \d+ requests, \d+ served, \d+ refused \(429\)", text)
    assert re.search(r"^chat-3 +interactive +\d+ +\d+ +\d+ +0 .* s +\d+$", text, re.MULTILINE)
    assert re.search(r"^up +rpm +60 +\d+\.\d % +\d+\.\d %$", text, re.MULTILINE)
    header, row = text.split("\n\n")[1].splitlines()[:2]
    assert len(header) == len(row)


def test_json_is_the_same_each_time_also_in_another_process(here: Path) -> None:
    done = forebay(["simulate", "load.yaml", "--json"], here)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown("load.yaml", "--json")
    assert done.stdout != shown("load.yaml", "--json", "--seed", "2")
    said = json.loads(done.stdout)
    assert said["requests"] == said["served"] + said["refused"] + said["unfinished"]
    assert said["providers"][0]["limits"][0]["name"] == "rpm"


def test_options_describe_a_load_without_a_file(here: Path) -> None:
    options = ["--rate", "30/min", "--users", "2", "--duration", "10m", "--output-tokens", "10"]
    said = json.loads(shown("--json", *options))
    assert said["requests"] == pytest.approx(300, rel=0.15)
    assert [line["name"] for line in said["clients"]] == ["load-1", "load-2"]
    loops = json.loads(shown("--json", "--think-time", "0", "--users", "4", "--duration", "2m"))
    assert loops["longest_queue"] >= 2


def test_two_runs_side_by_side(here: Path) -> None:
    what_if = ["--set", "providers.up.limits.rpm=120", "--compare"]
    both = json.loads(shown("load.yaml", "--json", *what_if))
    before, after = both["as_it_is"], both["what_if"]
    assert before["requests"] == after["requests"]
    assert before["providers"][0]["limits"][0]["limit"] == 60
    assert after["providers"][0]["limits"][0]["limit"] == 120
    assert after["classes"][0]["wait_seconds"]["p95"] < before["classes"][0]["wait_seconds"]["p95"]
    text = shown("load.yaml", *what_if)
    assert re.search(r"^ +as it is +what if$", text, re.MULTILINE)
    assert re.search(r"^up rpm allows +60 +120$", text, re.MULTILINE)


def test_more_load_and_more_users(here: Path) -> None:
    def requests(*options: str) -> int:
        return int(json.loads(shown("load.yaml", "--json", *options))["requests"])

    before = requests()
    assert requests("--scale-load", "2") == pytest.approx(2 * before, rel=0.1)
    assert requests("--users", "+3") == pytest.approx(2 * before, rel=0.1)
    assert requests("--users", "6") == requests("--users", "+3")


def test_a_trace_is_played_again(here: Path) -> None:
    lines = [
        {"time": 10 + n, "client": "c", "model": "fast", "input_tokens": 9, "output_tokens": 9}
        for n in range(20)
    ]
    (here / "t.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    said = json.loads(shown("--trace", "t.jsonl", "--duration", "1m", "--json"))
    assert (said["requests"], said["served"]) == (20, 20)
    (here / "load.yaml").write_text("{duration: 1m, trace: t.jsonl}", encoding="utf-8")
    assert json.loads(shown("load.yaml", "--json")) == said


def test_a_page_needs_nothing_else(here: Path) -> None:
    shown("load.yaml", "--html", "out.html", "--compare", "--scale-load", "2")
    page = (here / "out.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|src=|url\(|@import", page)
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        lines = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}polyline")
        assert max(len(str(line.get("points")).split()) for line in lines) > 100
    assert "Requests waiting" in page


def test_a_picture_is_a_png(here: Path) -> None:
    pytest.importorskip("PIL")
    shown("load.yaml", "--png", "out.png")
    assert (here / "out.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_without_pillow_a_picture_is_one_line_that_says_what_to_install(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "find_spec", lambda name: None)
    assert "pip install 'forebay[simulate]'" in one_line(simulate("load.yaml", "--png", "out.png"))
    assert not (here / "out.png").exists()


def one_line(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.output.count("\n") == 1, result.output
    assert result.output.startswith("Error: ")
    return result.output


def test_mistakes_are_one_line(here: Path) -> None:
    assert "nothing.yaml" in one_line(simulate("nothing.yaml"))
    assert "nothing.yaml" in one_line(simulate("load.yaml", "--config", "nothing.yaml"))
    assert "is not a rate" in one_line(simulate("--rate", "often"))
    assert "did you mean 'tpm'" in one_line(
        simulate("load.yaml", "--set", "providers.up.limits.tmp=1")
    )
    assert "gone.csv: does not exist" in one_line(simulate("--trace", "gone.csv"))
    wrong = LOAD.replace("models: fast", "models: fats")
    (here / "wrong.yaml").write_text(wrong, encoding="utf-8")
    assert "wrong.yaml:3: traffic.chat.models:" in one_line(simulate("wrong.yaml"))
    assert "can't write" in one_line(simulate("load.yaml", "--html", "no/such/folder.html"))
    for arguments in ([], ["load.yaml", "--rate", "1/s"], ["--rate", "1/s", "--model", "fast"]):
        result = simulate(*arguments, "--users", "many")
        assert result.exit_code in (1, 2)
        assert "Traceback" not in result.output


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
