"""What was learned of providers and what they listed, kept over restarts.

Saving is worth little effort and never worth a failure: a gateway that can't keep what it learned
says so once and learns again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Final, Never, assert_never

import trio

from forebay.actors.kernel import Actor
from forebay.actors.providers.gate_memories import json_object
from forebay.actors.providers.listing_memories import recall_listing, remember_listing
from forebay.actors.providers.memories import recall, remember
from forebay.actors.providers.provider import Provider
from forebay.actors.stores import LearnedState, LearnedStore, StoreUnavailable
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_log = logging.getLogger("forebay.state")

_SAVE_EVERY: Final = 10.0
LONGEST_SAVE: Final = 2.0
"""Seconds that the last save may take, when everything else has ended."""
_OLDEST: Final = 7 * 86_400.0
"""Seconds after which what was learned is worth nothing."""
_LARGE: Final = 64 * 1024
_MANY: Final = 500
"""Models: more are read and written in a thread of their own, since everybody else would wait."""


class Ledger:
    """Reads and writes what the gateway's providers have learned."""

    def __init__(self, store: LearnedStore) -> None:
        self._store = store
        self.providers: Mapping[str, Provider] = {}
        """That are configured now."""
        self._grants: dict[str, int] = {}
        """At the last save."""
        self._listings: dict[str, Mapping[str, ListedModel]] = {}
        """That were saved last."""
        self._complained = False

    async def recall(self, providers: Mapping[str, Provider]) -> None:
        """Give providers what is known of them. Before any of them is used."""
        if not providers:
            return
        try:
            states = await self._store.load()
            listings = await self._store.load_listings()
        except StoreUnavailable as fault:
            self._complain(fault)
            return
        now, unix_now = trio.current_time(), time.time()
        for name, provider in providers.items():
            state, listing = states.get(name), listings.get(name)
            age = _age(state, unix_now)
            try:
                if state is not None and age <= _OLDEST:
                    self._recall(provider, loads_object(state.text), now - age)
                if listing is not None and _age(listing, unix_now) <= _OLDEST:
                    await self._recall_listing(provider, listing.text)
            except (InvalidJson, KeyError, TypeError, ValueError) as fault:
                _log.warning("provider %s: what was kept of it can't be read: %r", name, fault)

    def _recall(self, provider: Provider, memory: JsonObject, remembered_at: float) -> None:
        if memory["server"] == _server(provider):
            recall(provider, json_object(memory["learned"]), remembered_at)

    async def _recall_listing(self, provider: Provider, text: bytes) -> None:
        read = partial(recall_listing, _server(provider), text)
        models = read() if len(text) < _LARGE else await trio.to_thread.run_sync(read)
        if models:
            provider.recall_listing(models)

    async def save(self) -> None:
        """Keep what has changed since the last time."""
        try:
            await self._save_learned()
            await self.save_listings()
        except StoreUnavailable as fault:
            self._complain(fault)
        else:
            self._complained = False

    async def _save_learned(self) -> None:
        now, unix_now = trio.current_time(), time.time()
        grants = {name: provider.pool.grants for name, provider in self.providers.items()}
        states = {
            name: LearnedState(
                dumps({"server": _server(provider), "learned": remember(provider, now)}), unix_now
            )
            for name, provider in self.providers.items()
            if grants[name] != self._grants.get(name, 0)
        }
        if states:
            await self._store.save(states)
            self._grants |= grants

    async def save_listings(self) -> None:
        """Keep what providers have listed since the last time.

        Raises:
            StoreUnavailable: nothing was kept.
        """
        fresh = {
            name: (_server(provider), provider.listing.models)
            for name, provider in self.providers.items()
            if provider.listing.is_fresh and provider.listing.models is not self._listings.get(name)
        }
        if not fresh:
            return
        write = partial(_written, fresh, time.time())
        many = sum(len(models) for _, models in fresh.values()) > _MANY
        await self._store.save_listings(await trio.to_thread.run_sync(write) if many else write())
        self._listings |= {name: models for name, (_, models) in fresh.items()}

    def _complain(self, fault: StoreUnavailable) -> None:
        if not self._complained:
            _log.warning(
                "state.path: %s; what is learned of limits is lost when the gateway stops", fault
            )
            self._complained = True


def _age(state: LearnedState | None, unix_now: float) -> float:
    return 0.0 if state is None else max(0.0, unix_now - state.saved_at)


def _written(
    listings: Mapping[str, tuple[str, Mapping[str, ListedModel]]], unix_now: float
) -> dict[str, LearnedState]:
    return {
        name: LearnedState(remember_listing(server, models.values()), unix_now)
        for name, (server, models) in listings.items()
    }


def _server(provider: Provider) -> str:
    """Which server it is: what was learned of another one is worth nothing."""
    said = "\n".join((provider.profile.kind, *provider.hosts))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


class LedgerActor(Actor[Never]):
    """Saves now and then."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle(self, message: Never) -> Never:
        assert_never(message)

    async def run(self) -> None:
        while True:
            await trio.sleep(_SAVE_EVERY)
            await self._ledger.save()
