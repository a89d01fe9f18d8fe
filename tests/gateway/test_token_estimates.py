"""What jobs are thought to take, and what is learned from what was counted."""

from __future__ import annotations

from random import Random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.providers.estimates import TokenEstimator
from forebay.actors.providers.sizes import RequestSize, measure
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Image,
    OutputFormat,
    OutputKind,
    Role,
    Text,
    Tool,
    Turn,
    UrlSource,
)

_SIZES = st.builds(
    RequestSize,
    st.integers(0, 1_000_000),
    media=st.integers(0, 20),
    tokens_told=st.integers(0, 10_000),
)
_USAGES = st.builds(
    Usage,
    input_uncached=st.integers(0, 300_000),
    cache_read=st.integers(0, 300_000),
    cache_write=st.integers(0, 1000),
    output=st.integers(0, 50_000),
    counted=st.booleans(),
)
_ESTIMATORS = st.builds(
    TokenEstimator, reserves_most_output=st.booleans(), charges_cache_reads=st.booleans()
)


def _text(random: Random) -> RequestSize:
    return RequestSize(round(10 ** random.uniform(1, 5)))


def _counted(size: RequestSize, *, per_byte: float = 0.25, output: int = 200) -> Usage:
    """As a provider counts it that adds ten tokens of its own to each request."""
    tokens = size.text_bytes * per_byte + size.media * 1600 + 10
    return Usage(input_uncached=round(tokens), output=output)


def _taught(reports: int, *, seed: int = 1, per_byte: float = 0.25) -> TokenEstimator:
    estimator, random = TokenEstimator(), Random(seed)
    for _ in range(reports):
        size = _text(random)
        estimator.learn(size, None, _counted(size, per_byte=per_byte))
    return estimator


# What is reserved.


@given(
    _ESTIMATORS,
    st.lists(st.tuples(_SIZES, st.none() | st.integers(0, 100_000), _USAGES), max_size=30),
    _SIZES,
    st.none() | st.integers(0, 100_000),
)
def test_no_report_makes_a_demand_less_than_a_token(
    estimator: TokenEstimator,
    reports: list[tuple[RequestSize, int | None, Usage]],
    size: RequestSize,
    most_output: int | None,
) -> None:
    for reported, most, usage in reports:
        estimator.learn(reported, most, usage)
    demand = estimator.demand(size, most_output)
    assert demand.tokens >= 1
    assert 0 <= demand.output <= demand.tokens
    if most_output is not None:
        assert demand.output <= most_output
    spent = estimator.spent(size, None, 5)
    assert spent.tokens >= 1
    assert spent.output == 5


def test_a_first_request_reserves_more_than_text_usually_takes() -> None:
    demand = TokenEstimator().demand(RequestSize(3000), 100)
    assert demand.output == 100
    assert demand.tokens - demand.output >= 3000 / 3


def test_the_most_output_is_reserved_where_the_provider_counts_it_in_advance() -> None:
    size = RequestSize(1000)
    usual, reserving = TokenEstimator(), TokenEstimator(reserves_most_output=True)
    for estimator in (usual, reserving):
        for _ in range(200):
            estimator.learn(size, None, _counted(size, output=50))
    assert reserving.demand(size, 4000).output == 4000
    assert usual.demand(size, 4000).output == pytest.approx(50, rel=0.05)
    assert usual.demand(size, 20).output == 20
    assert reserving.demand(size, None).output == pytest.approx(50, rel=0.05)


def test_input_and_output_are_apart() -> None:
    demand = _taught(200).demand(RequestSize(40_000), None)
    assert demand.output == pytest.approx(200, rel=0.05)
    assert demand.tokens - demand.output == pytest.approx(10_010, rel=0.1)


def test_tools_schemas_and_images_count() -> None:
    text = Text(text="hello")
    plain = ChatRequest(model="m", turns=(Turn(role=Role.USER, parts=(text,)),))
    tool = Tool(name="weather", description="Looks", parameters={"type": "object"})
    with_tool = ChatRequest(model="m", turns=plain.turns, tools=(tool,))
    with_schema = ChatRequest(
        model="m",
        turns=plain.turns,
        output=OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={"type": "object"}),
    )
    image = Image(source=UrlSource(url="https://example.com/a.png"))
    with_image = ChatRequest(model="m", turns=(Turn(role=Role.USER, parts=(text, image)),))
    estimator = TokenEstimator()
    tokens = [
        estimator.input_tokens(measure(request))
        for request in (plain, with_tool, with_schema, with_image)
    ]
    assert min(tokens[1:]) > tokens[0]
    assert tokens[3] >= 1000


# What is learned.


def test_expectations_come_close_on_a_steady_stream() -> None:
    estimator, random = TokenEstimator(), Random(3)
    errors = []
    for _ in range(400):
        size = _text(random)
        usage = _counted(size)
        errors.append(abs(estimator.input_tokens(size) - usage.input_total) / usage.input_total)
        estimator.learn(size, None, usage)
    assert mean(errors[:5]) > 0.1
    assert mean(errors[-100:]) < 0.05
    status = estimator.status()
    assert status.reports == 400
    assert status.input.mean_error < 0.05
    assert abs(status.input.bias) < 0.05
    assert status.input.margin < 0.1
    assert status.output.mean_error < 0.05


def test_what_an_image_takes_is_learned_beside_what_text_takes() -> None:
    estimator, random = _taught(200), Random(4)
    for _ in range(100):
        size = RequestSize(random.randrange(2000), media=random.randrange(1, 4))
        estimator.learn(size, None, _counted(size))
    assert estimator.input_tokens(RequestSize(0, media=2)) == pytest.approx(3210, rel=0.1)
    assert estimator.input_tokens(RequestSize(8000)) == pytest.approx(2010, rel=0.1)


def test_a_surprise_makes_the_estimator_careful_again_for_a_while() -> None:
    estimator = _taught(300)
    size = RequestSize(10_000)
    calm = estimator.demand(size, 0).tokens
    estimator.learn(size, None, _counted(size, per_byte=1.0))
    alarmed = estimator.demand(size, 0).tokens
    assert alarmed > 1.5 * calm
    for _ in range(150):
        estimator.learn(size, None, _counted(size))
    assert estimator.demand(size, 0).tokens == pytest.approx(calm, rel=0.1)


def test_requests_that_take_less_than_expected_do_not_widen_the_margin() -> None:
    estimator = _taught(300)
    before = estimator.status().input.margin
    estimator.learn(RequestSize(10_000), None, Usage(input_uncached=100, output=1))
    assert estimator.status().input.margin <= before


def test_a_conversation_that_the_provider_keeps_teaches_little() -> None:
    """Its text is nowhere in the request: ``previous_response_id``."""
    estimator = _taught(300)
    estimator.learn(RequestSize(20), None, Usage(input_uncached=150_000, output=200))
    assert estimator.input_tokens(RequestSize(20)) < 200


def test_what_nobody_counted_teaches_nothing() -> None:
    estimator = TokenEstimator()
    before = estimator.memory()
    estimator.learn(RequestSize(5000), None, Usage(input_uncached=1, output=9, counted=False))
    assert estimator.memory() == before
    assert estimator.status().reports == 0


@given(st.floats(0.05, 1.5), st.integers(0, 1000))
def test_reservations_settle_on_what_is_counted(per_byte: float, seed: int) -> None:
    """However a provider's tokenizer counts, and whatever texts are sent to it."""
    estimator = _taught(300, seed=seed, per_byte=per_byte)
    size = RequestSize(20_000)
    expected = 20_000 * per_byte + 10
    assert estimator.input_tokens(size) == pytest.approx(expected, rel=0.1)
    reserved = estimator.demand(size, 0).tokens
    assert 0.9 * expected <= reserved <= 1.35 * expected + 1


# What is charged.


def test_cached_input_is_charged_as_the_provider_counts_it() -> None:
    usage = Usage(input_uncached=100, cache_read=900, cache_write=50, output=70, reasoning=40)
    size = RequestSize(4000)
    assert TokenEstimator().spent(size, usage, 0).tokens == 1120
    lenient = TokenEstimator(charges_cache_reads=False)
    assert lenient.spent(size, usage, 0).tokens == 220
    assert lenient.spent(size, usage, 0).output == 70


def test_what_is_usually_cached_is_not_reserved_where_it_is_not_counted() -> None:
    lenient, strict = TokenEstimator(charges_cache_reads=False), TokenEstimator()
    size = RequestSize(40_000)
    for estimator in (lenient, strict):
        for _ in range(200):
            estimator.learn(size, None, Usage(input_uncached=500, cache_read=9500, output=10))
        assert estimator.input_tokens(size) == pytest.approx(10_000, rel=0.05)
    assert lenient.demand(size, 0).tokens == pytest.approx(500, rel=0.1)
    assert strict.demand(size, 0).tokens == pytest.approx(10_000, rel=0.1)


def test_a_call_without_a_report_is_charged_by_length() -> None:
    estimator = _taught(300)
    spent = estimator.spent(RequestSize(4000), None, 33)
    assert spent.output == 33
    assert spent.tokens == pytest.approx(1010 + 33, rel=0.1)


# Over restarts.


def test_what_was_learned_survives_a_restart() -> None:
    before, after = _taught(300), TokenEstimator()
    after.recall(before.memory())
    size = RequestSize(12_345, media=1)
    assert after.demand(size, None) == before.demand(size, None)
    assert after.memory() == before.memory()
    assert all(isinstance(value, float) for value in before.memory().values())


def test_an_older_memory_is_taken_for_what_it_has() -> None:
    estimator = TokenEstimator()
    estimator.recall({"tokens_per_byte": 0.5})
    assert estimator.input_tokens(RequestSize(1000)) == 500
    assert estimator.demand(RequestSize(0), None) == TokenEstimator().demand(RequestSize(0), None)
