"""What listings tell of prices, capabilities and ends, wherever servers write them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.listed_models import Capability, ListedModel, narrower
from forebay.protocol.dialects.listed_capabilities import capabilities_of
from forebay.protocol.dialects.listed_prices import prices_of
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.jsontext import JsonObject, JsonValue

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "pricing",
        "providers",
        "metadata",
        "capabilities",
        "type",
        "architecture",
        "supported_parameters",
        "lifecycle",
        "input_modalities",
        "output_modalities",
        "top_provider",
        "deprecation",
        "retires_at",
        "max_tokens",
    ]
)


@pytest.mark.parametrize(
    ("pricing", "prices"),
    [
        ({"prompt": "0.000003", "completion": "0.000015"}, (3.0, 15.0)),
        ({"prompt": "0", "completion": "0"}, (0.0, 0.0)),
        ({"prompt": "-1", "completion": "-1"}, (None, None)),
        ({"prompt": "much"}, (None, None)),
        ({"input": 0.88, "output": 0.9, "hourly": 0}, (0.88, 0.9)),
        ({"input": 0, "output": 0, "hourly": 3.5}, (None, None)),
        ({"input": 0.008, "output": 0}, (0.008, 0.0)),
        ({"input": True, "output": None}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_prices_are_dollars_for_a_million_tokens(
    pricing: JsonObject, prices: tuple[float | None, float | None]
) -> None:
    assert prices_of({"id": "m", "pricing": pricing}) == prices
    assert prices_of({"id": "m", "metadata": {"pricing": pricing}}) == prices


def test_of_several_providers_the_dearest_that_serves_counts() -> None:
    providers: JsonValue = [
        {"status": "live", "pricing": {"input": 0.2, "output": 2.0}},
        {"status": "live", "pricing": {"input": 0.4, "output": 1.0}},
        {"status": "error", "pricing": {"input": 9.0, "output": 9.0}},
        {"status": "live"},
        "odd",
    ]
    assert prices_of({"providers": providers}) == (0.4, 2.0)


@pytest.mark.parametrize(
    ("entry", "has", "lacks"),
    [
        ({"capabilities": ["completion", "tools", "odd", 5]}, "chat completion tools", ""),
        ({"capabilities": ["embedding"]}, "embedding", "chat completion"),
        ({"capabilities": {"function_calling": True, "vision": False}}, "tools", "vision"),
        ({"capabilities": {"thinking": {"supported": True}}}, "thinking", ""),
        ({"type": "chat"}, "chat", ""),
        ({"type": "rerank"}, "", "chat completion"),
        ({"type": "vlm", "capabilities": ["tool_use"]}, "chat completion tools vision", ""),
        (
            {"supported_parameters": ["tools", "parallel_tool_calls", "structured_outputs"]},
            "tools parallel_tools json_schema",
            "thinking",
        ),
        ({"supported_parameters": []}, "", ""),
        (
            {"input_modalities": ["text", "audio"], "output_modalities": ["image"]},
            "audio",
            "vision chat",
        ),
        ({"architecture": {"output_modalities": ["embeddings"]}}, "embedding", "chat completion"),
        (
            {"providers": [{"supports_tools": True}, {"supports_tools": False}]},
            "",
            "",
        ),
        ({"providers": [{"supports_structured_output": False}]}, "", "json_schema"),
        ({}, "", ""),
    ],
)
def test_capabilities_are_told_by_presence_and_by_absence(
    entry: JsonObject, has: str, lacks: str
) -> None:
    assert capabilities_of(entry) == (
        frozenset(map(Capability, has.split())),
        frozenset(map(Capability, lacks.split())),
    )


@pytest.mark.parametrize(
    ("entry", "deprecated", "retires"),
    [
        ({"deprecation": "2026-12-31T00:00:00Z"}, True, date(2026, 12, 31)),
        ({"expiration_date": "2027-01-31"}, True, date(2027, 1, 31)),
        ({"deprecation": None, "expiration_date": None}, False, None),
        ({"lifecycle": "deprecated"}, True, None),
        ({"lifecycle": "active"}, False, None),
        ({"deprecation": "soon"}, False, None),
    ],
)
def test_models_that_go_are_known(
    entry: JsonObject, deprecated: bool, retires: date | None
) -> None:
    model = read_entry("m", entry)
    assert (model.deprecated, model.retires) == (deprecated, retires)


@given(st.dictionaries(FIELDS, JSON, max_size=6))
def test_entries_of_any_shape_are_borne(entry: dict[str, JsonValue]) -> None:
    model = read_entry("m", entry)
    assert model.id == "m"
    assert not model.capabilities & model.lacks


def test_of_two_servers_only_what_both_have_is_counted_on() -> None:
    tools, vision = Capability.TOOLS, Capability.VISION
    one = ListedModel(
        "m",
        8192,
        "a",
        max_output_tokens=100,
        price_input=1.0,
        price_output=2.0,
        capabilities=frozenset({tools, vision}),
        retires=date(2027, 1, 1),
        deprecated=True,
    )
    other = ListedModel(
        "m",
        4096,
        price_input=3.0,
        capabilities=frozenset({tools}),
        lacks=frozenset({vision}),
    )
    both = ListedModel(
        "m",
        4096,
        "a",
        max_output_tokens=100,
        price_input=3.0,
        price_output=2.0,
        capabilities=frozenset({tools}),
        lacks=frozenset({vision}),
        deprecated=True,
        retires=date(2027, 1, 1),
    )
    assert narrower(one, other) == both
