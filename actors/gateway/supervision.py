"""The gateway's own actor: asks everybody below how they are, and sends waiters away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forebay.actors.gateway.models import CloseModel, DescribeModel, ModelStatus
from forebay.actors.gateway.provider import DescribeProvider, ProviderStatus
from forebay.actors.kernel import Actor, Message, Ref


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """Queues and budgets, for operators."""

    models: tuple[ModelStatus, ...]
    providers: tuple[ProviderStatus, ...]


@dataclass(frozen=True, slots=True)
class DescribeGateway(Message[GatewayStatus]):
    """Ask for the status of all models and providers."""


@dataclass(frozen=True, slots=True)
class CloseModels(Message[None]):
    """Send everybody away who waits."""

    reason: str


class GatewayActor(Actor[DescribeGateway | CloseModels]):
    """Control only: it never waits for a model to have room."""

    def __init__(
        self,
        models: Mapping[str, Ref[DescribeModel | CloseModel]],
        providers: Mapping[str, Ref[DescribeProvider]],
    ) -> None:
        self._models = models
        self._providers = providers

    async def handle(self, message: DescribeGateway | CloseModels) -> GatewayStatus | None:
        match message:
            case DescribeGateway():
                return GatewayStatus(
                    models=tuple([await ref.ask(DescribeModel()) for ref in self._models.values()]),
                    providers=tuple(
                        [await ref.ask(DescribeProvider()) for ref in self._providers.values()]
                    ),
                )
            case CloseModels(reason=reason):
                for ref in self._models.values():
                    await ref.ask(CloseModel(reason))
                return None
