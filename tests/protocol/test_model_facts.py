"""Facts of a model from several sources, laid over each other."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.model_facts import ModelFacts, listed_facts

_NUMBERS = st.none() | st.integers(0, 9)


@st.composite
def facts(draw: st.DrawFn) -> ModelFacts:
    said = draw(st.dictionaries(st.sampled_from(Capability), st.booleans()))
    return ModelFacts(
        capabilities=frozenset(each for each, has in said.items() if has),
        lacks=frozenset(each for each, has in said.items() if not has),
        context_tokens=draw(_NUMBERS),
        max_output_tokens=draw(_NUMBERS),
        price_input=draw(_NUMBERS),
        price_output=draw(_NUMBERS),
        is_local=draw(st.booleans()),
        deprecated=draw(st.none() | st.booleans()),
    )


@given(facts(), facts())
def test_the_higher_source_wins_and_the_lower_one_says_the_rest(
    higher: ModelFacts, lower: ModelFacts
) -> None:
    both = higher.over(lower)
    for capability in Capability:
        said = higher.can(capability)
        assert both.can(capability) == (lower.can(capability) if said is None else said)
    assert not both.capabilities & both.lacks
    for field in ("context_tokens", "max_output_tokens", "price_input", "deprecated"):
        said = getattr(higher, field)
        assert getattr(both, field) == (getattr(lower, field) if said is None else said)


@given(facts(), facts(), facts())
def test_any_number_of_sources_from_either_end(
    one: ModelFacts, two: ModelFacts, three: ModelFacts
) -> None:
    assert one.over(two).over(three) == one.over(two.over(three))
    assert ModelFacts().over(one) == one.over(ModelFacts()) == one


def test_a_model_that_is_said_to_stay_has_no_date_of_anybody_else() -> None:
    listed = listed_facts(ListedModel("m", deprecated=True, retires=date(2026, 1, 1)))
    assert (listed.deprecated, listed.retires) == (True, date(2026, 1, 1))
    stays = ModelFacts(deprecated=False).over(listed)
    assert (stays.deprecated, stays.retires) == (False, None)


def test_what_a_listing_leaves_open_stays_open() -> None:
    assert listed_facts(ListedModel("m")) == ModelFacts()
    assert listed_facts(ListedModel("m")).deprecated is None
