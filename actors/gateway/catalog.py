"""From the name that a client asks for to the targets that can serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import trio

from forebay.actors.config import Settings, UnknownModel, split_target
from forebay.actors.gateway.jobs import Client
from forebay.actors.gateway.models import Model
from forebay.actors.gateway.provider import Provider, Target
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.listings import ListedModel

_FIRST_LISTING_SECONDS = 5.0
_LATEST_TAG = ":latest"
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


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One name that clients may ask for."""

    id: str
    owned_by: str
    context_length: int | None = None
    """Tokens, as the providers list it; of several targets the least. None: nobody says."""


class Catalog:
    """All names: configured models, models that providers list, and targets named outright."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider]) -> None:
        self._settings = settings
        self._providers = providers
        self.models: dict[str, Model] = {
            name: Model(name, model.strategy) for name, model in settings.models.items()
        }
        self.outright: dict[str, Model] = {name: Model(f"{name}/*") for name in providers}
        """By provider: where jobs for targets wait that no configured model names."""

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
                    await provider.listing.first_try()
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
        return resolution

    def _maybe_listed(self, name: str) -> bool:
        return not any(self._is_outright(name, provider) for provider in self._providers)

    @staticmethod
    def _is_outright(name: str, provider: str) -> bool:
        return name.startswith(f"{provider}/")

    def _known(self, name: str) -> Resolution | None:
        if len(name) > _LONGEST_NAME:
            return None
        for candidate in spellings(name):
            if candidate in self.models:
                targets = tuple(
                    self._target(target) for target in self._settings.models[candidate].targets
                )
                return Resolution(candidate, self.models[candidate], targets, is_configured=True)
        provider_name, _, model_id = name.partition("/")
        if provider_name in self._providers and model_id:
            return self._outright(self._providers[provider_name], model_id)
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

    def entries(self, client: Client) -> list[CatalogEntry]:
        """What ``client`` may ask for: configured models first, then what providers list."""
        entries = {name: self._configured(name) for name in self.models}
        for provider in self._providers.values():
            for model_id, listed in provider.listing.models.items():
                full = f"{provider.name}/{model_id}"
                entries[full] = CatalogEntry(full, provider.name, listed.context_length)
        if client.models is not None:
            entries = {name: entry for name, entry in entries.items() if name in client.models}
        return list(entries.values())

    def find(self, name: str, client: Client) -> CatalogEntry | None:
        """The entry of a name, as ``client`` may write it; None where nothing has that name, or
        its provider is known not to list it."""
        found = self._named(name)
        if found is None:
            return None
        if client.models is not None and client.models.isdisjoint((name, found.id)):
            return None
        return replace(found, id=name)

    def _named(self, name: str) -> CatalogEntry | None:
        for candidate in spellings(name):
            if candidate in self.models:
                return self._configured(candidate)
        provider_name, _, model_id = name.partition("/")
        provider = self._providers.get(provider_name)
        if provider is not None and model_id:
            listed = _listed(provider, model_id)
            if listed is not None or not provider.listing.models:
                length = None if listed is None else listed.context_length
                return CatalogEntry(name, provider_name, length)
        for provider in self._providers.values():
            listed = _listed(provider, name)
            if listed is not None:
                full = f"{provider.name}/{listed.id}"
                return CatalogEntry(full, provider.name, listed.context_length)
        return None

    def _configured(self, name: str) -> CatalogEntry:
        """Of a configured model: a prompt must fit into whichever target serves it."""
        targets = map(split_target, self._settings.models[name].targets)
        listed = (_listed(self._providers[provider], model_id) for provider, model_id in targets)
        lengths = [
            model.context_length
            for model in listed
            if model is not None and model.context_length is not None
        ]
        return CatalogEntry(name, "forebay", min(lengths, default=None))


def _listed(provider: Provider, model_id: str) -> ListedModel | None:
    """A model of a provider's listing, however its name is spelt."""
    for spelling in spellings(model_id):
        if spelling in provider.listing.models:
            return provider.listing.models[spelling]
    return None


def spellings(name: str) -> tuple[str, ...]:
    """How a name may be written: Ollama's clients write a missing tag as ``:latest``, and the other
    way round."""
    if name.endswith(_LATEST_TAG):
        return name, name.removesuffix(_LATEST_TAG)
    return name, name + _LATEST_TAG
