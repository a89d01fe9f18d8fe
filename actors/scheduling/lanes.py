"""Which targets may serve a job, and which of them should."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

from forebay.actors.scheduling.flows import Flow, Ticket

if TYPE_CHECKING:
    from forebay.actors.scheduling.preferences import Preference
    from forebay.actors.scheduling.targets import PoolTarget


class Strategy(StrEnum):
    """Who may pull from a lane when: a preference, which never makes a job wait."""

    ORDERED = "ordered"
    """A later target pulls only while no earlier one has room."""
    BALANCED = "balanced"
    """The target with the most room, relative to its limits, pulls first."""
    CHEAPEST = "cheapest"
    """The target that asks least for the job pulls first."""
    FASTEST = "fastest"
    """The target whose answers have begun soonest of late pulls first."""
    WEIGHTED = "weighted"
    """Targets pull as often as their weights say."""


class Lane(ABC):
    """The flows of a model whose jobs the same targets can serve."""

    def __init__(self, targets: tuple[PoolTarget, ...], preference: Preference) -> None:
        self.targets = targets
        self._preference = preference
        self.waiting = 0
        """Jobs that wait in the lane."""
        self.waiting_tokens = 0.0

    def preferred(self, target: PoolTarget, ticket: Ticket, now: float) -> PoolTarget | None:
        """The target that should take the job instead of ``target`` now, if any."""
        if len(self.targets) == 1:
            return None
        return self._preference.rival(target, ticket, self.targets, now)

    def granted(self, target: PoolTarget, ticket: Ticket, now: float) -> None:
        """``target`` takes the job; ``preferred`` was asked last for just this."""
        if len(self.targets) > 1:
            self._preference.granted(target, ticket, now)

    def count_in(
        self, flow: Flow, ticket: Ticket, *, returns: bool = False, arrived_before: bool = False
    ) -> None:
        """A job begins to wait in ``flow``; arguments as of :meth:`Flow.count_in`."""
        if not self.waiting:
            for target in self.targets:
                target.lanes.add(self)
        self.waiting += 1
        self.waiting_tokens += ticket.demand.tokens
        flow.count_in(ticket, returns=returns, arrived_before=arrived_before)

    def count_out(self, flow: Flow, ticket: Ticket) -> None:
        """It does not wait any more."""
        self.waiting -= 1
        self.waiting_tokens -= ticket.demand.tokens
        flow.count_out(ticket)
        if not self.waiting:
            self.waiting_tokens = 0.0
            for target in self.targets:
                target.lanes.discard(self)

    @abstractmethod
    def emptied(self, flow: Flow) -> None:
        """No job of ``flow`` waits any more."""

    @abstractmethod
    def target_out(self) -> None:
        """One of the lane's targets was taken out."""
