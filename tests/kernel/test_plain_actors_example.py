"""The example of docs/embedding.md runs, and prints what the page says."""

import runpy
from pathlib import Path

import pytest
from trio.testing import MockClock

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "plain_actors.py"


async def test_plain_actors_example_prints_what_happens(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    await runpy.run_path(str(EXAMPLE))["main"]()
    assert capsys.readouterr().out.splitlines() == [
        "soup is served",
        "the guest has left, and the stew is off the stove",
        "salad is served",
        "restaurant/kitchen is running, last on the stove: salad",
    ]
