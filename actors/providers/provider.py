"""A provider: one account's pool of limits, its targets and its connections.

What is done with it, by whom and when, is the business of its actor (``provider_actor.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

import httpx
import trio

from forebay.actors.config import LimitSettings, ProviderSettings
from forebay.actors.model_tables import ModelTables
from forebay.actors.providers.accounts import call_headers, call_timeouts, secrets_of
from forebay.actors.providers.bell import Bell
from forebay.actors.providers.budgets import (
    budget_gates,
    carried_on,
    is_configured_limit,
    slot_gates,
)
from forebay.actors.providers.connection_advice import told_to_operators
from forebay.actors.providers.departures import Departures
from forebay.actors.providers.estimates import TokenEstimator
from forebay.actors.providers.exclusions import Exclusions
from forebay.actors.providers.health import Finding, Health
from forebay.actors.providers.host_routes import HostRoutes
from forebay.actors.providers.known_facts import KnownFacts
from forebay.actors.providers.last_failure import LastFailure
from forebay.actors.providers.listing import Listing, all_listed, fetch_listings
from forebay.actors.providers.listing_schedule import ListingSchedule
from forebay.actors.providers.manners import Manner
from forebay.actors.providers.model_details import ModelDetails
from forebay.actors.providers.probing import ask_whether_well
from forebay.actors.providers.told_limits import ToldLimits
from forebay.actors.providers.wall_clock import SYSTEM_CLOCK, WallClock
from forebay.actors.scheduling.admission import Admission, Exclusion
from forebay.actors.scheduling.gates import Gate
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.pool import BATCH_SHARE, Pool
from forebay.actors.scheduling.prices import Price
from forebay.actors.scheduling.targets import PoolTarget
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.canonical.model_facts import ModelFacts
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.limits.readings import AnswerHead

_MOST_TARGETS = 1024
"""Targets that clients named outright are forgotten beyond this, idle ones first."""
_FREE = Price(0.0, 0.0)
"""What a model of one's own costs where nobody says."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One upstream model at one provider; there is one object of each."""

    provider: Provider
    model_id: str
    pooled: PoolTarget
    estimator: TokenEstimator
    last_failure: LastFailure

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model_id}"

    @property
    def is_out(self) -> bool:
        """It can't serve for now, by itself or with its whole account."""
        return self.pooled.out is not None or self.provider.pool.out is not None


class Provider:
    """One account at one upstream."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        transport: httpx.AsyncBaseTransport,
        random: Random,
        *,
        batch_share: float = BATCH_SHARE,
        wall_clock: WallClock = SYSTEM_CLOCK,
        tables: ModelTables | None = None,
    ) -> None:
        """
        Args:
            tables: what the public knows of models; None: nothing.
            batch_share: per cent of what the account allows, for the batch class.
            wall_clock: what the provider says of times of day is held against it.
        """
        self.name = name
        self.profile = PROFILES[settings.kind]
        self.transport = transport
        self.wall_clock = wall_clock
        self.listing = Listing()
        self.timeouts = call_timeouts(settings)
        self.settings = settings
        self._facts = KnownFacts(self.profile, settings, self.listing, tables or ModelTables())
        self._details = ModelDetails(self.profile)
        self.listing_schedule = ListingSchedule(random)
        self._headers = call_headers(settings)
        self._secrets = secrets_of(settings)
        account = Admission(f"{name}: admission")
        gates = (account, *budget_gates(name, settings.limits, wall_clock))
        self.pool = Pool(name, gates, batch_share=batch_share)
        self.told_limits = ToldLimits(self.pool)
        self.exclusions = Exclusions(self.pool, account, one_account=self.profile.one_account)
        self.health = Health(
            name,
            self._probe,
            random,
            anybody_waits=lambda: self.pool.backlogged_clients > 0,
            returned=self._host_returned,
        )
        self.routes = HostRoutes(name, settings, random, self.health.watch)
        self._departures = Departures(name)
        self._targets: dict[str, Target] = {}
        self.bell = Bell()
        """Wakes :meth:`pump`."""
        self.pool.ring = self.ring

    def traits_of(self, model_id: str) -> UpstreamTraits:
        """What there is to know of the server when it is asked for this model."""
        return self._facts.manner_of(model_id).traits

    def manner_of(self, model_id: str) -> Manner:
        """How the model is asked. Kept; asking again costs nothing."""
        return self._facts.manner_of(model_id)

    def facts_of(self, model_id: str) -> ModelFacts:
        """What the model can do, costs and allows, as far as anybody says: the configuration over
        the provider's listing over public tables over what is known of its kind. Kept; asking again
        costs nothing."""
        return self._facts.of(model_id)

    def sure_facts_of(self, model_id: str) -> ModelFacts:
        """Without what public tables may have wrong. Looked up anew each time."""
        return self._facts.sure_of(model_id)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Base URLs of its servers."""
        return self.routes.hosts

    @property
    def facts_version(self) -> int:
        """Another one whenever models, or what is known of them, may have changed."""
        return self._facts.version

    @property
    def headers(self) -> Mapping[str, str]:
        """What every call says of itself; holds the key."""
        return self._headers

    def without_secrets(self, text: bytes) -> bytes:
        """What the provider says, without the key and the headers that it was sent: some repeat
        them in their errors."""
        for secret in self._secrets:
            text = text.replace(secret, b"[secret]")
        return text

    @property
    def targets(self) -> Mapping[str, Target]:
        return self._targets

    def ring(self) -> None:
        """Something happened that may let a job start."""
        self.bell.ring()

    async def pump(self) -> None:
        """Grant whenever something can be granted, until cancelled."""
        while True:
            bell = self.bell
            bell.silence()
            now = trio.current_time()
            next_trial = self.exclusions.begin_trials(now)
            wake = min(self.pool.pump(now), next_trial)
            if wake <= now:
                await trio.lowlevel.checkpoint()
                continue
            await bell.heard(until=wake)

    def target(self, model_id: str) -> Target:
        """The target of this name, made when it is first asked for."""
        target = self._targets.get(model_id)
        if target is None:
            self._forget_surplus()
            target = self._targets[model_id] = self._new_target(model_id)
        return target

    def hear(
        self, status: int, headers: Mapping[str, str], grant: Grant, request: bytes = b""
    ) -> None:
        """The answer to the granted call began: take in what it tells of limits, and of what its
        host has loaded.

        Args:
            headers: names in lower case.
            request: the body of the call.
        """
        if status < 400:
            self.routes.answered(grant.route, grant.target.name, request)
        readings = self.profile.read_limits(
            AnswerHead(status=status, headers=headers, now=self.wall_clock())
        )
        if readings:
            self.told_limits.hear(readings, grant, trio.current_time())

    def take_out(self, reason: str) -> None:
        """The whole account is of no use for now: wrong key, no credit."""
        self.exclusions.take_out(None, reason)

    @property
    def out(self) -> Exclusion | None:
        """Why the account is out and until when, if it is."""
        return self.exclusions.of_account

    def _new_target(self, model_id: str) -> Target:
        name = f"{self.name}/{model_id}"
        admission = Admission(f"{name}: admission")
        own_gates = self._own_gates(model_id)
        routes = self.routes.make(model_id)
        pooled = self.pool.add_target(model_id, (admission, *own_gates), routes)
        self._note_facts_of(model_id, pooled)
        self.exclusions.add_target(pooled, admission)
        estimator = TokenEstimator(
            reserves_most_output=self.profile.reserves_most_output,
            charges_cache_reads=self.profile.charges_cache_reads,
        )
        return Target(self, model_id, pooled, estimator, LastFailure(name))

    def _own_gates(self, model_id: str) -> tuple[Gate, ...]:
        """Of the limits that are configured for one model."""
        name = f"{self.name}/{model_id}"
        settings = self.settings.targets.get(model_id)
        limits = LimitSettings() if settings is None else settings.limits
        return (*budget_gates(name, limits, self.wall_clock), *slot_gates(name, limits))

    def _price(self, model_id: str) -> Price | None:
        facts = self.facts_of(model_id)
        if facts.price_input is None:
            return _FREE if facts.is_local else None
        return Price(facts.price_input, facts.price_output or 0.0)

    def _note_facts(self) -> None:
        """What is known of models may have changed."""
        for model_id, target in self._targets.items():
            self._note_facts_of(model_id, target.pooled)

    def _note_facts_of(self, model_id: str, pooled: PoolTarget) -> None:
        facts = self.facts_of(model_id)
        pooled.price, pooled.is_local = self._price(model_id), facts.is_local
        self._departures.note(model_id, facts)

    def recall_listing(self, models: Iterable[ListedModel]) -> None:
        """Go by what the provider listed before this gateway was started, until it is asked."""
        self.listing.recall(models)
        self._note_facts()

    async def _probe(self, host: str) -> Finding:
        url = self.profile.ready_url(host)
        assert url is not None, "only hosts that can be asked are watched"
        return await ask_whether_well(
            self.transport,
            url,
            provider=self.name,
            speech=SPEECH[self.profile.listing_dialect],
            headers=self.headers,
            timeouts=self.timeouts,
            without_secrets=self.without_secrets,
        )

    def _host_returned(self) -> None:
        self.listing.want()
        self.ring()

    def change(
        self, settings: ProviderSettings, transport: httpx.AsyncBaseTransport, batch_share: float
    ) -> None:
        """Go on with other settings, in one step: what is learned, taken and under way stays.

        Args:
            settings: of the same kind, with one of the hosts in common.
        """
        now = trio.current_time()
        old = self.settings
        self.settings = settings
        self._facts.change(settings)
        self.transport = transport
        self.timeouts = call_timeouts(settings)
        self._headers = call_headers(settings)
        # Calls under way were sent the old ones, and may be told them back.
        self._secrets = tuple(dict.fromkeys((*secrets_of(settings), *secrets_of(old))))
        self.routes.change(settings, now)
        self.health.keep_only(self.hosts)
        self.pool.change_batch_share(batch_share)
        limits = budget_gates(self.name, settings.limits, self.wall_clock)
        self.pool.change_gates(_with_limits(self.pool.gates, limits, now))
        for model_id, target in self._targets.items():
            own_gates = self._own_gates(model_id)
            target.pooled.change_gates(
                _with_limits(target.pooled.gates, own_gates, now),
                self.routes.make(model_id),
            )
        self._note_facts()
        if (settings.api_key, settings.headers) != (old.api_key, old.headers):
            self.exclusions.forgive()
        self.listing.want()
        self.ring()

    def _forget_surplus(self) -> None:
        if len(self._targets) < _MOST_TARGETS:
            return
        for model_id, target in self._targets.items():
            if target.pooled.idle and model_id not in self.listing.models:
                del self._targets[model_id]
                self.routes.forget(model_id)
                self.pool.remove_target(target.pooled)
                self.exclusions.forget_target(target.pooled)
                self.told_limits.forget_target(target.pooled)
                return

    async def refresh_listing(self) -> None:
        """Ask the provider which models it has.

        Raises:
            ListingFailed: it did not say; what was known before stays.
        """
        answered = await fetch_listings(
            self.transport,
            self.hosts,
            self.profile,
            headers=self.headers,
            timeouts=self.timeouts,
            without_secrets=self.without_secrets,
            explained=partial(told_to_operators, provider=self.name),
            wall_clock=self.wall_clock,
        )
        listings = answered.listings
        self.listing.note_silent(answered.failures, len(self.hosts))
        models = all_listed(listings.values())
        await self._facts.prepare(models)
        self._take_listing(models)
        self.routes.list(listings)
        self._take_routes()
        if self.profile.details:
            await self._details.ask(
                self.transport,
                self.hosts,
                listings,
                models,
                headers=self.headers,
                timeouts=self.timeouts,
            )
            if self._details.added_to(models) != [*self.listing.models.values()]:
                self._take_listing(models)
            if self.routes.tell_slots(self._details.slots):
                for model_id in self._targets:
                    self.routes.make(model_id)
                self._take_routes()

    def _take_listing(self, models: Iterable[ListedModel]) -> None:
        self.listing.update(self._details.added_to(models))
        self._note_facts()

    def _take_routes(self) -> None:
        for model_id, target in self._targets.items():
            routes = self.routes.able(model_id)
            if tuple(routes) != target.pooled.routes:
                target.pooled.change_routes(routes)
                self.ring()


def _with_limits(gates: Iterable[Gate], limits: Iterable[Gate], now: float) -> tuple[Gate, ...]:
    """``gates`` with those of other configured limits."""
    gates = tuple(gates)
    others = (gate for gate in gates if not is_configured_limit(gate))
    return (*others, *carried_on(gates, limits, now))
