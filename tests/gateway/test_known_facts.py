"""What the gateway knows of its providers' models, and who is believed."""

from __future__ import annotations

from random import Random

import httpx
import pytest

from forebay.actors.config import ProviderSettings
from forebay.actors.providers.accounts import is_near
from forebay.actors.providers.provider import Provider
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.model_facts import ModelFacts


def settings(kind: str = "openai_compatible", **said: object) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {"kind": kind, "base_url": "https://api.example.com/v1", **said}
    )


def provider(defined: ProviderSettings) -> Provider:
    return Provider("up", defined, httpx.AsyncBaseTransport(), Random(1))


async def test_the_configuration_comes_before_the_listing() -> None:
    up = provider(settings(targets={"m": {"price": {"input": 1, "output": 2}}}))
    listed = ListedModel(
        "m", 4096, price_input=7.0, price_output=8.0, capabilities=frozenset({Capability.TOOLS})
    )
    up.listing.update([listed, ListedModel("n", price_input=3.0)])
    assert (up.facts_of("m").price_input, up.facts_of("m").price_output) == (1.0, 2.0)
    assert up.facts_of("m").context_tokens == 4096
    assert up.facts_of("m").can(Capability.TOOLS)
    assert up.facts_of("n").price_input == 3.0
    assert up.facts_of("n").can(Capability.VISION) is None


async def test_all_that_the_configuration_may_say_of_a_model() -> None:
    said = {
        "capabilities": ["vision", "json_schema"],
        "lacks": ["tools"],
        "context_tokens": 8192,
        "max_output_tokens": 1024,
        "deprecated": True,
    }
    up = provider(settings(targets={"m": said}))
    listed = ListedModel("m", 4096, capabilities=frozenset({Capability.TOOLS, Capability.CHAT}))
    up.listing.update([listed])
    assert up.facts_of("m") == ModelFacts(
        capabilities=frozenset({Capability.CHAT, Capability.VISION, Capability.JSON_SCHEMA}),
        lacks=frozenset({Capability.TOOLS, Capability.PREFIX_CONTINUATION}),
        context_tokens=8192,
        max_output_tokens=1024,
        deprecated=True,
    )


async def test_a_fresh_listing_and_a_changed_configuration_are_heard_at_once() -> None:
    up = provider(settings())
    assert up.facts_of("m").context_tokens is None
    up.listing.update([ListedModel("m:latest", 2048)])
    known = up.facts_of("m")
    assert known.context_tokens == 2048
    assert up.facts_of("m") is known
    dearer = settings(targets={"m": {"price": {"input": 5}}})
    up.change(dearer, up.transport, 20.0)
    assert up.facts_of("m").price_input == 5.0
    up.listing.update([])
    assert up.facts_of("m").context_tokens is None


async def test_calls_cost_what_the_listing_says_where_nobody_else_does() -> None:
    up = provider(settings())
    target = up.target("m")
    assert target.pooled.price is None
    own = provider(settings(base_url="http://127.0.0.1:8000/v1")).target("m")
    assert own.pooled.price is not None
    assert (own.pooled.price.input, own.pooled.price.output) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "said", "capable"),
    [
        ("ollama", {}, True),
        ("openai", {}, False),
        ("openai", {"prefill": "last_turn"}, True),
    ],
)
async def test_whether_a_model_goes_on_with_its_own_turn_is_known_of_its_kind(
    kind: str, said: dict[str, object], capable: bool
) -> None:
    up = provider(settings(kind, api_key="sk-12345678", **said))
    assert up.facts_of("m").can(Capability.PREFIX_CONTINUATION) is capable


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:11434", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8000/v1", True),
        ("http://ollama:11434", True),
        ("http://192.168.1.7:8000", True),
        ("http://10.0.0.1", True),
        ("http://[fd00::1]", True),
        ("http://box.local:8000", True),
        ("http://gpu.lan:8000", True),
        ("http://8.8.8.8", False),
        ("https://api.openai.com/v1", False),
        ("https://local.example.com", False),
    ],
)
def test_private_addresses_and_names_are_local(url: str, local: bool) -> None:
    assert is_near(settings(base_url=url)) is local


async def test_models_of_the_cloud_are_not_local_wherever_they_are_asked_for() -> None:
    up = provider(settings("ollama", base_url="http://127.0.0.1:11434"))
    assert up.facts_of("llama3.2").is_local
    assert not up.facts_of("gpt-oss:120b-cloud").is_local


async def test_what_is_local_may_be_configured() -> None:
    ours = provider(settings(local=True))
    assert ours.facts_of("m").is_local
    theirs = provider(settings("ollama", base_url="http://127.0.0.1:11434", local=False))
    assert not theirs.facts_of("m").is_local
    assert theirs.target("m").pooled.price is None


async def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    up = provider(settings())
    for number in range(40_000):
        assert up.facts_of(f"made-up-{number}") == ModelFacts(
            lacks=frozenset({Capability.PREFIX_CONTINUATION})
        )
    assert len(up._facts._kept) <= 32_768
