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
    split_target,
)
from forebay.actors.gateway.jobs import Client
from forebay.actors.gateway.model_index import ModelIndex
from forebay.actors.gateway.model_names import LATEST_TAG, spellings
from forebay.actors.gateway.models import Model
from forebay.actors.gateway.provider import Provider, Target
from forebay.actors.scheduling.preferences import Preference, preference_for
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import Dialect

_NO_DIALECT: Final = Dialect("")
_FIRST_LISTING_SECONDS = 5.0
_LONGEST_NAME = 512
"""As long as a configured target may be. Names that clients make up are kept for a while."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name stands for."""

    name: str
    """The configured model's name, or ``provider/model-id``."""
    model: Model
    targets: tuple[Target, ...]
    is_configured: bool
    asked: str = ""
    """The name, as the client wrote it."""
    dialect: Dialect = _NO_DIALECT
    """In which it was asked for."""

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
        self.index = ModelIndex(settings, providers)
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
        return (*self.models.values(), *self.outright.values())

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

    def _serve_as_before(self, providers: Iterable[str], before: Catalog) -> bool:
        return all(self._providers[name] is before._providers.get(name) for name in providers)

    async def resolve(self, name: str, dialect: Dialect, client: Client) -> Resolution:
        """What ``name`` stands for when ``client`` asks for it in ``dialect``.

        Waits a moment for providers that were not asked yet what they list.

        Raises:
            ApiFailure: MODEL_NOT_FOUND, or FORBIDDEN for a model that the client may not use.
        """
        resolution = self._known(name)
        if resolution is None and self._maybe_listed(name):
            with trio.move_on_after(_FIRST_LISTING_SECONDS):
                for provider in self._providers.values():
                    await provider.listing.first_try()  # the mapping never changes
            resolution = self._known(name)
        if resolution is None:
            for provider in self._providers.values():
                provider.listing.want()
            if self._settings.defaults.unknown_model is UnknownModel.DEFAULT:
                default = self._settings.defaults.by_dialect().get(dialect)
                resolution = None if default is None else self._known(default)
        if resolution is None:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.MODEL_NOT_FOUND,
                    message=f"model '{name[:_LONGEST_NAME]}' not found",
                    param="model",
                    code="model_not_found",
                )
            )
        if client.models is not None and client.models.isdisjoint((name, resolution.name)):
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.FORBIDDEN,
                    message=f"this key may not use model '{name}'",
                    param="model",
                )
            )
        return replace(resolution, asked=name, dialect=dialect)

    def _maybe_listed(self, name: str) -> bool:
        return not any(self._is_outright(name, provider) for provider in self.outright)

    @staticmethod
    def _is_outright(name: str, provider: str) -> bool:
        return name.startswith(f"{provider}/")

    def _known(self, name: str) -> Resolution | None:
        if len(name) > _LONGEST_NAME:
            return None
        for candidate in spellings(name):
            if candidate in self.models:
                targets = tuple(map(self._target, self._settings.targets_of(candidate)))
                return Resolution(candidate, self.models[candidate], targets, is_configured=True)
        provider_name, _, model_id = name.partition("/")
        if provider_name in self._providers and model_id:
            provider = self._providers[provider_name]
            return self._outright(provider, _untagged(provider, model_id))
        if provider_name in self._settings.groups and model_id:
            return self._of_group(provider_name, model_id)
        for provider in self._providers.values():
            for candidate in spellings(name):
                if candidate in provider.listing.models:
                    return self._outright(provider, candidate)
        return None

    def _target(self, name: str) -> Target:
        provider, model_id = split_target(name)
        return self._providers[provider].target(model_id)

    def _outright(self, provider: Provider, model_id: str) -> Resolution:
        target = provider.target(model_id)
        return Resolution(target.name, self.outright[provider.name], (target,), is_configured=False)

    def _of_group(self, group: str, model_id: str) -> Resolution:
        """The model at all providers of the group, without those that are known not to list it,
        if others may have it."""
        members = [self._providers[name] for name in self._settings.groups[group]]
        able = [
            provider
            for provider in members
            if not provider.listing.models or provider.listing.find(model_id) is not None
        ]
        if not able:
            able = members
        targets = tuple(provider.target(_untagged(provider, model_id)) for provider in able)
        return Resolution(f"{group}/{model_id}", self.outright[group], targets, is_configured=False)


def _provider_of(target: str) -> str:
    return split_target(target)[0]


def _preference(settings: ModelSettings, weights: Mapping[str, float]) -> Preference:
    return preference_for(settings.strategy, weights=weights, sticky=settings.is_sticky)


def _untagged(provider: Provider, model_id: str) -> str:
    """Without the tag that Ollama's clients are shown, where it is not the model's own."""
    listed = provider.listing.models
    plain = model_id.removesuffix(LATEST_TAG)
    return plain if model_id not in listed and plain in listed else model_id
