"""A discrete-event upstream for pools: seconds of traffic without tasks or sockets."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from forebay.actors.scheduling.flows import Flow, FlowKey, Ticket, TrafficClass
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.lanes import Lane, Strategy
from forebay.actors.scheduling.pool import Grant, Pool, PoolTarget


class ListedTicket(Ticket):
    """A ticket that remembers its grants."""

    __slots__ = ("flow", "grants", "offered_at", "on_grant", "started_at")

    def __init__(self, tokens: float, on_grant: Callable[[ListedTicket, Grant], None]) -> None:
        super().__init__(Demand(tokens))
        self.on_grant = on_grant
        self.grants: list[Grant] = []
        self.flow: ListFlow | None = None
        self.offered_at = 0.0
        self.started_at: float | None = None

    def granted(self, grant: Grant) -> None:
        self.grants.append(grant)
        self.on_grant(self, grant)


class ListFlow(Flow):
    """A flow over a plain list, kept in order of arrival."""

    def __init__(self, key: FlowKey, weight: float = 1.0) -> None:
        super().__init__(key, weight)
        self.tickets: list[tuple[int, Ticket]] = []
        self.enrolled = False

    def head(self) -> Ticket | None:
        return self.tickets[0][1] if self.tickets else None

    def take_head(self) -> Ticket:
        return heapq.heappop(self.tickets)[1]


class ListLane(Lane):
    def __init__(
        self, targets: tuple[PoolTarget, ...], strategy: Strategy = Strategy.ORDERED
    ) -> None:
        super().__init__(targets, strategy)
        self.flows: dict[FlowKey, ListFlow] = {}
        self.told_of_outage = 0
        for target in targets:
            target.lanes.add(self)

    def offer(
        self,
        ticket: ListedTicket,
        client: str,
        *,
        weight: float = 1.0,
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
        lift: bool = True,
    ) -> None:
        key = FlowKey(client, traffic_class)
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = ListFlow(key, weight)
        ticket.flow = flow
        heapq.heappush(flow.tickets, (ticket.arrival, ticket))
        self.waiting += 1
        for pool in {target.pool for target in self.targets}:
            if flow.enrolled:
                pool.refresh(flow)
            else:
                pool.enrol(flow, self, lift=lift)
        flow.enrolled = True

    def emptied(self, flow: Flow) -> None:
        assert isinstance(flow, ListFlow)
        flow.enrolled = False
        for pool in {target.pool for target in self.targets}:
            pool.withdraw(flow)

    def target_out(self) -> None:
        self.told_of_outage += 1


@dataclass
class UpstreamModel:
    """The truth about an upstream: a request bucket and slots; ``inf`` means no such limit."""

    rate: float = inf
    burst: float = 1.0
    slots: float = inf
    latency: float = 0.005
    level: float = field(init=False)
    at: float = 0.0
    busy: int = 0
    accepted: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.level = self.burst

    def call(self, now: float) -> bool:
        if self.rate < inf:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
            self.at = now
        if self.busy >= self.slots or (self.rate < inf and self.level < 1 - 1e-9):
            self.refused += 1
            return False
        if self.rate < inf:
            self.level -= 1
        self.busy += 1
        self.accepted += 1
        return True


class Simulation:
    """Runs one pool and lane against an upstream model."""

    def __init__(self, pool: Pool, lane: ListLane, upstream: UpstreamModel) -> None:
        self.pool = pool
        self.lane = lane
        self.upstream = upstream
        self.now = 0.0
        self.finished: list[tuple[ListedTicket, float]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self.on_finished: Callable[[ListedTicket], None] = lambda ticket: None
        self.refusal_wait: float | None = None

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._serial), action))

    def offer(self, client: str, tokens: float = 100.0, **how: float) -> ListedTicket:
        ticket = ListedTicket(tokens, self._granted)
        ticket.offered_at = self.now
        self.lane.offer(ticket, client, weight=how.get("weight", 1.0))
        return ticket

    def _granted(self, ticket: ListedTicket, grant: Grant) -> None:
        self.at(self.now + 0.001, lambda: self._arrive(ticket, grant))

    def _arrive(self, ticket: ListedTicket, grant: Grant) -> None:
        if self.upstream.call(self.now):
            ticket.started_at = self.now
            self.at(self.now + self.upstream.latency, lambda: self._done(ticket, grant))
        else:
            self.at(self.now + 0.001, lambda: self._refused(ticket, grant))

    def _refused(self, ticket: ListedTicket, grant: Grant) -> None:
        assert ticket.flow is not None
        key = ticket.flow.key
        self.lane.offer(ticket, key.client, lift=False)
        grant.finish(
            Outcome(ending=Ending.REFUSED, retry_after=self.refusal_wait),
            served=False,
            now=self.now,
        )

    def _done(self, ticket: ListedTicket, grant: Grant) -> None:
        self.upstream.busy -= 1
        self.lane.waiting -= 1
        grant.accepted(self.now)
        grant.finish(Outcome(ending=Ending.SERVED), served=True, now=self.now)
        self.finished.append((ticket, self.now))
        self.on_finished(ticket)

    def run(self, until: float) -> None:
        wake = self.pool.pump(self.now)
        while True:
            next_event = self._events[0][0] if self._events else inf
            then = min(next_event, wake)
            if then > until:
                self.now = until
                return
            self.now = max(self.now, then)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            wake = self.pool.pump(self.now)
