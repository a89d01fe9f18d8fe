"""Pools driven in simulated time, without tasks or sockets: hours of traffic in a second.

:class:`PoolLoop` pumps pools as their actors would: when they were rung, and when the time has come
that their last pump named. What a granted call then does is for its user to say;
:class:`Simulation` sends the calls to an :class:`UpstreamModel`, :class:`Service` just serves them.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from math import inf

from limited_upstream import BucketLimit, Limit, Manners, Slots, Upstream

from forebay.actors.scheduling.flows import (
    Flow,
    FlowKey,
    Priority,
    Ticket,
    TicketState,
    TrafficClass,
)
from forebay.actors.scheduling.gates import Demand, Ending, Gate, Outcome, Unit
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Lane, Strategy
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.preferences import Preference, preference_for
from forebay.actors.scheduling.targets import PoolTarget, Route

INTERACTIVE, BATCH = TrafficClass.INTERACTIVE, TrafficClass.BATCH

_MOST_PUMPS_AT_ONCE = 1000


class ListedTicket(Ticket):
    """A ticket that remembers its grants."""

    __slots__ = ("_on_grant", "grants", "key", "offered_at", "started_at")

    def __init__(
        self,
        key: FlowKey,
        tokens: float,
        on_grant: Callable[[ListedTicket, Grant], None],
        *,
        output: float = 0.0,
        conversation: int | None = None,
        streams: bool = False,
    ) -> None:
        super().__init__(Demand(tokens, output), conversation=conversation, streams=streams)
        self.key = key
        self._on_grant = on_grant
        self.grants: list[Grant] = []
        self.offered_at = 0.0
        self.started_at: float | None = None

    @property
    def client(self) -> str:
        return self.key.client

    @property
    def waited(self) -> float:
        assert self.started_at is not None
        return self.started_at - self.offered_at

    def granted(self, grant: Grant) -> None:
        self.grants.append(grant)
        self._on_grant(self, grant)


class ListFlow(Flow):
    """A flow over a plain list, kept in order of arrival."""

    def __init__(self, lane: ListLane, key: FlowKey, weight: float) -> None:
        super().__init__(key, weight)
        self._lane = lane
        self.tickets: list[tuple[int, Ticket]] = []
        self.enrolled = False

    def head(self) -> Ticket | None:
        while self.tickets and self.tickets[0][1].state is not TicketState.WAITING:
            heapq.heappop(self.tickets)
        return self.tickets[0][1] if self.tickets else None

    def take_head(self) -> Ticket:
        ticket = heapq.heappop(self.tickets)[1]
        self._lane.count_out(self, ticket)
        return ticket


class ListLane(Lane):
    """A lane over plain lists. It does for pools what the gateway's own lanes do."""

    def __init__(
        self,
        targets: tuple[PoolTarget, ...],
        preference: Strategy | Preference = Strategy.ORDERED,
    ) -> None:
        if isinstance(preference, Strategy):
            preference = preference_for(preference)
        super().__init__(targets, preference)
        self.pools = tuple(dict.fromkeys(target.pool for target in targets))
        self.flows: dict[FlowKey, ListFlow] = {}
        self.told_of_outage = 0

    def offer(self, ticket: ListedTicket, *, weight: float = 1.0) -> None:
        """Put a ticket, new or returned, in its place."""
        ticket.state = TicketState.WAITING
        flow = self.flows.get(ticket.key)
        if flow is None:
            flow = self.flows[ticket.key] = ListFlow(self, ticket.key, weight)
        heapq.heappush(flow.tickets, (ticket.arrival, ticket))
        self.count_in(flow, ticket, returns=bool(ticket.grants))
        for pool in self.pools:
            if flow.enrolled:
                pool.refresh(flow)
            else:
                pool.enrol(flow, self)
            pool.ring()
        flow.enrolled = True

    def cancel(self, ticket: ListedTicket) -> None:
        """The client of a waiting ticket goes away."""
        assert ticket.state is TicketState.WAITING
        ticket.state = TicketState.GONE
        flow = self.flows[ticket.key]
        self.count_out(flow, ticket)
        if flow.head() is None and flow.enrolled:
            self.emptied(flow)
        for pool in self.pools:
            pool.ring()

    def emptied(self, flow: Flow) -> None:
        assert isinstance(flow, ListFlow)
        flow.enrolled = False
        for pool in self.pools:
            pool.withdraw(flow)

    def target_out(self) -> None:
        self.told_of_outage += 1


def one_target(*gates: Gate) -> tuple[Pool, ListLane]:
    """A pool with these gates and one target, and a lane for it."""
    pool = Pool("pool", gates)
    return pool, ListLane((pool.add_target("target", (), [Route("host", ())]),))


class PoolLoop:
    """Simulated time, and pools that are pumped when they ask for it and not otherwise."""

    def __init__(self, *pools: Pool) -> None:
        self.now = 0.0
        self.pumps = 0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._serial = itertools.count()
        self._rung: set[Pool] = set()
        self._wakes: dict[Pool, float] = {}
        for pool in pools:
            self._wakes[pool] = inf
            pool.ring = partial(self._rung.add, pool)

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._serial), action))

    def settle(self) -> None:
        """Pump until nobody asks for more. Fails where pools wake each other without end."""
        pumps = 0
        while asking := [
            pool for pool, wake in self._wakes.items() if pool in self._rung or wake <= self.now
        ]:
            for pool in asking:
                self._rung.discard(pool)
                self._wakes[pool] = pool.pump(self.now)
            pumps += len(asking)
            assert pumps < _MOST_PUMPS_AT_ONCE
        self.pumps += pumps

    def run(self, until: float) -> None:
        while True:
            self.settle()
            next_event = self._events[0][0] if self._events else inf
            then = min(next_event, *self._wakes.values())
            if then > until:
                self.now = until
                return
            self.now = max(self.now, then)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()


class Service(PoolLoop):
    """Serves every granted call in the same time, and notes who was served."""

    def __init__(
        self,
        *pools: Pool,
        seconds: float = 1.0,
        used: Callable[[ListedTicket], float] = lambda ticket: ticket.demand.tokens,
    ) -> None:
        """
        Args:
            used: the tokens that a job turns out to use.
        """
        super().__init__(*pools)
        self._seconds = seconds
        self._used = used
        self.started: list[ListedTicket] = []
        self.tokens: defaultdict[FlowKey, float] = defaultdict(float)
        """Tokens served, as used."""
        self.on_finished: Callable[[ListLane, ListedTicket], None] = lambda lane, ticket: None

    def offer(
        self,
        lane: ListLane,
        client: str,
        tokens: float = 100.0,
        *,
        output: float = 0.0,
        weight: float = 1.0,
        traffic_class: TrafficClass = INTERACTIVE,
        priority: Priority = Priority.NORMAL,
        conversation: int | None = None,
        streams: bool = False,
    ) -> ListedTicket:
        key = FlowKey(client, traffic_class, priority)
        ticket = ListedTicket(
            key,
            tokens,
            partial(self._granted, lane),
            output=output,
            conversation=conversation,
            streams=streams,
        )
        ticket.offered_at = self.now
        lane.offer(ticket, weight=weight)
        return ticket

    def _granted(self, lane: ListLane, ticket: ListedTicket, grant: Grant) -> None:
        ticket.started_at = self.now
        self.started.append(ticket)
        self.at(self.now + self._seconds, lambda: self._finish(lane, ticket, grant))

    def _finish(self, lane: ListLane, ticket: ListedTicket, grant: Grant) -> None:
        used = self._used(ticket)
        self.tokens[ticket.key] += used
        grant.accepted(self.now)
        grant.finish(Outcome(ending=Ending.SERVED, tokens=used), served=True, now=self.now)
        self.on_finished(lane, ticket)

    def started_clients(self, since: int = 0) -> Sequence[str]:
        """Whose jobs were started, in order."""
        return [ticket.client for ticket in self.started[since:]]


class UpstreamModel(Upstream):
    """The truth about an upstream: a request bucket and slots; ``inf`` means no such limit."""

    def __init__(
        self,
        *,
        rate: float = inf,
        burst: float = 1.0,
        slots: float = inf,
        latency: float = 0.005,
    ) -> None:
        self.latency = latency
        self._bucket = BucketLimit(Unit.REQUESTS, rate, burst) if rate < inf else None
        self._slots = Slots(int(slots)) if slots < inf else None
        limits: list[Limit | None] = [self._bucket, self._slots]
        manners = Manners(latency=lambda random: latency)
        super().__init__([limit for limit in limits if limit is not None], manners)

    def change(self, now: float, *, rate: float = inf, slots: float = inf) -> None:
        """From now on another limit holds than the one that there was."""
        if self._bucket is not None:
            self._bucket.change(now, rate)
        if self._slots is not None:
            self._slots.change(now, int(slots))


class Simulation(PoolLoop):
    """Runs one pool and lane against an upstream model."""

    def __init__(self, pool: Pool, lane: ListLane, upstream: UpstreamModel) -> None:
        super().__init__(pool)
        self.lane = lane
        self.upstream = upstream
        self.finished: list[tuple[ListedTicket, float]] = []
        self.on_finished: Callable[[ListedTicket], None] = lambda ticket: None
        self.refusal_wait: float | None = None

    def offer(self, client: str, tokens: float = 100.0) -> ListedTicket:
        ticket = ListedTicket(FlowKey(client, INTERACTIVE), tokens, self._granted)
        ticket.offered_at = self.now
        self.lane.offer(ticket)
        return ticket

    def keep_offering(self, clients: int) -> None:
        """So many clients that always ask again as soon as they were served."""
        self.on_finished = self._offer_again
        for number in range(clients):
            self.offer(f"client-{number}")

    def _offer_again(self, ticket: ListedTicket) -> None:
        self.offer(ticket.client)

    def _granted(self, ticket: ListedTicket, grant: Grant) -> None:
        self.at(self.now + 0.001, lambda: self._arrive(ticket, grant))

    def _arrive(self, ticket: ListedTicket, grant: Grant) -> None:
        if self.upstream.call(ticket.demand, self.now) is None:
            ticket.started_at = self.now
            self.at(self.now + self.upstream.latency, lambda: self._done(ticket, grant))
        else:
            self.at(self.now + 0.001, lambda: self._refused(ticket, grant))

    def _refused(self, ticket: ListedTicket, grant: Grant) -> None:
        self.lane.offer(ticket)
        grant.finish(
            Outcome(ending=Ending.REFUSED, retry_after=self.refusal_wait),
            served=False,
            now=self.now,
        )

    def _done(self, ticket: ListedTicket, grant: Grant) -> None:
        self.upstream.end(ticket.demand, ticket.demand, self.now)
        grant.accepted(self.now)
        grant.finish(Outcome(ending=Ending.SERVED), served=True, now=self.now)
        self.finished.append((ticket, self.now))
        self.on_finished(ticket)
