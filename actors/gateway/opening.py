"""Opening a gateway: its actors, for as long as a block lasts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import httpx
import trio

from forebay.actors.config import Settings, parse_settings
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.gateway.roster import Layers, Roster
from forebay.actors.gateway.supervision import GatewayActor
from forebay.actors.kernel import open_actor_system
from forebay.actors.model_tables import ModelTables
from forebay.actors.providers.ledger import LONGEST_SAVE, Ledger, LedgerActor
from forebay.actors.providers.provider_network import ProviderNetwork
from forebay.actors.providers.wall_clock import SYSTEM_CLOCK, WallClock
from forebay.actors.stores import ForgetfulLearnedStore, LearnedStore
from forebay.actors.upstream import ImageFetcher

# Waits go downward only, from sessions to the gateway to models to providers: the layers let the
# kernel refuse any other.
SESSION_LAYER, GATEWAY_LAYER, MODEL_LAYER, PROVIDER_LAYER = range(4)


@asynccontextmanager
async def open_gateway(
    config: Settings | Mapping[str, object],
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    random: Random | None = None,
    image_fetcher: ImageFetcher | None = None,
    learned_store: LearnedStore | None = None,
    environ: Mapping[str, str] | None = None,
    wall_clock: WallClock = SYSTEM_CLOCK,
    check_waits: bool = False,
) -> AsyncIterator[Gateway]:
    """A running gateway without a server::

        async with open_gateway(config) as gateway:
            async for event in gateway.chat(request): ...

    Args:
        config: settings, or the same as a mapping (the shape of ``forebay.yaml``).
        transport: carries calls to all providers, whatever is said of TLS and proxies; None:
            connections of the gateway's own.
        random: jitter of pauses; give a seeded one to repeat a run.
        image_fetcher: gets the images that requests link to; None: from public addresses.
        learned_store: keeps what is learned of providers over restarts; None: it is forgotten.
        environ: has ``HTTPS_PROXY`` and its like; None: the process's own. Read once.
        wall_clock: the time of day, for windows that end at midnight and resets that are told.
        check_waits: refuse waits between actors that could deadlock, for tests.

    Raises:
        ConfigError: the mapping is not a valid configuration, or a proxy of the environment or a
            certificate file can't be used.
    """
    settings = config if isinstance(config, Settings) else parse_settings(config)
    random = random or Random()
    ledger = Ledger(learned_store or ForgetfulLearnedStore())
    roster = Roster(
        settings,
        ProviderNetwork(os.environ if environ is None else environ),
        transport,
        random,
        ledger,
        layers=Layers(model=MODEL_LAYER, provider=PROVIDER_LAYER),
        tables=ModelTables(),
        wall_clock=wall_clock,
    )
    await ledger.recall(roster.providers)
    try:
        async with open_actor_system("forebay", check_waits=check_waits, random=random) as system:
            await roster.start(system)
            control = await system.start(
                partial(GatewayActor, roster), name="gateway", layer=GATEWAY_LAYER
            )
            await system.start(partial(LedgerActor, ledger), name="ledger", layer=PROVIDER_LAYER)
            try:
                yield Gateway(system, roster, control, image_fetcher or ImageFetcher())
            finally:
                roster.close("the gateway is closed")
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LONGEST_SAVE):
            await ledger.save()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await roster.aclose()
