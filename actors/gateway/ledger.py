"""What was learned of providers, kept over restarts.

Saving is worth little effort and never worth a failure: a gateway that can't keep what it learned
says so once and learns again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Final, Never, assert_never

import trio

from forebay.actors.gateway.gate_memories import json_object
from forebay.actors.gateway.memories import recall, remember
from forebay.actors.gateway.provider import Provider
from forebay.actors.kernel import Actor
from forebay.actors.stores import LearnedState, LearnedStore, StoreUnavailable
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_log = logging.getLogger("forebay.state")

_SAVE_EVERY: Final = 10.0
LONGEST_SAVE: Final = 2.0
"""Seconds that the last save may take, when everything else has ended."""
_OLDEST: Final = 7 * 86_400.0
"""Seconds after which what was learned is worth nothing."""


class Ledger:
    """Reads and writes what the gateway's providers have learned."""

    def __init__(self, store: LearnedStore) -> None:
        self._store = store
        self.providers: Mapping[str, Provider] = {}
        """That are configured now."""
        self._grants: dict[str, int] = {}
        """At the last save."""
        self._complained = False

    async def recall(self, providers: Mapping[str, Provider]) -> None:
        """Give providers what is known of them. Before any of them is used."""
        if not providers:
            return
        try:
            states = await self._store.load()
        except StoreUnavailable as fault:
            self._complain(fault)
            return
        now, unix_now = trio.current_time(), time.time()
        for name, provider in providers.items():
            state = states.get(name)
            if state is None:
                continue
            age = max(0.0, unix_now - state.saved_at)
            if age > _OLDEST:
                continue
            try:
                self._recall(provider, loads_object(state.text), now - age)
            except (InvalidJson, KeyError) as fault:
                _log.warning("provider %s: what was kept of it can't be read: %r", name, fault)

    def _recall(self, provider: Provider, memory: JsonObject, remembered_at: float) -> None:
        if memory["server"] == _server(provider):
            recall(provider, json_object(memory["learned"]), remembered_at)

    async def save(self) -> None:
        """Keep what has changed since the last time."""
        now, unix_now = trio.current_time(), time.time()
        grants = {name: provider.pool.grants for name, provider in self.providers.items()}
        states = {
            name: LearnedState(
                dumps({"server": _server(provider), "learned": remember(provider, now)}), unix_now
            )
            for name, provider in self.providers.items()
            if grants[name] != self._grants.get(name, 0)
        }
        if not states:
            return
        try:
            await self._store.save(states)
        except StoreUnavailable as fault:
            self._complain(fault)
        else:
            self._grants |= grants
            self._complained = False

    def _complain(self, fault: StoreUnavailable) -> None:
        if not self._complained:
            _log.warning(
                "state.path: %s; what is learned of limits is lost when the gateway stops", fault
            )
            self._complained = True


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
