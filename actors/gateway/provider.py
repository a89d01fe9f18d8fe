"""A provider: one account's pool of limits, its targets and its connections.

:class:`Provider` outlives restarts of its actor, so that a crash never forgets what is in flight
or cooling down. :class:`ProviderActor` is the thin shell that pumps the pool: it sleeps until the
pool's next time, or until somebody rings.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import httpx
import trio

from forebay.actors.config import ProviderSettings
from forebay.actors.gateway.estimates import TokenEstimator
from forebay.actors.gateway.exclusions import Exclusions
from forebay.actors.gateway.last_failure import FailureStatus, LastFailure
from forebay.actors.gateway.listing import Listing, ListingFailed, fetch_listing
from forebay.actors.kernel import Actor, Message
from forebay.actors.scheduling.admission import Admission, Exclusion
from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.actors.upstream import CallTimeouts
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import Greeting

_log = logging.getLogger("forebay.provider")

_TOKEN_BURST_SECONDS = 10.0
_MOST_TARGETS = 1024
"""Targets that clients named outright are forgotten beyond this, idle ones first."""
_SHORTEST_SECRET = 8
_REFUSALS_TO_PACE = 2
_REFUSALS_TO_PACE_CONFIGURED = 4
_LISTING_RETRY = 60.0
_LISTING_REFRESH = 600.0
_LISTING_SOONEST = 5.0
"""However often clients ask for a model that is not there."""


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream model at one provider."""

    provider: Provider
    model_id: str
    pooled: PoolTarget
    estimator: TokenEstimator
    last_failure: LastFailure

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model_id}"


class Provider:
    """One account at one upstream."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        transport: httpx.AsyncBaseTransport,
        random: Random,
    ) -> None:
        self.name = name
        self.profile = PROFILES[settings.kind]
        self.transport = transport
        self.listing = Listing()
        self.timeouts = CallTimeouts(
            connect=settings.timeouts.connect_ms / 1000,
            first_byte=settings.timeouts.first_byte_ms / 1000,
            between_bytes=settings.timeouts.between_bytes_ms / 1000,
        )
        self._settings = settings
        self._random = random
        self._headers = _headers(settings, self.profile.headers, self.profile.greeting)
        self._secrets = _secrets(settings)
        self.hosts = settings.hosts or (settings.base_url or self.profile.default_base_url or "",)
        self._host_slots: dict[str, tuple[Gate, ...]] = {
            host: self._slots_of(number) for number, host in enumerate(self.hosts, 1)
        }
        account = Admission(f"{name}: admission")
        self.pool = Pool(name, (account, *self._account_gates()))
        self.exclusions = Exclusions(self.pool, account, one_account=self.profile.one_account)
        self._targets: dict[str, Target] = {}
        self._bell = trio.Event()
        self.pool.ring = self.ring

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
        self._bell.set()

    async def pump(self) -> None:
        """Grant whenever something can be granted, until cancelled."""
        while True:
            self._bell = bell = trio.Event()
            now = trio.current_time()
            next_trial = self.exclusions.begin_trials(now)
            wake = min(self.pool.pump(now), next_trial)
            if wake <= now:
                await trio.lowlevel.checkpoint()
                continue
            with trio.CancelScope(deadline=wake):
                await bell.wait()

    def target(self, model_id: str) -> Target:
        """The target of this name, made when it is first asked for."""
        target = self._targets.get(model_id)
        if target is None:
            self._forget_surplus()
            target = self._targets[model_id] = self._new_target(model_id)
        return target

    def take_out(self, reason: str) -> None:
        """The whole account is of no use for now: wrong key, no credit."""
        self.exclusions.take_out(None, reason)

    @property
    def out(self) -> Exclusion | None:
        """Why the account is out and until when, if it is."""
        return self.exclusions.of_account

    def _new_target(self, model_id: str) -> Target:
        name = f"{self.name}/{model_id}"
        limits = self._settings.limits
        refusals_to_pace = (
            _REFUSALS_TO_PACE
            if limits.rpm is None and limits.rps is None
            else _REFUSALS_TO_PACE_CONFIGURED
        )
        routes = []
        for number, host in enumerate(self.hosts, 1):
            # Clients may read the names of gates, but not where a host is.
            at = f"{name} at host {number}" if len(self.hosts) > 1 else name
            routes.append(
                Route(
                    host,
                    (
                        *self._host_slots[host],
                        CircuitBreaker(f"{at}: circuit breaker", self._random),
                        Cooldown(f"{at}: cooldown", self._random),
                        LearnedLimit(
                            f"{at}: learned limit",
                            self._random,
                            refusals_to_pace=refusals_to_pace,
                        ),
                    ),
                )
            )
        admission = Admission(f"{name}: admission")
        pooled = self.pool.add_target(model_id, (admission,), routes)
        self.exclusions.add_target(pooled, admission)
        return Target(self, model_id, pooled, TokenEstimator(), LastFailure(name))

    def _forget_surplus(self) -> None:
        if len(self._targets) < _MOST_TARGETS:
            return
        for model_id, target in self._targets.items():
            if target.pooled.idle and model_id not in self.listing.models:
                del self._targets[model_id]
                self.pool.remove_target(target.pooled)
                self.exclusions.forget_target(target.pooled)
                return

    def _account_gates(self) -> list[Gate]:
        limits = self._settings.limits
        gates: list[Gate] = []
        if limits.rps is not None:
            burst = limits.burst if limits.burst and limits.rpm is None else max(1.0, limits.rps)
            gates.append(
                RateGate(
                    f"{self.name}: requests per second",
                    Unit.REQUESTS,
                    rate=limits.rps,
                    burst=burst,
                )
            )
        if limits.rpm is not None:
            rate = limits.rpm / 60
            gates.append(
                RateGate(
                    f"{self.name}: requests per minute",
                    Unit.REQUESTS,
                    rate=rate,
                    burst=limits.burst or max(1.0, rate),
                )
            )
        if limits.tpm is not None:
            rate = limits.tpm / 60
            gates.append(
                RateGate(
                    f"{self.name}: tokens per minute",
                    Unit.TOKENS,
                    rate=rate,
                    burst=max(1.0, rate * _TOKEN_BURST_SECONDS),
                )
            )
        return gates

    def _slots_of(self, number: int) -> tuple[Gate, ...]:
        slots = self._settings.limits.concurrency
        if slots is None:
            return ()
        name = f"{self.name} at host {number}" if len(self.hosts) > 1 else self.name
        return (SlotGate(f"{name}: concurrency", slots),)

    async def refresh_listing(self) -> None:
        """Ask the provider which models it has.

        Raises:
            ListingFailed: it did not say; what was known before stays.
        """
        models = await fetch_listing(
            self.transport,
            self.hosts,
            self.profile,
            headers=self.headers,
            timeouts=self.timeouts,
            without_secrets=self.without_secrets,
        )
        self.listing.update(models, trio.current_time())

    async def keep_listing(self) -> None:
        """Keep the listing fresh, until cancelled."""
        while True:
            pause = _LISTING_REFRESH
            try:
                await self.refresh_listing()
            except ListingFailed as failure:
                pause = _LISTING_RETRY
                if self.listing.failed(str(failure)):
                    _log.warning("provider %s lists no models: %s", self.name, failure)
            with trio.move_on_after(pause):
                await trio.sleep(_LISTING_SOONEST)
                await self.listing.wanted()


def _headers(
    settings: ProviderSettings, fixed: Mapping[str, str], greeting: Greeting
) -> dict[str, str]:
    headers = {"content-type": "application/json", "user-agent": "forebay", **fixed}
    if settings.api_key is not None:
        key = settings.api_key.get_secret_value()
        match greeting:
            case Greeting.BEARER:
                headers["authorization"] = f"Bearer {key}"
            case Greeting.X_API_KEY:
                headers["x-api-key"] = key
    headers.update((name, value.get_secret_value()) for name, value in settings.headers.items())
    return headers


def _secrets(settings: ProviderSettings) -> tuple[bytes, ...]:
    values = [*settings.headers.values()]
    if settings.api_key is not None:
        values.append(settings.api_key)
    texts = (value.get_secret_value() for value in values)
    # Short ones are no secrets, and would tear words apart.
    return tuple(text.encode() for text in texts if len(text) >= _SHORTEST_SECRET)


@dataclass(frozen=True, slots=True)
class ExclusionStatus:
    """Why something is out, for operators."""

    reason: str
    detail: str | None
    """The provider's own words."""
    tried_again_in_seconds: float


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One target for operators."""

    name: str
    out: ExclusionStatus | None
    waiting: int
    last_failure: FailureStatus | None
    gates: dict[str, dict[str, float | int | str | None]]


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider for operators; no secrets."""

    name: str
    kind: str
    hosts: tuple[str, ...]
    """Gates say ``at host 1`` of the first of several."""
    out: ExclusionStatus | None
    listing: str
    grants: int
    backlogged_clients: int
    budgets: dict[str, dict[str, float | int | str | None]]
    targets: tuple[TargetStatus, ...]


@dataclass(frozen=True, slots=True)
class DescribeProvider(Message[ProviderStatus]):
    """Ask for the provider's status."""


class ProviderActor(Actor[DescribeProvider]):
    """Pumps one provider's pool and keeps its listing."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._provider.pump)
            nursery.start_soon(self._provider.keep_listing)

    async def handle(self, message: DescribeProvider) -> ProviderStatus:
        return describe(self._provider, trio.current_time())


def describe(provider: Provider, now: float) -> ProviderStatus:
    """What operators see of a provider."""
    budgets = {gate.name: gate.snapshot(now) for gate in provider.pool.gates}
    targets = tuple(
        TargetStatus(
            name=target.name,
            out=_exclusion_status(provider.exclusions.of_target(target.pooled), now),
            waiting=sum(lane.waiting for lane in target.pooled.lanes),
            last_failure=target.last_failure.status(now),
            gates={
                gate.name: gate.snapshot(now)
                for gate in (
                    *target.pooled.gates,
                    *(gate for route in target.pooled.routes for gate in route.gates),
                )
            },
        )
        for target in provider.targets.values()
    )
    return ProviderStatus(
        name=provider.name,
        kind=provider.profile.kind,
        hosts=tuple(provider.hosts),
        out=_exclusion_status(provider.out, now),
        listing=provider.listing.describe(),
        grants=provider.pool.grants,
        backlogged_clients=provider.pool.backlogged_clients,
        budgets=budgets,
        targets=targets,
    )


def _exclusion_status(exclusion: Exclusion | None, now: float) -> ExclusionStatus | None:
    if exclusion is None:
        return None
    seconds = round(max(0.0, exclusion.until - now), 3)
    return ExclusionStatus(exclusion.reason, exclusion.detail, seconds)
