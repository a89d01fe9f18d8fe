"""What models must be: as people write it, and what a model lacks of it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.canonical.needs import NO_NEEDS, Ability, Needs, doubts, lacks
from forebay.protocol.canonical.needs_grammar import NeedsUnreadable, read_needs, written_needs

CAPABILITIES = st.frozensets(st.sampled_from(Capability))
TOKENS = st.one_of(st.just(0), st.integers(1, 10**7), st.integers(1, 999).map(lambda n: n * 1000))
PRICES = st.none() | st.integers(0, 10**9).map(lambda n: n / 10**6)
WRITABLE = st.builds(
    Needs,
    capabilities=CAPABILITIES,
    context_tokens=TOKENS,
    output_tokens=TOKENS,
    local=st.booleans(),
    most_price=PRICES,
)
NEEDS = st.builds(
    Needs,
    capabilities=CAPABILITIES,
    any_of=CAPABILITIES,
    wishes=CAPABILITIES,
    context_tokens=TOKENS,
    output_tokens=TOKENS,
    local=st.booleans(),
    most_price=PRICES,
)


@st.composite
def facts(draw: st.DrawFn) -> ModelFacts:
    known = draw(st.dictionaries(st.sampled_from(Capability), st.booleans()))
    return ModelFacts(
        capabilities=frozenset(each for each, can in known.items() if can),
        lacks=frozenset(each for each, can in known.items() if not can),
        context_tokens=draw(st.none() | st.integers(1, 10**7)),
        max_output_tokens=draw(st.none() | st.integers(1, 10**7)),
        price_input=draw(PRICES),
        price_output=draw(PRICES),
        is_local=draw(st.booleans()),
    )


@given(WRITABLE)
def test_needs_that_are_written_and_read_are_the_same(needs: Needs) -> None:
    text = written_needs(needs)
    if needs == NO_NEEDS:
        assert text == ""
    else:
        assert read_needs(text) == needs
        assert read_needs(text.upper().replace(",", " , ")) == needs


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("json", Needs(capabilities=frozenset({Capability.JSON_SCHEMA}))),
        (
            "tools,json,ctx>=100k",
            Needs(
                capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA}),
                context_tokens=100_000,
            ),
        ),
        ("parallel-tools", Needs(capabilities=frozenset({Capability.PARALLEL_TOOLS}))),
        ("reasoning", Needs(capabilities=frozenset({Capability.THINKING}))),
        ("images, embeddings", read_needs("vision,embedding")),
        ("context >= 0.5m", Needs(context_tokens=500_000)),
        ("ctx>=8192,ctx>=4k", Needs(context_tokens=8192)),
        ("out>=4096", Needs(output_tokens=4096)),
        ("price<=3,price<=2.5", Needs(most_price=2.5)),
        ("LOCAL", Needs(local=True)),
    ],
)
def test_short_forms_mean_what_their_users_expect(text: str, needs: Needs) -> None:
    assert read_needs(text) == needs


@pytest.mark.parametrize(
    ("text", "part", "mend"),
    [
        ("", "''", "there are chat"),
        ("tools,,json", "''", "parallel_tools"),
        ("tools,visoin", "'visoin'", "vision"),
        ("tools json", "'tools json'", "commas"),
        ("ctx>100k", "'ctx>100k'", "ctx>=100k"),
        ("ctx<=100k", "'ctx<=100k'", "ctx>=100k"),
        ("out>=-1", "'out>=-1'", "8192, 100k or 1m"),
        ("ctx>=1g", "'ctx>=1g'", "8192, 100k or 1m"),
        ("ctx>=9999999999999", "'ctx>=9999999999999'", "8192, 100k or 1m"),
        ("price>=1", "'price>=1'", "price<=2.5"),
        ("price<=$1", "'price<=$1'", "price<=2.5"),
        ("speed>=1", "'speed>=1'", "there are chat"),
        ("x" * 500, f"'{'x' * 40}'", "there are chat"),
    ],
)
def test_what_is_malformed_is_named_with_the_mend(text: str, part: str, mend: str) -> None:
    with pytest.raises(NeedsUnreadable) as caught:
        read_needs(text)
    assert part in str(caught.value)
    assert mend in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NeedsUnreadable):
        needs = read_needs(text)
        assert needs == NO_NEEDS or read_needs(written_needs(needs)) == needs


@given(NEEDS, facts())
def test_only_what_is_known_to_be_missing_is_lacked(needs: Needs, model: ModelFacts) -> None:
    by_kind = {lack.of: lack for lack in lacks(needs, model)}
    one_is_missing = any(model.can(each) is False for each in needs.capabilities)
    none_is_there = bool(needs.any_of) and all(model.can(each) is False for each in needs.any_of)
    assert (Ability.CAPABILITY in by_kind) == (one_is_missing or none_is_there)
    context, output = model.context_tokens, model.max_output_tokens
    assert (Ability.CONTEXT in by_kind) == (context is not None and context < needs.context_tokens)
    assert (Ability.OUTPUT in by_kind) == (output is not None and output < needs.output_tokens)
    assert (Ability.PLACE in by_kind) == (needs.local and not model.is_local)
    prices = [each for each in (model.price_input, model.price_output) if each is not None]
    is_too_dear = needs.most_price is not None and (
        max(prices) > needs.most_price if prices else not model.is_local
    )
    assert (Ability.PRICE in by_kind) == is_too_dear
    if Ability.CAPABILITY in by_kind:
        for each in needs.capabilities:
            assert (each.value in by_kind[Ability.CAPABILITY].said) or model.can(each) is not False


@given(NEEDS, NEEDS, facts())
def test_both_needs_together_rule_out_whom_either_does(
    one: Needs, other: Needs, model: ModelFacts
) -> None:
    if one.any_of and other.any_of:
        return
    together = bool(lacks(one.also(other), model))
    assert together == bool(lacks(one, model) or lacks(other, model))


@given(NEEDS)
def test_who_is_known_to_have_everything_leaves_no_doubt(needs: Needs) -> None:
    able = ModelFacts(
        capabilities=frozenset(Capability),
        context_tokens=10**9,
        max_output_tokens=10**9,
        price_input=0.0,
        is_local=True,
    )
    assert lacks(needs, able) == ()
    assert doubts(needs, able) == 0
    unknown = doubts(needs, ModelFacts())
    assert unknown == len(needs.capabilities | needs.wishes) + bool(needs.any_of) + bool(
        needs.context_tokens
    ) + bool(needs.output_tokens)
