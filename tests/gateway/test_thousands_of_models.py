"""10,000 listed models: they are written once, and found as fast as a few."""

from __future__ import annotations

import json
import time
from random import Random

import httpx
import pytest
from imitation import Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.config import parse_settings
from forebay.actors.jobs.job import ANONYMOUS
from forebay.actors.providers.provider import Provider
from forebay.actors.routing.catalog import Catalog
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.canonical.requests import Dialect

COUNT = 10_000
LISTS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("/v1/models", {}, "data"),
    ("/v1/models", {"anthropic-version": "2023-06-01"}, "data"),
    ("/api/tags", {}, "models"),
    ("/api/ps", {}, "models"),
)


def catalog_of(count: int) -> tuple[Catalog, Provider]:
    settings = parse_settings(
        {"providers": {"up": {"kind": "openai_compatible", "base_url": "http://10.0.0.1/v1"}}}
    )
    up = Provider("up", settings.providers["up"], httpx.AsyncBaseTransport(), Random(1))
    up.listing.update([ListedModel(f"vendor/model-{number}", 4096) for number in range(count)])
    return Catalog(settings, {"up": up}), up


async def bodies(world: World) -> list[bytes]:
    answers = [
        await world.client.get(f"{GATEWAY}{path}", headers=headers) for path, headers, _ in LISTS
    ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.content for answer in answers]


async def test_all_are_listed_in_every_api_and_again_the_same(autojump_clock: MockClock) -> None:
    def listing(last: int) -> Imitated:
        entries = [{"id": f"m-{number}"} for number in range(last)]
        return Imitated(json.dumps({"data": entries}).encode())

    up = Imitation({"GET /v1/models": listing(1_000)})
    config = {"providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}}}
    async with open_world(config, hosts={"up.test": up.serve}) as world:
        await world.gateway.providers["up"].refresh_listing()
        first = await bodies(world)
        for body, (_, _, below) in zip(first, LISTS, strict=True):
            assert len(json.loads(body)[below]) == 1_000
        assert await bodies(world) == first
        up.answers["GET /v1/models"] = listing(1_001)
        await world.gateway.providers["up"].refresh_listing()
        for body, (_, _, below) in zip(await bodies(world), LISTS, strict=True):
            assert len(json.loads(body)[below]) == 1_001


async def test_names_are_put_together_once_for_every_state_of_the_listings() -> None:
    catalog, up = catalog_of(COUNT)
    entries = catalog.index.entries(ANONYMOUS)
    assert len(entries) == COUNT
    assert catalog.index.entries(ANONYMOUS) is entries
    up.listing.update([*up.listing.models.values()])
    assert catalog.index.entries(ANONYMOUS) is not entries


async def seconds_to_find(catalog: Catalog, names: list[str]) -> float:
    """CPU, of the best of several rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for name in names:
            await catalog.resolve(name, Dialect("openai"), ANONYMOUS)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("prefix", ["up/", ""])
async def test_one_of_thousands_is_found_as_fast_as_one_of_few(prefix: str) -> None:
    names = [f"{prefix}vendor/model-{number}" for number in range(200)]
    few, _ = catalog_of(200)
    many, _ = catalog_of(COUNT)
    await seconds_to_find(few, names)
    assert await seconds_to_find(many, names) < 3 * await seconds_to_find(few, names)
