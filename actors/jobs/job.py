"""What waits: what is asked, by whom, and until when it may wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from forebay.actors.config import NameList, OnUnsupported
from forebay.actors.jobs.operations import ContentT, Operation
from forebay.actors.jobs.places import Outlook
from forebay.actors.providers.model_names import spellings
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.scheduling.flows import FlowKey, Priority, TrafficClass
from forebay.protocol.canonical.needs import NO_NEEDS, Needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The holder of a gateway key."""

    name: str
    weight: float = 1.0
    traffic_class: TrafficClass = TrafficClass.INTERACTIVE
    models: NameList | None = None
    """The models it may use; None: all."""

    manages_models: bool = False
    """It may change which models Ollama servers have."""

    def may_use(self, *names: str) -> bool:
        """Whether it may use a model that goes by one of ``names``."""
        models = self.models
        if models is None:
            return True
        return any(models.holds(spelling) for name in names for spelling in spellings(name))


ANONYMOUS = Client(name="anonymous", manages_models=True)
"""Everybody, where no keys are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a job asks a permit for: whose turn it takes, how much it needs, how long it waits."""

    client: Client = ANONYMOUS
    arrived_at: float
    """On trio's clock: when the head of the request was here."""
    deadline: float
    """On trio's clock: when waiting ends."""
    size: RequestSize
    """What there is to read."""
    most_output: int | None = None
    """Tokens, where the client bounds them."""
    priority: Priority = Priority.NORMAL
    """Among the client's own jobs."""
    conversation: int | None = None
    """What it has in common with those that begin like it; None: it may go anywhere."""
    streams: bool = False
    """Its answer comes little by little."""
    outlook: Outlook = field(default_factory=Outlook, compare=False)
    """Tells what it has to expect while it waits."""

    @property
    def flow_key(self) -> FlowKey:
        return FlowKey(self.client.name, self.client.traffic_class, self.priority)


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
    priority: Priority = Priority.NORMAL
    """Among the client's own jobs."""
    needs: Needs = NO_NEEDS
    """What the client asks of a model, beyond what the operation needs by itself."""
    conversation: int | None = None
    """What it has in common with those that begin like it; None: it may go anywhere."""
    outlook: Outlook = field(default_factory=Outlook, compare=False)
    """Tells what it has to expect while it waits."""

    @property
    def claim(self) -> Claim:
        """What it needs a permit for."""
        return Claim(
            client=self.client,
            arrived_at=self.arrived_at,
            deadline=self.deadline,
            size=self.operation.size,
            most_output=self.operation.most_output,
            priority=self.priority,
            conversation=self.conversation,
            streams=self.operation.streams,
            outlook=self.outlook,
        )
