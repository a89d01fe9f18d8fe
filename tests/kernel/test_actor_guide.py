"""The programs of docs/actors.md print what the page says that they print."""

import re
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

PAGE = Path(__file__).parents[2] / "docs" / "actors.md"
PROGRAM = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)
PROGRAMS = [match.groupdict() for match in PROGRAM.finditer(PAGE.read_text(encoding="utf-8"))]


def test_every_program_of_the_guide_has_its_output() -> None:
    assert len(PROGRAMS) == PAGE.read_text(encoding="utf-8").count("```python") == 5


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_of_the_guide_prints_what_the_page_says(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trio.run
    monkeypatch.setattr(trio, "run", lambda main: run(main, clock=MockClock(autojump_threshold=0)))
    program = PROGRAMS[number]
    exec(program["code"], {"__name__": "guide"})
    assert capsys.readouterr().out == program["output"]
