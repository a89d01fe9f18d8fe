"""docs/translation.md is what the declarations say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import pytest

from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.registry import CODECS, EMBEDDING_CODECS, TOKEN_COUNT_CODECS
from forebay.protocol.dialects.translation_page import translation_page

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"


def test_the_page_is_what_the_generator_writes() -> None:
    made = "python -m forebay.protocol.dialects.translation_page > docs/translation.md"
    assert PAGE.read_text() == translation_page(), f"write it anew: {made}"


def test_the_page_has_a_table_for_every_pair_of_apis() -> None:
    sections = PAGE.read_text().split("\n## Counts")[0].split("\n## To ")[1:]
    assert [section.split("`")[1] for section in sections] == list(CODECS)
    for section, api in zip(sections, CODECS, strict=True):
        sources = [part.split("`")[0] for part in section.split("### From `")[1:]]
        assert sources == [source for source in CODECS if source != api]


@pytest.mark.parametrize(
    ("title", "apis"), [("Counts of tokens", TOKEN_COUNT_CODECS), ("Embeddings", EMBEDDING_CODECS)]
)
def test_counts_and_embeddings_have_a_table_for_every_pair_too(
    title: str, apis: Mapping[Api, object]
) -> None:
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    heads = [line for line in section.splitlines() if line.startswith("### ")]
    assert heads == [f"### From `{one}` to `{other}`" for one, other in permutations(apis, 2)]
