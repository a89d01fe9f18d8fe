"""All names that clients may ask for, and what is known of each. Made once for every state of the
providers' listings, since there may be thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from forebay.actors.config import Settings, split_target
from forebay.actors.gateway.jobs import Client
from forebay.actors.gateway.model_names import spellings
from forebay.actors.gateway.provider import Provider
from forebay.protocol.canonical.model_facts import ModelFacts, any_of

OWN: Final = "forebay"
"""Whose the configured models are."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One name that clients may ask for."""

    id: str
    owned_by: str
    facts: ModelFacts = field(default_factory=ModelFacts)
    """What can be counted on, whichever of the targets serves."""
    targets: tuple[str, ...] = ()
    """``provider/model-id`` of each, as far as they are known."""


class ModelIndex:
    """The names of one configuration."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider]) -> None:
        self._settings = settings
        self._providers = providers
        self._made_of: tuple[int, ...] | None = None
        self._entries: tuple[CatalogEntry, ...] = ()

    def entries(self, client: Client) -> tuple[CatalogEntry, ...]:
        """What ``client`` may ask for: configured models first, then what providers list. Of a
        client that may ask for all, the same object as long as nothing has changed."""
        made_of = tuple(provider.facts_version for provider in self._providers.values())
        if made_of != self._made_of:
            self._entries = self._all()
            self._made_of = made_of
        if client.models is None:
            return self._entries
        return tuple(entry for entry in self._entries if entry.id in client.models)

    def find(self, name: str, client: Client) -> CatalogEntry | None:
        """The entry of a name, as ``client`` may write it; None where nothing has that name, or
        its provider is known not to list it."""
        found = self._named(name)
        if found is None:
            return None
        if client.models is not None and client.models.isdisjoint((name, found.id)):
            return None
        return replace(found, id=name)

    def _all(self) -> tuple[CatalogEntry, ...]:
        entries = {name: self._configured(name) for name in self._settings.models}
        for provider in self._providers.values():
            for model_id in _models_of(provider):
                entry = _of_provider(provider, model_id)
                entries[entry.id] = entry
        for group, members in self._settings.groups.items():
            having: dict[str, list[Provider]] = {}
            for member in members:
                provider = self._providers[member]
                for model_id in _models_of(provider):
                    having.setdefault(model_id, []).append(provider)
            for model_id, able in having.items():
                entry = _of_group(group, model_id, able)
                entries[entry.id] = entry
        return tuple(entries.values())

    def _named(self, name: str) -> CatalogEntry | None:
        for candidate in spellings(name):
            if candidate in self._settings.models:
                return self._configured(candidate)
        provider_name, _, model_id = name.partition("/")
        provider = self._providers.get(provider_name)
        if provider is not None and model_id and _may_have(provider, model_id):
            return _of_provider(provider, model_id)
        members = self._settings.groups.get(provider_name, ())
        if members and model_id:
            able = [self._providers[member] for member in members]
            able = [provider for provider in able if _may_have(provider, model_id)]
            if able:
                return _of_group(provider_name, model_id, able)
        for provider in self._providers.values():
            listed = provider.listing.find(name)
            if listed is not None:
                return _of_provider(provider, listed.id)
        return None

    def _configured(self, name: str) -> CatalogEntry:
        targets = self._settings.targets_of(name)
        parted = map(split_target, targets)
        facts = any_of(self._providers[each].facts_of(model_id) for each, model_id in parted)
        return CatalogEntry(name, OWN, facts, targets)


def _of_provider(provider: Provider, model_id: str) -> CatalogEntry:
    name = f"{provider.name}/{model_id}"
    return CatalogEntry(name, provider.name, provider.facts_of(model_id), (name,))


def _of_group(group: str, model_id: str, able: list[Provider]) -> CatalogEntry:
    facts = any_of(provider.facts_of(model_id) for provider in able)
    targets = tuple(f"{provider.name}/{model_id}" for provider in able)
    return CatalogEntry(f"{group}/{model_id}", group, facts, targets)


def _models_of(provider: Provider) -> Mapping[str, object]:
    """What it lists; where it lists nothing, what is configured of it."""
    return provider.listing.models or provider.settings.targets


def _may_have(provider: Provider, model_id: str) -> bool:
    return not provider.listing.models or provider.listing.find(model_id) is not None
