"""All names that clients may ask for, and what is known of each. Made once for every state of the
providers' listings, since there may be thousands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from forebay.actors.config import (
    EXPRESSION_MARK,
    Settings,
    Wildcard,
    has_star,
    split_target,
    with_star,
)
from forebay.actors.jobs.job import Client
from forebay.actors.providers.provider import Provider
from forebay.actors.routing.names import Meaning, Names
from forebay.protocol.canonical.auto_names import is_auto, is_readable
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

    def __init__(self, settings: Settings, providers: Mapping[str, Provider], names: Names) -> None:
        self._settings = settings
        self._names = names
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
        return tuple(self._shown(client))

    def find(self, name: str, client: Client) -> CatalogEntry | None:
        """The entry of a name, as ``client`` may write it; None where nothing has that name, or
        its provider is known not to list it."""
        meaning = self._names.meaning(name)
        found = self._meant(meaning)
        if found is None or not (_is_any(meaning) or client.may_use(meaning.name, found.id)):
            return None
        return replace(found, id=name)

    def _shown(self, client: Client) -> Iterator[CatalogEntry]:
        """What a client may ask for that may not ask for all: by the names that it may use."""
        listed = client.models
        assert listed is not None
        for entry in self._entries:
            name = self._settings.aliases.get(entry.id, entry.id)
            leads_to_any = name != entry.id and _is_any(self._names.meaning(name))
            if listed.holds(name) or leads_to_any:
                yield entry
                continue
            # A model that a provider lists goes by its own id, too, if no other does.
            bare = entry.id.partition("/")[2]
            if entry.owned_by in self._providers and listed.holds(bare):
                meant = self._meant(self._names.meaning(bare))
                if meant is not None and meant.id == entry.id:
                    yield replace(entry, id=bare)

    def _all(self) -> tuple[CatalogEntry, ...]:
        entries: dict[str, CatalogEntry] = {}
        for name in self._settings.models:
            for entry in self._starred(name) if has_star(name) else (self._configured(name),):
                entries.setdefault(entry.id, entry)
        for alias in self._settings.aliases:
            if not has_star(alias) and not alias.startswith(EXPRESSION_MARK):
                entries[alias] = self._alias(alias)
        for provider in self._providers.values():
            for model_id in _models_of(provider):
                entry = _of_provider(provider, model_id)
                entries.setdefault(entry.id, entry)
        for group, members in self._settings.groups.items():
            having: dict[str, list[Provider]] = {}
            for member in members:
                provider = self._providers[member]
                for model_id in _models_of(provider):
                    having.setdefault(model_id, []).append(provider)
            for model_id, able in having.items():
                entry = _of_group(group, model_id, able)
                entries.setdefault(entry.id, entry)
        return tuple(entries.values())

    def _meant(self, meaning: Meaning) -> CatalogEntry | None:
        if meaning.model is not None:
            entry = self._configured(meaning.model, meaning.star)
            return replace(entry, id=meaning.name) if meaning.star else entry
        name = meaning.name
        if _is_any(meaning):
            return CatalogEntry(name, OWN) if is_readable(name) else None
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

    def _alias(self, alias: str) -> CatalogEntry:
        found = self._meant(self._names.meaning(alias))
        return CatalogEntry(alias, OWN) if found is None else replace(found, id=alias)

    def _starred(self, name: str) -> Iterator[CatalogEntry]:
        """What a model with a star in its name may be asked for, as its providers list it."""
        for target in self._settings.targets_of(name):
            provider_name, model_id = split_target(target)
            if not has_star(model_id):
                continue
            wildcard = Wildcard.of(model_id)
            for listed in _models_of(self._providers[provider_name]):
                star = wildcard.star_in(listed)
                if star is not None:
                    yield replace(self._configured(name, star), id=with_star(name, star))

    def _configured(self, name: str, star: str = "") -> CatalogEntry:
        targets = tuple(with_star(each, star) for each in self._settings.targets_of(name))
        parted = map(split_target, targets)
        facts = any_of(self._providers[each].facts_of(model_id) for each, model_id in parted)
        return CatalogEntry(name, OWN, facts, targets)


def _is_any(meaning: Meaning) -> bool:
    """Whether it asks for whichever model will do, of those that the client may use."""
    return meaning.model is None and is_auto(meaning.name)


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
