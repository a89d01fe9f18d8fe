"""What a provider's models can do, cost and allow: the configuration over the provider's own
listing over public tables over what is known of its kind.

Asked for every request and every target, so what was found is kept until a source changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

import trio

from forebay.actors.config import ProviderSettings, TargetSettings
from forebay.actors.model_tables import ModelTables, ProviderTable
from forebay.actors.providers.accounts import hosts_of, is_near
from forebay.actors.providers.listing import Listing
from forebay.actors.providers.manners import Manner, manner
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.model_facts import ModelFacts, listed_facts
from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.providers.base import ProviderProfile

_MOST_KEPT: Final = 32_768
"""Models. Clients may make up names, which would be kept, too."""
_MANY: Final = 50
"""Models, which take a hundredth of a second."""
_READS_OR_WRITES: Final = frozenset(
    {
        Capability.CHAT,
        Capability.COMPLETION,
        Capability.EMBEDDING,
        Capability.VISION,
        Capability.AUDIO,
    }
)
_CONTINUES: Final = frozenset({Capability.PREFIX_CONTINUATION})
_OF_KINDS: Final = {
    (continues, is_local): ModelFacts(
        capabilities=_CONTINUES if continues else frozenset(),
        lacks=frozenset() if continues else _CONTINUES,
        is_local=is_local,
    )
    for continues in (True, False)
    for is_local in (True, False)
}


class KnownFacts:
    """Of the models of one provider."""

    def __init__(
        self,
        profile: ProviderProfile,
        settings: ProviderSettings,
        listing: Listing,
        tables: ModelTables,
    ) -> None:
        self._profile = profile
        self._tables = tables
        self._table: ProviderTable | None = None
        """None: the tables were not read yet."""
        self._listing = listing
        self._settings = settings
        self._is_near = is_near(settings)
        self._of_listing = listing.models
        self._kept: dict[str, ModelFacts] = {}
        self._prefills: dict[str, Prefill] = {}
        self._manners: dict[str, Manner] = {}
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
        self._table = None
        self._forget()

    async def prepare(self, models: Iterable[ListedModel]) -> None:
        """Look up what the tables say of models that will be listed: of thousands that takes
        seconds, in which everybody else must not wait."""
        self._catch_up()
        table = self._table
        missing = [] if table is None else table.missing(model.id for model in models)
        if table is not None and len(missing) > _MANY:
            await trio.to_thread.run_sync(partial(_look_up, table, missing), abandon_on_cancel=True)

    def _catch_up(self) -> None:
        if self._table is None and self._tables.is_read:
            url = hosts_of(self._settings)[0]
            self._table = self._tables.of(self._profile.known_as, url)
            self._forget()
        if self._of_listing is not self._listing.models:
            self._of_listing = self._listing.models
            self._forget()

    def _forget(self) -> None:
        self._kept = {}
        self._prefills = {}
        self._manners = {}
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

    def manner_of(self, model_id: str) -> Manner:
        """How a model is asked, and what there is to know of the server then. Kept, too."""
        self._catch_up()
        known = self._manners.get(model_id)
        if known is None:
            if len(self._manners) >= _MOST_KEPT:
                self._manners = {}
            profile = self._profile
            known = self._manners[model_id] = manner(
                profile,
                self._found_traits(model_id),
                completes_text=profile.completes_text(model_id),
            )
        return known

    def _found_traits(self, model_id: str) -> UpstreamTraits:
        traits = self._profile.traits_of(model_id)
        prefill = self._settings.prefill
        if prefill is None and self._profile.prefill_of is not None:
            listed = self._listing.find(model_id)
            prefill = self._prefill_by_owner("" if listed is None else listed.owner)
        return _with_prefill(traits, traits.prefill if prefill is None else prefill)

    def _prefill_by_owner(self, owner: str) -> Prefill | None:
        """Kept: a listing has thousands of models, and few owners."""
        if owner not in self._prefills and self._profile.prefill_of is not None:
            host = hosts_of(self._settings)[0]
            self._prefills[owner] = self._profile.prefill_of(host, owner)
        return self._prefills.get(owner)

    def sure_of(self, model_id: str) -> ModelFacts:
        """What is known of a model without what only the public tables say, and may have wrong:
        they say of models that call tools that they don't, and know nothing of larger contexts that
        are had on request. What a model reads and writes they have right. Not kept."""
        self._catch_up()
        return self._found(model_id, only_sure=True)

    def _found(self, model_id: str, *, only_sure: bool = False) -> ModelFacts:
        listed = self._listing.find(model_id)
        facts = self._of_kind(model_id)
        if self._table is not None:
            told = self._table.facts(model_id)
            if only_sure:
                told = ModelFacts(
                    capabilities=told.capabilities, lacks=told.lacks & _READS_OR_WRITES
                )
            facts = told.over(facts)
        if listed is not None:
            facts = listed_facts(listed).over(facts)
        if model_id in self._settings.targets:
            facts = self._configured(self._settings.targets[model_id]).over(facts)
        return facts

    @staticmethod
    def _configured(settings: TargetSettings) -> ModelFacts:
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
        continues = self.manner_of(model_id).traits.prefill is not Prefill.NONE
        return _OF_KINDS[continues, self._is_local_at(model_id)]

    def _is_local_at(self, model_id: str) -> bool:
        if self._settings.local is not None:
            return self._settings.local
        return self._is_near and not self._profile.is_passed_on(model_id)


def _look_up(table: ProviderTable, model_ids: Iterable[str]) -> None:
    for model_id in model_ids:
        table.facts(model_id)


@lru_cache(maxsize=256)
def _with_prefill(traits: UpstreamTraits, prefill: Prefill) -> UpstreamTraits:
    return traits if prefill is traits.prefill else replace(traits, prefill=prefill)
