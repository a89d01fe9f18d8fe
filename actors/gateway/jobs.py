"""What waits: what is asked, by whom, and until when it may wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from forebay.actors.config import OnUnsupported
from forebay.actors.gateway.operations import ContentT, Operation
from forebay.actors.scheduling.flows import FlowKey, TrafficClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The holder of a gateway key."""

    name: str
    weight: float = 1.0
    traffic_class: TrafficClass = TrafficClass.INTERACTIVE
    models: frozenset[str] | None = None
    """The models it may use; None: all."""

    manages_models: bool = False
    """It may change which models Ollama servers have."""

    @property
    def flow_key(self) -> FlowKey:
        return FlowKey(self.name, self.traffic_class)


ANONYMOUS = Client(name="anonymous", manages_models=True)
"""Everybody, where no keys are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[ContentT]):
    """One request on its way to an answer."""

    operation: Operation[ContentT]
    client: Client = ANONYMOUS
    arrived_at: float
    """On trio's clock: when the head of the request was here."""
    deadline: float
    """On trio's clock: when waiting ends."""
    on_unsupported: OnUnsupported = OnUnsupported.DROP
