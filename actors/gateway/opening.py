"""Opening a gateway: its actors, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import httpx
import trio

from forebay.actors.config import Settings, parse_settings
from forebay.actors.gateway.catalog import Catalog
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.gateway.models import Model, ModelActor
from forebay.actors.gateway.provider import Provider, ProviderActor
from forebay.actors.gateway.supervision import (
    PROVIDER_RESTARTS,
    GatewayActor,
    give_up_for_now,
)
from forebay.actors.kernel import open_actor_system
from forebay.actors.upstream import ConnectionStack, ImageFetcher

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
    check_waits: bool = False,
) -> AsyncIterator[Gateway]:
    """A running gateway without a server::

        async with open_gateway(config) as gateway:
            async for event in gateway.chat(request): ...

    Args:
        config: settings, or the same as a mapping (the shape of ``forebay.yaml``).
        transport: carries calls to providers; None: connections of the gateway's own.
        random: jitter of pauses; give a seeded one to repeat a run.
        image_fetcher: gets the images that requests link to; None: from public addresses.
        check_waits: refuse waits between actors that could deadlock, for tests.

    Raises:
        ConfigError: the mapping is not a valid configuration.
    """
    settings = config if isinstance(config, Settings) else parse_settings(config)
    random = random or Random()
    transport = transport or ConnectionStack()
    providers = {
        name: Provider(name, provider, transport, random)
        for name, provider in settings.providers.items()
    }
    catalog = Catalog(settings, providers)
    try:
        async with open_actor_system("forebay", check_waits=check_waits, random=random) as system:
            provider_refs = {
                name: await system.start(
                    partial(ProviderActor, provider),
                    name=f"provider:{name}",
                    layer=PROVIDER_LAYER,
                    restart=PROVIDER_RESTARTS,
                    on_rest=partial(give_up_for_now, provider),
                )
                for name, provider in providers.items()
            }
            model_refs = {}
            for model in (*catalog.models.values(), *catalog.outright.values()):
                model_refs[model.name] = await system.start(
                    partial(ModelActor, model), name=_actor_name(model), layer=MODEL_LAYER
                )
            control = await system.start(
                partial(
                    GatewayActor,
                    model_refs,
                    {name: (providers[name], ref) for name, ref in provider_refs.items()},
                ),
                name="gateway",
                layer=GATEWAY_LAYER,
            )
            try:
                yield Gateway(
                    settings,
                    system,
                    catalog,
                    providers,
                    control,
                    image_fetcher or ImageFetcher(),
                )
            finally:
                for model in (*catalog.models.values(), *catalog.outright.values()):
                    model.close("the gateway is closed")
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await transport.aclose()


def _actor_name(model: Model) -> str:
    return "model:" + model.name.replace("/", "|")
