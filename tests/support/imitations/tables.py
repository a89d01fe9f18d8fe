"""All tables: a new kind of provider comes with a file of its own, which is found here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from imitations.kinds import ImitatedKind

_WITHOUT = frozenset({"answering", "asking", "kinds", "tables"})
"""What all tables and tests have in common."""


def _tables() -> Iterator[tuple[str, ImitatedKind]]:
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem not in _WITHOUT:
            table = import_module(f"imitations.{file.stem}").TABLE
            assert isinstance(table, ImitatedKind)
            yield file.stem, table


TABLES: dict[str, ImitatedKind] = dict(_tables())
"""By what tests call them: the names of their files."""
