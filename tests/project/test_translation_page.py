"""docs/translation.md is what the declarations say."""

from __future__ import annotations

from pathlib import Path

from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.dialects.translation_page import translation_page

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"


def test_the_page_is_what_the_generator_writes() -> None:
    made = "python -m forebay.protocol.dialects.translation_page > docs/translation.md"
    assert PAGE.read_text() == translation_page(), f"write it anew: {made}"


def test_the_page_has_a_table_for_every_pair_of_apis() -> None:
    sections = PAGE.read_text().split("\n## Answers")[0].split("\n## To ")[1:]
    assert [section.split("`")[1] for section in sections] == list(CODECS)
    for section, api in zip(sections, CODECS, strict=True):
        sources = [part.split("`")[0] for part in section.split("### From `")[1:]]
        assert sources == [source for source in CODECS if source != api]
