"""What a provider is asked now and then, as long as it serves: which models it has, and what its
hosts have loaded."""

from __future__ import annotations

import logging
from typing import Final

import trio

from forebay.actors.providers.host_models import ask_loaded
from forebay.actors.providers.listing import ListingFailed
from forebay.actors.providers.provider import Provider
from forebay.protocol.providers.base import LoadedModels

_log = logging.getLogger("forebay.provider")

_LOADED_REFRESH: Final = 60.0


async def keep_listing(provider: Provider) -> None:
    """Keep the listing fresh, until cancelled."""
    listing, schedule = provider.listing, provider.listing_schedule
    while True:
        refresh = provider.settings.listing_refresh_ms / 1000
        listing.begin()
        try:
            await provider.refresh_listing()
            pause = schedule.after_answer(refresh)
        except ListingFailed as failure:
            pause = schedule.after_failure(refresh, failure.told_to_wait)
            if listing.failed(str(failure)):
                _log.warning("provider %s lists no models: %s", provider.name, failure)
        with trio.move_on_after(pause.longest):
            await trio.sleep(pause.shortest)
            await listing.wanted()


async def keep_loaded(provider: Provider) -> None:
    """Keep asking what each of several hosts has loaded, until cancelled."""
    loaded = provider.profile.loaded_models
    if loaded is None:
        return
    while True:
        async with trio.open_nursery() as nursery:
            for host in provider.hosts if len(provider.hosts) > 1 else ():
                nursery.start_soon(_ask_loaded, provider, host, loaded)
        await trio.sleep(_LOADED_REFRESH)


async def _ask_loaded(provider: Provider, host: str, loaded: LoadedModels) -> None:
    asked_at = trio.current_time()
    stays = await ask_loaded(
        provider.transport,
        host,
        loaded,
        headers=provider.headers,
        timeouts=provider.timeouts,
        wall_clock=provider.wall_clock,
    )
    if stays is not None:
        provider.routes.tell_loaded(host, stays, asked_at)
