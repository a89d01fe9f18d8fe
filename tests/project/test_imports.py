"""Imports run downward only, and the floors know what they may know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("endpoints", "actors", "protocol")


TIERS_OF_ACTORS = (
    ("kernel", "scheduling", "upstream"),
    ("config",),
    ("model_tables", "stores"),
    ("providers",),
    ("jobs",),
    ("routing",),
    ("gateway",),
    ("simulation",),
)
"""The folders of the floor, from below; each may know those of the tiers below it."""


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _imported_by(folder: str) -> Iterator[tuple[Path, str]]:
    for path in _modules(folder):
        for name in _imports(path):
            yield path, name


@pytest.mark.parametrize("floor", FLOORS)
def test_no_floor_imports_from_above(floor: str) -> None:
    above = FLOORS[: FLOORS.index(floor)]
    for path, name in _imported_by(floor):
        assert not name.startswith(tuple(f"forebay.{upper}" for upper in above)), path


def test_the_folders_of_actors_know_only_those_below_them() -> None:
    folders = {path.name for path in (ROOT / "actors").iterdir() if (path / "__init__.py").exists()}
    assert folders == {folder for tier in TIERS_OF_ACTORS for folder in tier}
    below: set[str] = set()
    for tier in TIERS_OF_ACTORS:
        for folder in tier:
            for path, name in _imported_by(f"actors/{folder}"):
                parts = name.split(".")
                if parts[:2] == ["forebay", "actors"] and len(parts) > 2:
                    assert parts[2] in (below | {folder}), f"{path} imports {name}"
        below.update(tier)


def test_the_protocol_floor_does_no_io() -> None:
    forbidden = ("trio", "httpx", "httpcore", "socket", "asyncio", "quart", "hypercorn")
    for path, name in _imported_by("protocol"):
        assert name.split(".")[0] not in forbidden, f"{path} imports {name}"


def test_the_kernel_knows_only_trio() -> None:
    for path, name in _imported_by("actors/kernel"):
        assert name.startswith("forebay.actors.kernel") or not name.startswith("forebay"), path
    words = re.compile(r"\b(llm|models?|tokens|providers?|openai|anthropic|ollama|prompts?)\b")
    for path in _modules("actors/kernel"):
        assert not words.findall(path.read_text(encoding="utf-8").lower()), path


def test_scheduling_knows_neither_tasks_nor_wires() -> None:
    for path, name in _imported_by("actors/scheduling"):
        assert name.split(".")[0] not in ("trio", "httpx", "time"), f"{path} imports {name}"
        if name.startswith("forebay"):
            assert name.startswith("forebay.actors.scheduling"), f"{path} imports {name}"


def test_the_sandbox_shares_no_code_with_what_it_judges() -> None:
    for path, name in _imported_by("endpoints/sandbox"):
        if name.startswith("forebay"):
            allowed = ("forebay.endpoints.sandbox", "forebay.protocol.jsontext")
            assert name.startswith(allowed), f"{path} imports {name}"


def test_only_one_module_touches_hypercorns_insides() -> None:
    for path, name in _imported_by("endpoints"):
        if name.startswith("hypercorn") and name != "hypercorn.typing":
            assert path.name == "_hypercorn.py", f"{path} imports {name}"


def test_codecs_know_no_provider() -> None:
    for path, name in _imported_by("protocol/dialects"):
        assert not name.startswith("forebay.protocol.providers"), path
