"""What docs/architecture.md says of files is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_files_of_the_dialect_that_is_shown_are_all_of_its_files() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = re.search(r"^protocol/dialects/ollama/\n((?:  \S+\.py .*\n)+)", page, re.MULTILINE)
    assert listed is not None
    names = [line.split()[0] for line in listed[1].splitlines()]
    folder = ROOT / "protocol/dialects/ollama"
    assert sorted(names) == sorted(path.name for path in folder.glob("*.py"))


def test_all_files_that_the_page_names_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:actors|endpoints|protocol|tests|bench)/[\w/]+\.py)`", page))
    assert len(named) > 10
    made_up = {"protocol/providers/NAME.py"}
    missing = [name for name in sorted(named - made_up) if not (ROOT / name).exists()]
    assert missing == []
