"""Providers as a command looks at them: asked what they have, without a gateway that serves.

Nothing is called that costs anything, and nothing is written unless that is asked for; so it may be
done at any time, beside a gateway that serves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import trio

from forebay.actors.config import Settings
from forebay.actors.gateway.roster import Layers, Roster
from forebay.actors.model_tables import ModelTables
from forebay.actors.providers.key_check import key_fault
from forebay.actors.providers.ledger import Ledger
from forebay.actors.providers.listing import ListingFailed
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.provider_network import ProviderNetwork
from forebay.actors.routing.model_index import ModelIndex
from forebay.actors.stores import LearnedStore

_CLOSE_SECONDS: Final = 1.0
_NO_ACTORS: Final = Layers(model=0, provider=0)


class Survey:
    """Of the providers of one configuration."""

    def __init__(self, roster: Roster, ledger: Ledger) -> None:
        self.providers: Mapping[str, Provider] = roster.providers
        self.faults: dict[str, str] = {}
        """In one line each, without secrets, by provider; of those that were asked."""
        self._roster = roster
        self._ledger = ledger

    @property
    def index(self) -> ModelIndex:
        return self._roster.catalog.index

    async def ask(self) -> None:
        """Ask all providers at once which models they have, and whether they take their keys."""
        async with trio.open_nursery() as nursery:
            for provider in self.providers.values():
                nursery.start_soon(self._ask, provider)

    async def keep(self) -> None:
        """Keep what was listed, for gateways that are started from now on.

        Raises:
            StoreUnavailable: nothing was kept.
        """
        await self._ledger.save_listings()

    async def _ask(self, provider: Provider) -> None:
        fault: str | None
        try:
            await provider.refresh_listing()
            fault = await key_fault(provider) or provider.listing.silent_hosts
        except ListingFailed as failure:
            fault = f"key rejected: {failure}" if failure.key_rejected else str(failure)
            provider.listing.failed(fault)
        if fault is None:
            self.faults.pop(provider.name, None)
        else:
            self.faults[provider.name] = fault


@asynccontextmanager
async def open_survey(
    settings: Settings, store: LearnedStore, environ: Mapping[str, str]
) -> AsyncIterator[Survey]:
    """The providers of ``settings``, with what is kept of them.

    Args:
        environ: has ``HTTPS_PROXY`` and its like.

    Raises:
        ConfigError: a proxy or a certificate file can't be used.
    """
    ledger = Ledger(store)
    network, tables = ProviderNetwork(environ), ModelTables()
    roster = Roster(settings, network, None, Random(), ledger, layers=_NO_ACTORS, tables=tables)
    try:
        await roster.read_tables(settings)
        await ledger.recall(roster.providers)
        yield Survey(roster, ledger)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await roster.aclose()
