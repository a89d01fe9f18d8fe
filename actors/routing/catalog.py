"""From the name that a client asks for to the targets that can serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import trio

from forebay.actors.config import (
    ModelSettings,
    Settings,
    Strategy,
    UnknownModel,
    has_star,
    split_target,
    with_star,
)
from forebay.actors.jobs.job import Client
from forebay.actors.jobs.models import Model
from forebay.actors.jobs.operations import ContentT, Operation
from forebay.actors.providers.model_names import LATEST_TAG, spellings
from forebay.actors.providers.provider import Provider, Target
from forebay.actors.routing.auto_choice import AutoChoice
from forebay.actors.routing.auto_ranking import Wanted
from forebay.actors.routing.model_index import ModelIndex
from forebay.actors.routing.names import Meaning, Names
from forebay.actors.routing.starred_weights import StarredWeights
from forebay.actors.scheduling.preferences import Blended, Preference, Sticky, preference_for
from forebay.protocol.canonical.auto_names import AUTO, is_auto, needs_in
from forebay.protocol.canonical.errors import (
    ApiError,
    ApiFailure,
    ErrorKind,
    bad_request,
    model_not_found,
)
from forebay.protocol.canonical.needs import NO_NEEDS, Needs
from forebay.protocol.canonical.needs_grammar import NeedsUnreadable
from forebay.protocol.canonical.request_needs import PLAIN_CHAT
from forebay.protocol.canonical.requests import Dialect

_NO_DIALECT: Final = Dialect("")
_FIRST_LISTING_SECONDS = 5.0
_LONGEST_NAME = 512
"""As long as a configured target may be. Names that clients make up are kept for a while."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name stands for."""

    name: str
    """The configured model's name, which may have a star, or ``provider/model-id``."""
    model: Model
    targets: tuple[Target, ...]
    is_configured: bool
    asked: str = ""
    """The name, as the client wrote it."""
    dialect: Dialect = _NO_DIALECT
    """In which it was asked for."""
    needs: Needs = NO_NEEDS
    """What the name itself asks of a model."""

    @property
    def shown_name(self) -> str:
        """The name that clients are told: the one that they have asked for, where the model's own
        stands for many."""
        stands_for_many = self.is_any or (self.is_configured and has_star(self.name))
        return self.asked if stands_for_many and self.asked else self.name

    @property
    def is_any(self) -> bool:
        """Whichever model will do may serve."""
        return self.name == AUTO and not self.is_configured

    @property
    def is_sticky(self) -> bool:
        """It matters which conversation a job goes on with."""
        return self.model.is_sticky and len(self.targets) > 1


class Catalog:
    """All names: configured models, models that providers list, and targets named outright."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        *,
        before: Catalog | None = None,
    ) -> None:
        """
        Args:
            before: of the configuration until now. What has not changed is taken from it, so that
                jobs go on waiting where they are.
        """
        self._settings = settings
        self._providers = providers
        self._names = Names(settings)
        self.index = ModelIndex(settings, providers, self._names)
        self._choice = AutoChoice(settings, providers, self._names)
        self._auto_settings = {AUTO: settings.auto} | {
            _auto_of(name): settings.auto_for(name) for name in settings.clients_with_auto
        }
        self.autos: dict[str, Model] = {
            name: self._auto_model(name, before) for name in self._auto_settings
        }
        """Where jobs wait that whichever model may serve: those of clients with settings of their
        own for that apart."""
        self.models: dict[str, Model] = {
            name: self._model(name, before) for name in settings.models
        }
        self.outright: dict[str, Model] = {
            name: self._outright_model(name, before) for name in (*providers, *settings.groups)
        }
        """By provider or group: where jobs for targets wait that no configured model names."""

    @property
    def all_models(self) -> tuple[Model, ...]:
        """All places where jobs wait."""
        return (*self.models.values(), *self.outright.values(), *self.autos.values())

    def _model(self, name: str, before: Catalog | None) -> Model:
        settings = self._settings.models[name]
        old = None if before is None else before.models.get(name)
        if before is None or old is None:
            return Model(
                name,
                _preference(settings, self._settings.weights_of(name)),
                continues_broken=settings.continue_broken,
            )
        old_settings = before._settings.models[name]
        weights = self._settings.weights_of(name)
        same_preference = (settings.strategy, settings.is_sticky, weights) == (
            old_settings.strategy,
            old_settings.is_sticky,
            before._settings.weights_of(name),
        )
        targets = self._settings.targets_of(name)
        if (
            same_preference
            and settings.continue_broken == old_settings.continue_broken
            and targets == before._settings.targets_of(name)
            and self._serve_as_before(map(_provider_of, targets), before)
        ):
            return old
        return Model(
            name,
            old.preference if same_preference else _preference(settings, weights),
            continues_broken=settings.continue_broken,
        )

    def _outright_model(self, name: str, before: Catalog | None) -> Model:
        """Of a provider or a group."""
        members = self._settings.groups.get(name, (name,))
        old = None if before is None else before.outright.get(name)
        if (
            before is not None
            and old is not None
            and members == before._settings.groups.get(name, (name,))
            and self._serve_as_before(members, before)
        ):
            return old
        if name in self._settings.groups:
            return Model(f"{name}/*", preference_for(Strategy.BALANCED, sticky=True))
        return Model(f"{name}/*")

    def _auto_model(self, name: str, before: Catalog | None) -> Model:
        settings = self._auto_settings[name]
        old = None if before is None else before.autos.get(name)
        if (
            before is not None
            and old is not None
            and settings == before._auto_settings[name]
            and self._settings.models == before._settings.models
            and self._settings.clients == before._settings.clients
            and self._providers.keys() == before._providers.keys()
            and self._serve_as_before(self._providers, before)
        ):
            return old
        return Model(name, Sticky(Blended(settings.cost_bias, settings.prefer_local)))

    def _serve_as_before(self, providers: Iterable[str], before: Catalog) -> bool:
        return all(self._providers[name] is before._providers.get(name) for name in providers)

    async def resolve(
        self,
        name: str,
        dialect: Dialect,
        client: Client,
        operation: Operation[ContentT] | None = None,
        needs: Needs = NO_NEEDS,
    ) -> Resolution:
        """What ``name`` stands for when ``client`` asks for it in ``dialect``.

        Waits a moment for providers that were not asked yet what they list.

        Args:
            operation: what is asked of the model. None: it is not known; a chat, most likely.
            needs: what the client asks of a model, beyond what the operation needs by itself.

        Raises:
            ApiFailure: MODEL_NOT_FOUND, or FORBIDDEN for a model that the client may not use; and
                as of :meth:`AutoChoice.targets`.
        """
        meaning = self._meaning(name)
        if _asks_for_any(meaning):
            return await self._any(name, meaning.name, dialect, client, operation, needs)
        resolution = self._known(meaning)
        if resolution is None and self._maybe_listed(meaning.name):
            await self._first_listings()
            resolution = self._known(meaning)
        if resolution is None:
            for provider in self._providers.values():
                provider.listing.want()
            default = self._default_for(dialect)
            if default is not None:
                meaning = self._meaning(default)
                if _asks_for_any(meaning):
                    return await self._any(name, meaning.name, dialect, client, operation, needs)
                resolution = self._known(meaning)
        if resolution is None:
            raise model_not_found(name[:_LONGEST_NAME])
        # By what it leads to, so that neither an alias nor a default is a way around the list.
        if not client.may_use(meaning.name, resolution.name):
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.FORBIDDEN,
                    message=f"this key may not use model '{name}'",
                    param="model",
                )
            )
        return replace(resolution, asked=name, dialect=dialect)

    async def _any(
        self,
        asked: str,
        name: str,
        dialect: Dialect,
        client: Client,
        operation: Operation[ContentT] | None,
        needs: Needs,
    ) -> Resolution:
        """Whichever model will do: ``name`` says what it must be."""
        try:
            own_needs = needs_in(name)
        except NeedsUnreadable as fault:
            raise bad_request(f"model '{name}': {fault}", param="model") from None
        await self._first_listings()
        if operation is None:
            wanted = Wanted(PLAIN_CHAT.also(own_needs).also(needs))
        else:
            together = operation.needs.also(own_needs).also(needs)
            wanted = Wanted(together, operation.size, operation.longest_answer)
        own = _auto_of(client.name)
        place = own if own in self.autos else AUTO
        settings = self._auto_settings[place]
        targets = await self._choice.targets(name, client, settings, wanted, operation)
        return Resolution(
            AUTO,
            self.autos[place],
            targets,
            is_configured=False,
            asked=asked,
            dialect=dialect,
            needs=own_needs,
        )

    async def _first_listings(self) -> None:
        """Wait a moment until all providers were asked once."""
        if all(provider.listing.was_tried for provider in self._providers.values()):
            return
        with trio.move_on_after(_FIRST_LISTING_SECONDS):
            for provider in self._providers.values():
                await provider.listing.first_try()  # the mapping never changes

    def _maybe_listed(self, name: str) -> bool:
        return not any(self._is_outright(name, provider) for provider in self.outright)

    @staticmethod
    def _is_outright(name: str, provider: str) -> bool:
        return name.startswith(f"{provider}/")

    def _meaning(self, name: str) -> Meaning:
        return Meaning(name) if len(name) > _LONGEST_NAME else self._names.meaning(name)

    def _default_for(self, dialect: Dialect) -> str | None:
        defaults = self._settings.defaults
        if defaults.unknown_model is not UnknownModel.DEFAULT:
            return None
        return defaults.by_dialect().get(dialect)

    def _known(self, meaning: Meaning) -> Resolution | None:
        name = meaning.name
        if len(name) > _LONGEST_NAME:
            return None
        if meaning.model is not None:
            return self._configured(meaning.model, meaning.star)
        provider_name, _, model_id = name.partition("/")
        if provider_name in self._providers and model_id:
            provider = self._providers[provider_name]
            return self._outright(provider, _untagged(provider, model_id))
        if provider_name in self._settings.groups and model_id:
            return self._of_group(provider_name, model_id)
        candidates = spellings(name)
        for provider in self._providers.values():
            for candidate in candidates:
                if candidate in provider.listing.models:
                    return self._outright(provider, candidate)
        return None

    def _configured(self, name: str, star: str) -> Resolution:
        parted = map(split_target, self._settings.targets_of(name))
        if not has_star(name):
            targets = tuple(self._providers[each].target(model_id) for each, model_id in parted)
        else:
            starred = [(self._providers[each], with_star(id_, star)) for each, id_ in parted]
            targets = _maybe_there(starred)
        return Resolution(name, self.models[name], targets, is_configured=True)

    def _outright(self, provider: Provider, model_id: str) -> Resolution:
        target = provider.target(model_id)
        return Resolution(target.name, self.outright[provider.name], (target,), is_configured=False)

    def _of_group(self, group: str, model_id: str) -> Resolution:
        targets = _maybe_there(
            [(self._providers[name], model_id) for name in self._settings.groups[group]]
        )
        return Resolution(f"{group}/{model_id}", self.outright[group], targets, is_configured=False)


def _asks_for_any(meaning: Meaning) -> bool:
    return meaning.model is None and is_auto(meaning.name)


def _auto_of(client: str) -> str:
    """Where the jobs of a client with settings of its own wait."""
    return f"{AUTO} for {client}"


def _maybe_there(named: list[tuple[Provider, str]]) -> tuple[Target, ...]:
    """The models of these ids, without those that their providers are known not to list, if others
    may have them."""
    having = [
        (provider, model_id)
        for provider, model_id in named
        if not provider.listing.models or provider.listing.find(model_id) is not None
    ]
    return tuple(
        provider.target(_untagged(provider, model_id)) for provider, model_id in having or named
    )


def _provider_of(target: str) -> str:
    return split_target(target)[0]


def _preference(settings: ModelSettings, weights: Mapping[str, float]) -> Preference:
    if any(map(has_star, weights)):
        weights = StarredWeights(weights)
    return preference_for(settings.strategy, weights=weights, sticky=settings.is_sticky)


def _untagged(provider: Provider, model_id: str) -> str:
    """Without the tag that Ollama's clients are shown, where it is not the model's own."""
    listed = provider.listing.models
    plain = model_id.removesuffix(LATEST_TAG)
    return plain if model_id not in listed and plain in listed else model_id
