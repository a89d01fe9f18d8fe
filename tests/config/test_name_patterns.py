"""Names with stars, and regular expressions for names: what they match, and how long it takes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.config.name_expressions import (
    LONGEST_MATCHED,
    ExpressionRefused,
    NameExpression,
)
from forebay.actors.config.name_patterns import NameList, Wildcard, with_star

LETTERS = st.text("ab/*", max_size=12)


@given(st.text("ab/", max_size=6), st.text("ab/", max_size=6), st.text("ab/", max_size=16))
def test_a_star_stands_for_some_text(head: str, tail: str, name: str) -> None:
    star = Wildcard.of(f"{head}*{tail}").star_in(name)
    matches = re.fullmatch(f"{re.escape(head)}(.+){re.escape(tail)}", name)
    assert (star is None) == (matches is None)
    if star is not None:
        assert with_star(f"{head}*{tail}", star) == name
        assert with_star("x/*-y", star) == f"x/{star}-y"


@given(st.lists(LETTERS, max_size=4), st.text("ab/", max_size=16))
def test_a_list_holds_what_one_of_its_patterns_matches(patterns: list[str], name: str) -> None:
    expressions = [".*".join(map(re.escape, each.split("*"))) for each in patterns]
    expected = any(re.fullmatch(each, name) for each in expressions)
    assert NameList(patterns).holds(name) == expected


def test_a_hostile_name_costs_a_list_of_many_stars_next_to_nothing() -> None:
    names = NameList(["*a*a*a*a*a*a*a*a*a*a*b"])
    began = time.thread_time()
    assert not names.holds("a" * 512)
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize(
    ("text", "template", "name", "renamed"),
    [
        ("claude-.*", "sonnet", "claude-3-opus", "sonnet"),
        ("claude-.*", "sonnet", "my-claude-3", None),
        ("^gpt-4o-(.*)$", r"openai/gpt-4o-\1", "gpt-4o-mini", "openai/gpt-4o-mini"),
        (r"(?P<maker>[^/]+)/(.+)", r"router/\g<maker>/\2", "a/b/c", "router/a/b/c"),
        (r"(?i)GPT-(\d)(?:-turbo)?", r"gpt-\1", "gpt-4-TURBO", "gpt-4"),
        (r"(opus|sonnet|haiku)(-\d{8})?", r"anthropic/\1", "haiku-20240307", "anthropic/haiku"),
        (r"m(-x)?", r"n\1", "m", "n"),
        (r"[]a-z\]]+\.\d", "x", "a].5", "x"),
        ("a" * 10 + "b*", "x", "a" * 10 + "b" * LONGEST_MATCHED, None),
    ],
)
def test_an_expression_matches_whole_names_and_carries_its_groups(
    text: str, template: str, name: str, renamed: str | None
) -> None:
    expression = NameExpression(text)
    expression.check_template(template)
    assert expression.renamed(name, template) == renamed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(", "is no regular expression"),
        ("[z-a]", "is no regular expression"),
        ("(a+)+$", "repeats a group"),
        ("(a|b)*c", "repeats a group"),
        ("(?:a|aa){2,9}", "repeats a group"),
        ("(.*)x?" * 4, "too many ways"),
        ("(a|a)" * 30, "too many ways"),
        ("a?" * 30 + "a" * 30, "too many ways"),
        (r"(a)\1", "'\\1'"),
        ("(?=a)a", "looks ahead"),
        ("(?<!a)b", "looks ahead or behind"),
        ("(?P<x>a)(?P=x)", "looks ahead or behind"),
        ("a(?i:b)", "flags"),
        (r"\Aa", "'\\A'"),
        ("a" * 257, "longer than 256"),
    ],
)
def test_an_expression_that_may_take_long_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ExpressionRefused) as caught:
        NameExpression(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (r"\2", "names group '2'"),
        (r"\g<no>", "names group 'no'"),
        (r"a\b", "is no group"),
        ("a\\", "backslash"),
    ],
)
def test_what_an_expression_stands_for_names_groups_that_there_are(template: str, why: str) -> None:
    with pytest.raises(ExpressionRefused, match=re.escape(why)):
        NameExpression("(a)").check_template(template)


PIECES = st.sampled_from(
    [
        *"ab.",
        "[ab]",
        r"\w",
        "a*",
        ".+",
        "b?",
        "[ab]{1,3}",
        "a{2}",
        "(a|b)",
        "(ab)?",
        "(?:a|)",
        ".*?",
    ]
)


@given(st.lists(PIECES, min_size=1, max_size=30).map("".join), st.sampled_from("ab"))
def test_no_expression_that_is_taken_stops_the_event_loop(text: str, letter: str) -> None:
    """On names that make an engine try all of its ways: nearly a match, as long as can be."""
    try:
        expression = NameExpression(text)
    except ExpressionRefused:
        return
    for name in (letter * LONGEST_MATCHED, letter * (LONGEST_MATCHED - 1) + "!", "a" * 512):
        began = time.thread_time()
        renamed = expression.renamed(name, "x")
        assert time.thread_time() - began < 0.25
        expected = len(name) <= LONGEST_MATCHED and re.fullmatch(text, name)
        assert (renamed is not None) == bool(expected)
