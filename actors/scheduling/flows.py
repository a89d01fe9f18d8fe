"""Jobs that wait, in the order in which they came, as a pool sees them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum, auto
from itertools import islice
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from forebay.actors.scheduling.gates import NOTHING_AHEAD, Backlog, Demand

if TYPE_CHECKING:
    from forebay.actors.scheduling.grants import Grant
    from forebay.actors.scheduling.targets import PoolTarget


class TrafficClass(StrEnum):
    INTERACTIVE = "interactive"
    BATCH = "batch"


class Priority(StrEnum):
    """How a client orders its own jobs; it says nothing to the jobs of others."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def precedence(self) -> int:
        """0 goes first."""
        return _PRECEDENCE[self]


_PRECEDENCE = {priority: number for number, priority in enumerate(Priority)}


class FlowKey(NamedTuple):
    """Whose jobs a flow holds, and which of them."""

    client: str
    traffic_class: TrafficClass
    priority: Priority = Priority.NORMAL


class TicketState(Enum):
    WAITING = auto()
    GRANTED = auto()
    GONE = auto()
    """Its job does not wait any more: the client left, or its time was up."""


_WAITING: Final = TicketState.WAITING
_arrivals: Iterator[int] = itertools.count()


class Ticket(ABC):
    """One job's place. It keeps its arrival number however often it is put back."""

    __slots__ = (
        "arrival",
        "calls_before",
        "conversation",
        "deadline",
        "demand",
        "demands",
        "state",
        "streams",
        "tokens_before",
    )

    def __init__(
        self,
        demand: Demand,
        *,
        demands: Mapping[PoolTarget, Demand] | None = None,
        conversation: int | None = None,
        streams: bool = False,
        deadline: float = inf,
    ) -> None:
        self.arrival = next(_arrivals)
        self.demand = demand
        """What it is thought to take where nothing else is said."""
        self.demands = demands
        """What it is thought to take at each target, where that differs."""
        self.conversation = conversation
        """Jobs that begin alike have the same; None: nothing is known to begin like it."""
        self.streams = streams
        """Its answer comes little by little."""
        self.deadline = deadline
        """When it gives up waiting, on the clock of all ``now``."""
        self.calls_before = 0.0
        """How many jobs have come to its flow before it, from any beginning."""
        self.tokens_before = 0.0
        """What they were thought to take."""
        self.state = _WAITING

    def demand_at(self, target: PoolTarget) -> Demand:
        demands = self.demands
        return self.demand if demands is None else demands.get(target, self.demand)

    @abstractmethod
    def granted(self, grant: Grant) -> None:
        """The job may start. Synchronous; called once per wait, in state GRANTED."""


_arrival: Final = attrgetter("arrival")


class Flow(ABC):
    """The waiting jobs of one client, class and priority in one lane, first in first out."""

    def __init__(self, key: FlowKey, weight: float) -> None:
        self.key = key
        self.precedence = key.priority.precedence
        self.weight = weight
        self.waiting = 0
        """Jobs that wait here, wherever they stand."""
        self._tickets: dict[Ticket, None] = {}
        """Theirs. In the order in which they came, but for those that came back."""
        self.last_arrival = 0
        self.tokens = 0.0
        """What they are thought to take, input and output together."""
        self.output = 0.0
        self._calls_begin = self._tokens_begin = 0.0
        """What the first of all that were here is said to have had before it: less and less, where
        jobs come back."""
        self._calls_end = self._tokens_end = 0.0
        """What the next will have had before it."""

    def count_in(
        self, ticket: Ticket, *, returns: bool = False, arrived_before: bool = False
    ) -> None:
        """A job begins to wait here.

        Args:
            returns: to its own place, before all others.
            arrived_before: it has waited elsewhere, and keeps its place among those that have
                waited there with it; whoever came later comes after it.
        """
        demand = ticket.demand
        tokens = demand.tokens
        self._tickets[ticket] = None
        self.waiting += 1
        self.tokens += tokens
        self.output += demand.output
        if not returns and not arrived_before:
            ticket.calls_before, ticket.tokens_before = self._calls_end, self._tokens_end
            self._calls_end += 1.0
            self._tokens_end += tokens
            self.last_arrival = ticket.arrival
        elif returns:
            self._calls_begin -= 1.0
            self._tokens_begin -= demand.tokens
            ticket.calls_before, ticket.tokens_before = self._calls_begin, self._tokens_begin
        else:
            self._calls_begin = min(self._calls_begin, ticket.calls_before)
            self._tokens_begin = min(self._tokens_begin, ticket.tokens_before)
            self._calls_end = max(self._calls_end, ticket.calls_before + 1.0)
            self._tokens_end = max(self._tokens_end, ticket.tokens_before + demand.tokens)
            self.last_arrival = max(self.last_arrival, ticket.arrival)

    def count_out(self, ticket: Ticket) -> None:
        """It does not wait here any more."""
        del self._tickets[ticket]
        self.waiting -= 1
        if self.waiting:
            self.tokens -= ticket.demand.tokens
            self.output -= ticket.demand.output
        else:
            self.tokens = self.output = 0.0

    def backlog(self) -> Backlog:
        """All that wait here."""
        return Backlog(float(self.waiting), self.tokens, self.output)

    def before(self, ticket: Ticket) -> Backlog:
        """What waits in front of one of this flow's jobs. Those that have given up in between are
        taken to be spread evenly."""
        head = self.head()
        if head is None or head is ticket:
            return NOTHING_AHEAD
        span = max(1.0, self._calls_end - head.calls_before)
        still_there = min(1.0, self.waiting / span)
        calls = max(0.0, ticket.calls_before - head.calls_before) * still_there
        tokens = max(0.0, ticket.tokens_before - head.tokens_before) * still_there
        share_of_output = self.output / self.tokens if self.tokens > 0 else 0.0
        return Backlog(calls, tokens, tokens * share_of_output)

    def before_arrival(self, arrival: float) -> Backlog:
        """What waits here that has come before a job of another flow, if the jobs of this one have
        come at an even pace."""
        head = self.head()
        if head is None or arrival <= head.arrival:
            return NOTHING_AHEAD
        if arrival >= self.last_arrival:
            return self.backlog()
        return self.backlog() * ((arrival - head.arrival) / (self.last_arrival - head.arrival))

    def staying(
        self,
        now: float,
        *,
        first: float,
        pace: float,
        before: float = inf,
        most_looked_at: int,
    ) -> Backlog:
        """What waits here without the jobs that will have given up before their turn.

        Args:
            first: seconds until the first of them starts.
            pace: seconds between their starts.
            before: of what came before this number.
            most_looked_at: of more jobs, evenly chosen ones stand for all.
        """
        step = 1 + len(self._tickets) // most_looked_at
        calls = tokens = output = 0.0
        for ticket in islice(sorted(self._tickets, key=_arrival), 0, None, step):
            if ticket.arrival >= before:
                break
            if ticket.state is _WAITING and ticket.deadline >= now + first + calls * pace:
                calls += step
                tokens += ticket.demand.tokens * step
                output += ticket.demand.output * step
        return Backlog(calls, tokens, output)

    @abstractmethod
    def head(self) -> Ticket | None:
        """The job that came first, which stays where it is; None: none waits."""

    @abstractmethod
    def take_head(self) -> Ticket:
        """Remove and return the job that ``head`` showed."""
