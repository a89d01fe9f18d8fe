"""The actor of a provider, and what it tells operators.

:class:`~forebay.actors.providers.provider.Provider` outlives restarts of the actor, so that a crash
never forgets what is in flight or cooling down. :class:`ProviderActor` is the thin shell that pumps
its pool: it sleeps until the pool's next time, or until somebody rings. A provider whose actor does
not get well is taken out; others go on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import trio

from forebay.actors.kernel import Actor, Message, RestartPolicy
from forebay.actors.providers.estimates import EstimatesStatus
from forebay.actors.providers.health import ProbeStatus
from forebay.actors.providers.last_failure import FailureStatus
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.provider_upkeep import keep_listing, keep_loaded
from forebay.actors.scheduling.admission import FIRST_PAUSE, Exclusion

_log = logging.getLogger("forebay.gateway")

PROVIDER_RESTARTS: Final = RestartPolicy(rest=FIRST_PAUSE)
"""It rests until the provider is tried again."""


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
    estimates: EstimatesStatus
    last_failure: FailureStatus | None
    gates: dict[str, dict[str, float | int | str | None]]


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider for operators; no secrets."""

    name: str
    kind: str
    hosts: tuple[str, ...]
    """Gates say ``at host 1`` of the first of several."""
    loaded: dict[str, tuple[str, ...]]
    """By host, what several hosts that tell it have in memory."""
    out: ExclusionStatus | None
    listing: str
    probes: tuple[ProbeStatus, ...]
    """Of hosts whose calls have failed: what was found out since."""
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
            nursery.start_soon(keep_listing, self._provider)
            nursery.start_soon(keep_loaded, self._provider)
            nursery.start_soon(self._provider.health.run)

    async def handle(self, message: DescribeProvider) -> ProviderStatus:
        return describe(self._provider, trio.current_time())


def give_up_for_now(provider: Provider, failure: Exception) -> None:
    """Take ``provider`` out, whose actor crashed too often, of ``failure``, and rests."""
    _log.error("provider %s: its actor does not get well: %r", provider.name, failure)
    provider.take_out("the gateway keeps failing at this provider")


def describe(provider: Provider, now: float) -> ProviderStatus:
    """What operators see of a provider."""
    budgets = {gate.name: gate.snapshot(now) for gate in provider.pool.gates}
    targets = tuple(
        TargetStatus(
            name=target.name,
            out=_exclusion_status(provider.exclusions.of_target(target.pooled), now),
            waiting=sum(lane.waiting for lane in target.pooled.lanes),
            estimates=target.estimator.status(),
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
        loaded=provider.routes.loaded(now),
        out=_exclusion_status(provider.out, now),
        listing=provider.listing.describe(),
        probes=provider.health.status(now),
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
