"""What a provider's models can do, cost and allow: the configuration over the provider's own
listing over what is known of its kind.

Asked for every request and every target, so what was found is kept until a source changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from forebay.actors.config import ProviderSettings
from forebay.actors.gateway.accounts import hosts_of, is_near
from forebay.actors.gateway.listing import Listing
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts, listed_facts
from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.providers.base import ProviderProfile

_MOST_KEPT: Final = 32_768
"""Models. Clients may make up names, which would be kept, too."""
_CONTINUES: Final = frozenset({Capability.PREFIX_CONTINUATION})


class KnownFacts:
    """Of the models of one provider."""

    def __init__(
        self, profile: ProviderProfile, settings: ProviderSettings, listing: Listing
    ) -> None:
        self._profile = profile
        self._listing = listing
        self._settings = settings
        self._is_near = is_near(settings)
        self._of_listing = listing.models
        self._kept: dict[str, ModelFacts] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """Another one whenever something may be known otherwise."""
        self._catch_up()
        return self._version

    def change(self, settings: ProviderSettings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self._is_near = is_near(settings)
        self._forget()

    def _catch_up(self) -> None:
        if self._of_listing is not self._listing.models:
            self._of_listing = self._listing.models
            self._forget()

    def _forget(self) -> None:
        self._kept = {}
        self._version += 1

    def of(self, model_id: str) -> ModelFacts:
        """What is known of a model, whether or not the provider has it."""
        self._catch_up()
        facts = self._kept.get(model_id)
        if facts is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept = {}
            facts = self._kept[model_id] = self._found(model_id)
        return facts

    def traits_of(self, model_id: str) -> UpstreamTraits:
        """What there is to know of the server when it is asked for this model."""
        traits = self._profile.traits_of(model_id)
        prefill = self._settings.prefill
        if prefill is None and self._profile.prefill_of is not None:
            listed = self._listing.find(model_id)
            host = hosts_of(self._settings)[0]
            prefill = self._profile.prefill_of(host, "" if listed is None else listed.owner)
        if prefill is None or prefill is traits.prefill:
            return traits
        return replace(traits, prefill=prefill)

    def _found(self, model_id: str) -> ModelFacts:
        listed = self._listing.find(model_id)
        facts = self._of_kind(model_id)
        if listed is not None:
            facts = listed_facts(listed).over(facts)
        return self._configured(model_id).over(facts)

    def _configured(self, model_id: str) -> ModelFacts:
        settings = self._settings.targets.get(model_id)
        if settings is None:
            return ModelFacts()
        price = settings.price
        return ModelFacts(
            capabilities=frozenset(settings.capabilities),
            lacks=frozenset(settings.lacks),
            context_tokens=settings.context_tokens,
            max_output_tokens=settings.max_output_tokens,
            price_input=None if price is None else price.input,
            price_output=None if price is None else price.output,
            deprecated=settings.deprecated,
        )

    def _of_kind(self, model_id: str) -> ModelFacts:
        continues = self.traits_of(model_id).prefill is not Prefill.NONE
        return ModelFacts(
            capabilities=_CONTINUES if continues else frozenset(),
            lacks=frozenset() if continues else _CONTINUES,
            is_local=self._is_local_at(model_id),
        )

    def _is_local_at(self, model_id: str) -> bool:
        if self._settings.local is not None:
            return self._settings.local
        return self._is_near and not self._profile.is_passed_on(model_id)
