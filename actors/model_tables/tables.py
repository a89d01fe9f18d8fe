"""All tables, read once, in a thread: that takes a quarter of a second, and some 30 MB."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

import trio

from forebay.actors.model_tables.capabilities import CapabilityTables
from forebay.actors.model_tables.prices import PriceTables
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.providers.base import KnownAs

_log = logging.getLogger("forebay.models")

_MOST_KEPT: Final = 32_768
_NOTHING: Final = ModelFacts()

TablesT = TypeVar("TablesT")


class _Read(NamedTuple):
    prices: PriceTables | None
    capabilities: CapabilityTables | None


class ModelTables:
    """Empty until they are read."""

    def __init__(self) -> None:
        self._read: _Read | None = None
        self._one_at_a_time = trio.CapacityLimiter(1)

    @property
    def is_read(self) -> bool:
        return self._read is not None

    async def read(self) -> None:
        """Read them, if that was not done before. Tables that can't be read stay empty."""
        if self._read is None:
            read = await trio.to_thread.run_sync(_read, limiter=self._one_at_a_time)
            self._read = self._read or read

    def of(self, known_as: KnownAs | None, url: str) -> ProviderTable:
        """What is said of the models of one provider.

        Args:
            known_as: None: it is known by its address, if at all.
            url: where it is.
        """
        if self._read is None:
            return ProviderTable(())
        prices, capabilities = self._read
        if known_as is None:
            name = None if prices is None else prices.name_at(url)
            known_as = KnownAs(
                prices=name or "",
                capabilities=(capabilities and capabilities.name_at(url)) or name or "",
            )
        found = [
            None if prices is None else prices.of(known_as.prices),
            None if capabilities is None else capabilities.of(known_as.capabilities),
        ]
        return ProviderTable([each for each in found if each is not None])


class ProviderTable:
    """What the tables say of one provider's models."""

    def __init__(self, lookups: Iterable[Callable[[str], ModelFacts]]) -> None:
        """
        Args:
            lookups: the best one first.
        """
        self._lookups = tuple(lookups)
        self._kept: dict[str, ModelFacts] = {}

    @property
    def is_empty(self) -> bool:
        return not self._lookups

    def facts(self, model_id: str) -> ModelFacts:
        """What is said of one model. Takes a quarter of a millisecond the first time."""
        if not self._lookups:
            return _NOTHING
        facts = self._kept.get(model_id)
        if facts is None:
            facts = self._found(model_id)
            if len(self._kept) >= _MOST_KEPT:
                self._kept = {}
            self._kept[model_id] = facts
        return facts

    def missing(self, model_ids: Iterable[str]) -> list[str]:
        """Those that were not looked up yet."""
        return [each for each in model_ids if each not in self._kept] if self._lookups else []

    def _found(self, model_id: str) -> ModelFacts:
        found = _NOTHING
        for look_up in self._lookups:
            try:
                lower = look_up(model_id)
            except Exception as fault:  # another version of a package may have other shapes
                _log.warning("what is known of model %s can't be read: %r", model_id, fault)
                continue
            # A table that is behind says too little: a model that takes more is no trouble.
            longest = max(found.context_tokens or 0, lower.context_tokens or 0) or None
            found = replace(found.over(lower), context_tokens=longest)
        return found


def _read() -> _Read:
    return _Read(_tried("prices", PriceTables), _tried("capabilities", CapabilityTables))


def _tried(what: str, make: Callable[[], TablesT]) -> TablesT | None:
    try:
        return make()
    except Exception as fault:  # a package that is broken must not end a gateway
        _log.warning("the tables of %s can't be read: %r", what, fault)
        return None
