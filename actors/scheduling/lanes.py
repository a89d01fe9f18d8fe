"""Which targets may serve a job, and which of them should."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

from forebay.actors.scheduling.flows import Flow
from forebay.actors.scheduling.gates import Demand

if TYPE_CHECKING:
    from forebay.actors.scheduling.targets import PoolTarget


class Strategy(StrEnum):
    """Who may pull from a lane when: a preference, which never makes a job wait."""

    ORDERED = "ordered"
    """A later target pulls only while no earlier one has room."""
    BALANCED = "balanced"
    """Any target pulls when it has room."""


class Lane(ABC):
    """The flows of a model whose jobs the same targets can serve."""

    def __init__(self, targets: tuple[PoolTarget, ...], strategy: Strategy) -> None:
        self.targets = targets
        self.strategy = strategy
        self.waiting = 0
        """Jobs that wait in the lane."""
        self.waiting_tokens = 0.0

    def preferred(self, target: PoolTarget, demand: Demand, now: float) -> PoolTarget | None:
        """The target that should take the job instead of ``target`` now, if any."""
        if self.strategy is Strategy.ORDERED:
            for earlier in self.targets:
                if earlier is target:
                    return None
                if earlier.has_room(demand, now):
                    return earlier
        return None

    @abstractmethod
    def emptied(self, flow: Flow) -> None:
        """No job of ``flow`` waits any more."""

    @abstractmethod
    def target_out(self) -> None:
        """One of the lane's targets was taken out."""
