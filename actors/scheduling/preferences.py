"""Which of the targets that have room for a job should take it.

A preference only ever chooses among targets that have room now: it never makes a job wait. One
serves all lanes of a model, so that what it remembers is of the whole model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, TypeVar

from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.prices import dearness

if TYPE_CHECKING:
    from forebay.actors.scheduling.flows import Ticket
    from forebay.actors.scheduling.targets import PoolTarget

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_MOST_CONVERSATIONS = 4096
"""Of one model, whose last targets are remembered."""
_MOST_TARGETS = 4096
"""Of one model that are remembered. One whose name has a star may have any number."""
_OLD_SECONDS = 60.0
"""A time that was not measured for so long may have changed."""
_JOBS_BETWEEN_PROBES = 20
"""Measuring again is worth one job of so many."""
_PROBE_SECONDS = 60.0
"""A probe that has said nothing for so long is lost."""


class Preference(ABC):
    """Which target should take a job."""

    @abstractmethod
    def rival(
        self, target: PoolTarget, ticket: Ticket, targets: Sequence[PoolTarget], now: float
    ) -> PoolTarget | None:
        """The one of ``targets`` that has room and should take the job of ``ticket`` instead of
        ``target``, which has room, too. None: ``target`` should."""

    def granted(self, target: PoolTarget, ticket: Ticket, now: float) -> None:
        """``target`` takes the job; ``rival`` was asked last for just this."""


class Ordered(Preference):
    """The earlier in the list, the better."""

    def rival(
        self, target: PoolTarget, ticket: Ticket, targets: Sequence[PoolTarget], now: float
    ) -> PoolTarget | None:
        for earlier in targets:
            if earlier is target:
                break
            if earlier.has_room(ticket.demand_at(earlier), now):
                return earlier
        return None


class _BestOfAll(Preference):
    """All that have room are compared; among equals the earlier in the list is better."""

    def __init__(self) -> None:
        self._with_room: list[PoolTarget] = []
        """When a rival was asked for last."""

    def rival(
        self, target: PoolTarget, ticket: Ticket, targets: Sequence[PoolTarget], now: float
    ) -> PoolTarget | None:
        with_room = [
            each for each in targets if each is target or each.has_room(ticket.demand_at(each), now)
        ]
        self._with_room = with_room
        if len(with_room) == 1:
            return None
        best = min(with_room, key=lambda each: self._badness(each, ticket, now))
        return None if best is target else best

    @abstractmethod
    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        """The smaller, the better."""


class Balanced(_BestOfAll):
    """Most room, relative to the target's limits; among equals who has the least to do."""

    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        return -target.room(now), target.in_flight


class Cheapest(_BestOfAll):
    """The lowest price for what the job is thought to take. Without a price: the dearest."""

    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        return inf if target.price is None else target.price.of(ticket.demand_at(target)), 0.0


class Fastest(_BestOfAll):
    """The shortest time to the first content of late.

    A target whose time is not known gets one job to tell it. One whose time is old gets one, too,
    but no more often than once in a minute and in 20 jobs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._jobs = {False: 0, True: 0}
        """By kind: those that stream, and those that don't."""
        self._taken: OrderedDict[tuple[str, bool], tuple[int, float]] = OrderedDict()
        """By target and kind: the number of the job that it took last, and when. That of the
        latest job last."""

    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        kind = ticket.streams
        first_content = target.first_contents.of(streams=kind)
        mean = inf if first_content.mean is None else first_content.mean
        if now - first_content.noted_at < _OLD_SECONDS:
            return mean, 0.0
        number, taken_at = self._taken.get((target.full_name, kind), (-_JOBS_BETWEEN_PROBES, -inf))
        if taken_at > first_content.noted_at and now - taken_at < _PROBE_SECONDS:
            return mean, 0.0  # the answer that will tell is on its way
        if mean < inf and self._jobs[kind] - number < _JOBS_BETWEEN_PROBES:
            return mean, 0.0
        return -1.0, 0.0

    def granted(self, target: PoolTarget, ticket: Ticket, now: float) -> None:
        self._jobs[ticket.streams] += 1
        key = (target.full_name, ticket.streams)
        self._taken[key] = (self._jobs[ticket.streams], now)
        _keep_latest(self._taken, key, 2 * _MOST_TARGETS)


class Weighted(_BestOfAll):
    """Jobs split by weights, evenly spread: of any 100 jobs that all targets have room for, 95
    and 5 with weights of 95 and 5. What a target had no room for it does not get later.

    Each job brings every target that has room its weight, and whoever has most takes the job and
    pays for all (as nginx does it: smooth weighted round-robin).
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        """
        Args:
            weights: by the targets' full names. Who has 0, or none, gets what no other takes.
        """
        super().__init__()
        self._weights = weights
        self._credit: OrderedDict[str, float] = OrderedDict()
        """That of a target that changed last at the end."""

    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        weight = self._weights.get(target.full_name, 0.0)
        if not weight:
            return 1.0, 0.0
        return 0.0, -self._credit.get(target.full_name, 0.0) - weight

    def granted(self, target: PoolTarget, ticket: Ticket, now: float) -> None:
        paid = 0.0
        for each in self._with_room:
            weight = self._weights.get(each.full_name, 0.0)
            if weight:
                self._earn(each, weight)
                paid += weight
        if paid and self._weights.get(target.full_name, 0.0):
            self._earn(target, -paid)

    def _earn(self, target: PoolTarget, credit: float) -> None:
        name = target.full_name
        self._credit[name] = self._credit.get(name, 0.0) + credit
        _keep_latest(self._credit, name, _MOST_TARGETS)


class Blended(_BestOfAll):
    """Price, room and nearness weighed against each other, for targets of different models."""

    def __init__(self, cost_bias: float, prefer_local: float) -> None:
        """
        Args:
            cost_bias: 0 to 1, how much the price counts; the rest is what room counts.
            prefer_local: 0 to 1, how much it is worth that a target runs here; 1: more than all
                else together.
        """
        super().__init__()
        self._cost_bias = cost_bias
        self._prefer_local = prefer_local

    def _badness(self, target: PoolTarget, ticket: Ticket, now: float) -> tuple[float, float]:
        cost = self._cost_bias * dearness(target.price)
        crowd = (1 - self._cost_bias) * (1 - target.room(now))
        return cost + crowd - self._prefer_local * target.is_local, target.in_flight


class Sticky(Preference):
    """First the target that served the job's conversation last, whose prompt cache knows how it
    begins; else as another preference says."""

    def __init__(self, otherwise: Preference) -> None:
        self._otherwise = otherwise
        self._last: OrderedDict[int, str] = OrderedDict()
        """Full names of targets by conversation, that of the latest job last."""

    @property
    def conversations(self) -> int:
        """How many are remembered."""
        return len(self._last)

    def rival(
        self, target: PoolTarget, ticket: Ticket, targets: Sequence[PoolTarget], now: float
    ) -> PoolTarget | None:
        name = None if ticket.conversation is None else self._last.get(ticket.conversation)
        if name == target.full_name:
            return None
        for each in targets:
            if each.full_name == name and each.has_room(ticket.demand_at(each), now):
                return each
        return self._otherwise.rival(target, ticket, targets, now)

    def granted(self, target: PoolTarget, ticket: Ticket, now: float) -> None:
        conversation = ticket.conversation
        stays = conversation is not None and self._last.get(conversation) == target.full_name
        if conversation is not None:
            self._last[conversation] = target.full_name
            _keep_latest(self._last, conversation, _MOST_CONVERSATIONS)
        if not stays:
            self._otherwise.granted(target, ticket, now)


def _keep_latest(kept: OrderedDict[KeyT, ValueT], key: KeyT, most: int) -> None:
    """``key`` was set just now; of more than ``most`` the oldest is forgotten."""
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def preference_for(
    strategy: Strategy, *, weights: Mapping[str, float] | None = None, sticky: bool = False
) -> Preference:
    """A new preference, that remembers nothing yet.

    Args:
        weights: by the targets' full names, for ``weighted``.
        sticky: conversations stay where they are while there is room.
    """
    preference: Preference
    match strategy:
        case Strategy.ORDERED:
            preference = Ordered()
        case Strategy.BALANCED:
            preference = Balanced()
        case Strategy.CHEAPEST:
            preference = Cheapest()
        case Strategy.FASTEST:
            preference = Fastest()
        case Strategy.WEIGHTED:
            preference = Weighted(weights or {})
    return Sticky(preference) if sticky else preference
