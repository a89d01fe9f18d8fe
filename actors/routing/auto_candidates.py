"""Whatever may serve who asks for the model ``auto``: the targets of configured models, and the
models that providers list. Made once for every state of the listings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import trio

from forebay.actors.config import Settings, Wildcard, has_star, split_target, with_star
from forebay.actors.jobs.job import Client
from forebay.actors.providers.provider import Provider, Target
from forebay.actors.routing.names import Names
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts

_AT_A_TIME: Final = 250
"""Models, before others have a turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One model at one provider."""

    provider: Provider
    model_id: str
    facts: ModelFacts
    models: tuple[str, ...]
    """The configured models that it is a target of, by the names that clients use."""
    chats_for_sure: bool
    """Nobody has to say that it chats: it serves a configured model, or its provider says it of no
    model at all."""
    goes_by_id: bool
    """Clients may ask for it by its own id: no other provider before lists one of that id."""

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model_id}"

    def target(self) -> Target:
        return self.provider.target(self.model_id)

    @property
    def is_out(self) -> bool:
        """It can't serve for now. To ask does not take it up among its provider's targets."""
        target = self.provider.targets.get(self.model_id)
        return self.provider.out is not None if target is None else target.is_out


class Candidates:
    """All of one configuration."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider], names: Names) -> None:
        self._settings = settings
        self._providers = providers
        self._names = names
        self._outright = frozenset((*settings.providers, *settings.groups))
        self._made_of: tuple[int, ...] | None = None
        self._all: tuple[Candidate, ...] = ()
        self._written: dict[str, list[str]] = {}
        self._starred: dict[str, list[tuple[Wildcard, str]]] = {}
        """By provider: the ids that models with a star in their names have there."""
        for name in settings.models:
            for target in settings.targets_of(name):
                provider, model_id = split_target(target)
                if has_star(model_id):
                    pattern = (Wildcard.of(model_id), name)
                    self._starred.setdefault(provider, []).append(pattern)
                elif not has_star(name):
                    self._written.setdefault(target, []).append(name)

    async def all(self) -> tuple[Candidate, ...]:
        """As of now, configured ones first; the same object as long as nothing has changed. Models
        that their providers take away, or have taken away, are none of them."""
        made_of = tuple(provider.facts_version for provider in self._providers.values())
        if made_of != self._made_of:
            self._all = tuple(await self._find())
            self._made_of = made_of
        return self._all

    def may_use(self, client: Client, candidate: Candidate) -> bool:
        """Whether ``client`` might ask for it by one of its names."""
        if client.may_use(*candidate.models, candidate.name):
            return True
        return (
            candidate.goes_by_id
            and client.may_use(candidate.model_id)
            and self._names.meaning(candidate.model_id).model is None
        )

    async def _find(self) -> list[Candidate]:
        found: list[Candidate] = []
        taken: set[str] = set()
        for provider in self._providers.values():
            known = await self._known_of(provider)
            tells = any(facts.can(Capability.CHAT) is not None for facts in known.values())
            for model_id, facts in known.items():
                goes_by_id = (
                    model_id in provider.listing.models
                    and model_id not in taken
                    and model_id.partition("/")[0] not in self._outright
                )
                taken.add(model_id)
                models = self._models_of(provider.name, model_id)
                if _stays(facts):
                    chats = bool(models) or not tells
                    found.append(Candidate(provider, model_id, facts, models, chats, goes_by_id))
                if not len(taken) % _AT_A_TIME:
                    await trio.lowlevel.checkpoint()
        return sorted(found, key=lambda each: not each.models)

    async def _known_of(self, provider: Provider) -> dict[str, ModelFacts]:
        """What is known of each of its models. Thousands of them take a while."""
        begins = f"{provider.name}/"
        written = [split_target(name)[1] for name in self._written if name.startswith(begins)]
        listed = provider.listing.models or provider.settings.targets
        known: dict[str, ModelFacts] = {}
        for model_id in dict.fromkeys((*written, *listed)):
            known[model_id] = provider.facts_of(model_id)
            if not len(known) % _AT_A_TIME:
                await trio.lowlevel.checkpoint()
        return known

    def _models_of(self, provider: str, model_id: str) -> tuple[str, ...]:
        starred = (
            with_star(name, star)
            for wildcard, name in self._starred.get(provider, ())
            if (star := wildcard.star_in(model_id)) is not None
        )
        return (*self._written.get(f"{provider}/{model_id}", ()), *starred)


def _stays(facts: ModelFacts) -> bool:
    if facts.deprecated is not None:
        return not facts.deprecated
    return facts.retires is None
