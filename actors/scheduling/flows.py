"""Jobs that wait, in the order in which they came, as a pool sees them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from forebay.actors.scheduling.gates import Demand

if TYPE_CHECKING:
    from forebay.actors.scheduling.grants import Grant


class TrafficClass(StrEnum):
    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class FlowKey:
    """Whose jobs a flow holds."""

    client: str
    traffic_class: TrafficClass


class TicketState(Enum):
    WAITING = auto()
    GRANTED = auto()
    GONE = auto()
    """Its job does not wait any more: the client left, or its time was up."""


_arrivals: Iterator[int] = itertools.count()


class Ticket(ABC):
    """One job's place. It keeps its arrival number however often it is put back."""

    __slots__ = ("arrival", "demand", "state")

    def __init__(self, demand: Demand) -> None:
        self.arrival = next(_arrivals)
        self.demand = demand
        self.state = TicketState.WAITING

    @abstractmethod
    def granted(self, grant: Grant) -> None:
        """The job may start. Synchronous; called once per wait, in state GRANTED."""


class Flow(ABC):
    """The waiting jobs of one client and class in one lane, first in first out."""

    def __init__(self, key: FlowKey, weight: float) -> None:
        self.key = key
        self.weight = weight

    @abstractmethod
    def head(self) -> Ticket | None:
        """The job that came first, which stays where it is; None: none waits."""

    @abstractmethod
    def take_head(self) -> Ticket:
        """Remove and return the job that ``head`` showed."""
