"""docs/providers.md is what the profiles say, and its worked example works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imitations.kinds import ImitatedKind
from imitations.tables import TABLES

from forebay.protocol.kinds_page import kinds_page, section
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import ProviderProfile

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"


def test_the_page_is_what_the_generator_writes() -> None:
    made = "python -m forebay.protocol.kinds_page > docs/providers.md"
    assert PAGE.read_text(encoding="utf-8") == kinds_page(), f"write it anew: {made}"


@pytest.mark.parametrize("kind", PROFILES)
def test_every_kind_stands_in_the_overview(kind: str) -> None:
    profile = PROFILES[kind]
    page = PAGE.read_text(encoding="utf-8")
    row = re.search(rf"^\| `{kind}` \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert row is not None, f"docs/providers.md has no row for the kind {kind}"
    assert (profile.default_base_url or "required") in row[1]
    assert ("hosts" in row[1]) == profile.takes_hosts
    assert row[2].startswith("required" if profile.needs_key else "optional")


@pytest.mark.parametrize("kind", PROFILES)
def test_each_kind_says_what_is_supported_how_limits_are_learned_and_what_is_lossy(
    kind: str,
) -> None:
    profile = PROFILES[kind]
    text = section(profile)
    assert text in PAGE.read_text(encoding="utf-8")
    assert all(f"`{api}` at " in text for api in profile.paths)
    words = " ".join(text.split())
    assert f"Limits are learned from {profile.notes.limits}" in words
    assert profile.notes.lossy
    assert all(f"- {loss}" in words for loss in profile.notes.lossy)


def test_the_worked_example_is_a_profile_and_a_table_of_one_kind() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    first: dict[str, object] = {}
    second: dict[str, object] = {}
    exec(compile(blocks[0], "example", "exec"), first)
    exec(compile(blocks[1], "table", "exec"), second)
    profile, table = first["PROFILE"], second["TABLE"]
    assert isinstance(profile, ProviderProfile)
    assert isinstance(table, ImitatedKind)
    assert (profile.kind, profile.default_base_url) == (table.kind, table.address)
    assert profile.kind not in PROFILES, "else the example is no news"
    assert table.kind not in {each.kind for each in TABLES.values()}
