"""The gateway's own actor: asks everybody below how they are, sends waiters away, and has the
configuration changed, one change after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

import trio

from forebay.actors.config import Settings
from forebay.actors.gateway.roster import Roster
from forebay.actors.jobs.models import CloseModel, DescribeModel, ModelStatus
from forebay.actors.kernel import Actor, ActorState, Message, Ref
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.provider_actor import DescribeProvider, ProviderStatus, describe

_log = logging.getLogger("forebay.gateway")

_ANSWER_SECONDS: Final = 1.0
"""For a provider's actor, which never has much to do, to say how it is."""


class ProviderState(StrEnum):
    """How a provider's actor is."""

    RUNNING = "running"
    RESTARTING = "restarting"
    """It crashed and is started again in seconds; until then nothing is granted by its clock."""
    RESTING = "resting"
    """It crashed too often, is out, and is started again when it is tried again."""
    RETIRING = "retiring"
    """It is not configured any more; its last calls come to their ends."""
    SILENT = "silent"
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """Queues and budgets, for operators."""

    models: tuple[ModelStatus, ...]
    providers: tuple[ProviderStatus, ...]
    """Without those that can't even be described."""
    provider_states: Mapping[str, ProviderState]
    """Of all, by name."""
    retiring: tuple[ProviderStatus, ...] = ()
    """Providers that are not configured any more, with calls under way."""


@dataclass(frozen=True, slots=True)
class DescribeGateway(Message[GatewayStatus]):
    """Ask for the status of all models and providers."""


@dataclass(frozen=True, slots=True)
class CloseModels(Message[None]):
    """Send everybody away who waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class ApplySettings(Message[None]):
    """Go on with these; a :class:`~forebay.actors.config.ConfigError` is for the asker."""

    settings: Settings


class GatewayActor(Actor[DescribeGateway | CloseModels | ApplySettings]):
    """Control only: it never waits for a model to have room, nor long for a provider."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def handle(
        self, message: DescribeGateway | CloseModels | ApplySettings
    ) -> GatewayStatus | None:
        match message:
            case DescribeGateway():
                return await self._describe()
            case CloseModels(reason=reason):
                for ref in self._roster.actors_of_models:
                    await ref.ask(CloseModel(reason))
                return None
            case ApplySettings(settings=settings):
                await self._roster.apply(settings)
                return None

    async def _describe(self) -> GatewayStatus:
        models = [await ref.ask(DescribeModel()) for ref in self._roster.actors_of_models]
        providers = self._roster.actors_of_providers
        told: dict[str, ProviderStatus] = {}
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + _ANSWER_SECONDS
            for name, (_, ref) in providers.items():
                if ref.state is ActorState.RUNNING:
                    nursery.start_soon(partial(_ask, name, ref, told))
        states: dict[str, ProviderState] = {}
        statuses: list[ProviderStatus] = []
        for name, (provider, ref) in providers.items():
            status = told.get(name) or _seen_from_outside(provider)
            if status is not None:
                statuses.append(status)
            states[name] = ProviderState.RUNNING if name in told else _state_of(ref)
        retiring = map(_seen_from_outside, self._roster.retiring)
        return GatewayStatus(tuple(models), tuple(statuses), states, tuple(filter(None, retiring)))


async def _ask(name: str, ref: Ref[DescribeProvider], told: dict[str, ProviderStatus]) -> None:
    # Whatever it raises was logged where that was; the others are described all the same.
    with suppress(Exception):
        told[name] = await ref.ask(DescribeProvider())


def _seen_from_outside(provider: Provider) -> ProviderStatus | None:
    """The status of a provider whose actor can't say it."""
    try:
        return describe(provider, trio.current_time())
    except Exception:
        _log.exception("provider %s can't be described", provider.name)
        return None


def _state_of(ref: Ref[DescribeProvider]) -> ProviderState:
    """Of an actor that has not answered."""
    match ref.state:
        case ActorState.STARTING:
            return ProviderState.RESTARTING
        case ActorState.RESTING:
            return ProviderState.RESTING
        case _:
            return ProviderState.SILENT
