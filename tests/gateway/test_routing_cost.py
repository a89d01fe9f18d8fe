"""Finding out who can serve a request costs the same however many models are listed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random

import httpx
import trio
from trio.testing import MockClock

from forebay.actors.config import parse_settings
from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.job import Client, Job
from forebay.actors.providers.provider import Provider
from forebay.actors.routing.ability import able_targets
from forebay.actors.routing.auto_ranking import MOST_TARGETS
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.routing.eligibility import eligible_targets
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.requests import ChatRequest, Dialect, user_turn

CLIENT = Client(name="somebody")
NO_DIALECT = Dialect("")
REQUEST = ChatRequest(model="fast", turns=(user_turn("hello"),))


def catalog_of(models: int) -> Catalog:
    settings = parse_settings(
        {
            "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
            "models": {"fast": {"targets": ["up/m0", "up/m1"]}},
        }
    )
    up = Provider("up", settings.providers["up"], httpx.AsyncBaseTransport(), Random(1))
    capabilities = frozenset({Capability.CHAT})
    up.listing.update(
        ListedModel(f"m{each}", 8192, price_input=float(each), capabilities=capabilities)
        for each in range(models)
    )
    return Catalog(settings, {"up": up})


async def resolved(catalog: Catalog, model: str, request: ChatRequest = REQUEST) -> Resolution:
    return await catalog.resolve(model, NO_DIALECT, CLIENT, ChatOperation(request))


async def route(catalog: Catalog, model: str) -> None:
    operation = ChatOperation(REQUEST)
    resolution = await catalog.resolve(model, NO_DIALECT, CLIENT, operation)
    job = Job(operation=operation, client=CLIENT, arrived_at=0.0, deadline=1.0)
    eligible_targets(job, able_targets(job, resolution.targets, model), model)


def best(measured: Callable[[], None]) -> float:
    """CPU seconds of the best of some rounds."""
    rounds = []
    for _ in range(15):
        began = time.thread_time()
        measured()
        rounds.append(time.thread_time() - began)
    return min(rounds)


def test_ten_thousand_models_cost_a_request_no_more_than_ten() -> None:
    few, many = catalog_of(10), catalog_of(10_000)
    names = {few: ("fast", "up/m9", "m9"), many: ("fast", "up/m9999", "m9999")}

    async def route_all(catalog: Catalog, model: str) -> None:
        for _ in range(30):
            await route(catalog, model)

    for number in range(3):
        of_few, of_many = (
            best(partial(trio.run, route_all, catalog, names[catalog][number]))
            for catalog in (few, many)
        )
        assert of_many < 2 * of_few


def test_auto_costs_no_more_with_ten_thousand_models_once_it_has_looked_at_them() -> None:
    """The best of sixteen are looked at for each request, and not ten thousand."""
    few, many = catalog_of(16), catalog_of(10_000)

    async def route_all(catalog: Catalog) -> None:
        for _ in range(10):
            await route(catalog, "auto")

    trio.run(route, few, "auto")
    trio.run(route, many, "auto")
    of_few, of_many = (best(partial(trio.run, route_all, catalog)) for catalog in (few, many))
    assert of_many < 2 * of_few


async def test_of_thousands_that_are_in_doubt_or_out_few_are_taken_up() -> None:
    """A target is more than a line in a list: it has gates, estimates and a place in its pool."""
    catalog = catalog_of(10_000)
    (up,) = {target.provider for target in (await resolved(catalog, "up/m0")).targets}
    before = len(up.targets)
    long = ChatRequest(model="auto", turns=(user_turn("word " * 5000),))
    assert len((await resolved(catalog, "auto", long)).targets) == MOST_TARGETS
    assert len(up.targets) <= before + MOST_TARGETS + 1
    up.take_out("no credit")
    assert len((await resolved(catalog, "auto")).targets) == MOST_TARGETS
    assert len(up.targets) <= before + 2 * MOST_TARGETS + 1


async def test_looking_at_ten_thousand_models_stops_nobody_else(
    autojump_clock: MockClock,
) -> None:
    catalog = catalog_of(10_000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await route(catalog, "auto")
        nursery.cancel_scope.cancel()
    assert turns > 50
