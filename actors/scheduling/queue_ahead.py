"""Which jobs a pool is expected to grant before a given one: its place in the fair order.

A client's next job starts when the counters of all others have come as far as its own, so what
others get first follows from the counters: of each other client as much as its share of the work
that the job's own client still has before it. Clients come meanwhile, too: those who have asked
all along are taken to go on, and new ones to come as often as of late.

All of this is expectation: calls may be halves. One question looks at no more than some hundred
clients, however many wait.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, inf

from forebay.actors.scheduling.flows import Flow, TrafficClass
from forebay.actors.scheduling.gates import NOTHING_AHEAD, Backlog
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.pool_queue import PoolQueue
from forebay.actors.scheduling.shares import Share
from forebay.actors.scheduling.standing import Standing

_MOST_CLIENTS = 128
"""Whose counters one question looks at; of more, evenly chosen ones stand for all."""
_MOST_JOBS = 32
"""Of one other client, that are asked when they give up."""
_MOST_COMING = 0.995
"""Of all work until the job's turn: what may be of clients that are still to come."""


@dataclass(frozen=True, slots=True)
class QueueAhead:
    """What a pool is expected to grant before one job."""

    waiting: float = 0.0
    """Jobs of it that wait now."""
    by_lane: Mapping[Lane, Backlog] = field(default_factory=dict)
    """All of it, with jobs that are still to come."""


class _Sum:
    """A backlog that is being added up."""

    __slots__ = ("calls", "output", "tokens")

    def __init__(self) -> None:
        self.calls = self.tokens = self.output = 0.0

    def add(self, backlog: Backlog) -> None:
        self.calls += backlog.calls
        self.tokens += backlog.tokens
        self.output += backlog.output

    def add_part(self, flow: Flow, calls: float, tokens: float) -> None:
        """Of what waits in a flow: these parts of its calls and its tokens."""
        self.calls += flow.waiting * calls
        self.tokens += flow.tokens * tokens
        self.output += flow.output * tokens

    def grow(self, factor: float) -> None:
        self.calls *= factor
        self.tokens *= factor
        self.output *= factor


@dataclass(frozen=True, slots=True)
class Horizon:
    """When the job is thought to start: who gives up before its own turn until then does not go
    before it."""

    now: float
    seconds: float
    """From now."""


def queue_ahead(
    pool: Pool, flow: Flow, own: Backlog, arrival: float, horizon: Horizon | None = None
) -> QueueAhead:
    """What ``pool`` grants before a job of ``flow``.

    Args:
        own: what waits in front of the job in its flow, and will still be there at its turn.
        arrival: its number.
        horizon: None: nobody gives up.
    """
    queue = pool.queue
    standing = queue.standing_of(flow)
    if standing is None:
        return QueueAhead()
    count = _Count(queue, flow, standing, horizon)
    count.add_own(own, arrival)
    count.add_clients(arrival)
    count.add_those_to_come()
    count.add_other_class()
    return QueueAhead(
        count.waiting,
        {lane: Backlog(s.calls, s.tokens, s.output) for lane, s in count.by_lane.items()},
    )


class _Count:
    """Adds up what goes before one job."""

    def __init__(
        self, queue: PoolQueue, flow: Flow, standing: Standing, horizon: Horizon | None
    ) -> None:
        self.waiting = 0.0
        self.by_lane: defaultdict[Lane, _Sum] = defaultdict(_Sum)
        self._queue = queue
        self._horizon = horizon
        self._flow = flow
        self._standing = standing
        self._class = standing.traffic_class
        self._kept = self._queue.turnover.kept
        """What calls take, relative to what they are thought to take."""
        self._own = _Sum()
        self._in_class = _Sum()
        self._other_class: list[Standing] = []
        self._scale = 1.0
        """For how many clients each stands that is looked at."""
        self._first_arrival: float | None = None

    def add_own(self, own: Backlog, arrival: float) -> None:
        """What the same client has before the job."""
        self._own.add(own)
        self.by_lane[self._queue.lane_of(self._flow)].add(own)
        for peer in self._standing.flows:
            if peer is not self._flow:
                part = _before_in_peer(self._flow, peer, arrival)
                self._own.add(part)
                self.by_lane[self._queue.lane_of(peer)].add(part)
        self.waiting += self._own.calls
        self._in_class.add(Backlog(self._own.calls, self._own.tokens, self._own.output))

    def add_clients(self, arrival: float) -> None:
        """What others of the class get until the client's counter has come to the job."""
        share = self._standing.share
        kept = self._kept
        turn = _counter(share, kept) + self._own.tokens * kept / share.weight
        unevenness = self._queue.turnover.unevenness
        step = 1 + len(self._queue.standings) // _MOST_CLIENTS
        self._scale = float(step)
        for other in itertools.islice(self._queue.standings.values(), 0, None, step):
            if other is self._standing:
                continue
            if other.traffic_class is not self._class:
                self._other_class.append(other)
                continue
            waiting, tokens = _waiting(other)
            if not waiting:
                continue
            job = tokens / waiting * kept / other.share.weight
            distance = (turn - _counter(other.share, kept)) / job
            if distance <= -0.5:
                continue
            left = self._still_there(other, waiting, distance, arrival)
            # Who has asked for so long is expected to ask for as long again.
            most = left + other.taken
            calls = jobs = min(float(floor(distance + 0.5)), most)
            if calls < left and _nth_arrival(other, calls / waiting) < arrival:
                # Their counters are equal then, or nearly so, and the job came first. Large ones
                # are met more often.
                calls, jobs = calls + 1, min(most, jobs + unevenness)
            if calls:
                self.waiting += min(calls, left) * step
                self._add_part(other, calls * step / waiting, jobs * step / waiting)

    def _still_there(
        self, other: Standing, waiting: float, distance: float, arrival: float
    ) -> float:
        """How many jobs of another client will not have given up before their turn. It only matters
        where most of them would be granted before the job.

        Args:
            waiting: all of them.
            distance: so many of them go before the job.
            arrival: of the job.
        """
        horizon = self._horizon
        if horizon is None or 2 * (distance + 1) < waiting:
            return waiting
        if distance < 1:
            # All have their turns in the order in which they came.
            since = self._oldest()
            come = _arrival_of(other) - since
            pace = horizon.seconds
            first = pace * min(1.0, come / max(1.0, arrival - since))
        else:
            pace = horizon.seconds / (distance + 0.5)
            first = 0.5 * pace
        return sum(
            flow.staying(horizon.now, first=first, pace=pace, most_looked_at=_MOST_JOBS).calls
            for flow in other.flows
        )

    def _oldest(self) -> float:
        """When the first job came of all that are looked at."""
        if self._first_arrival is None:
            step = int(self._scale)
            looked_at = itertools.islice(self._queue.standings.values(), 0, None, step)
            self._first_arrival = min(map(_arrival_of, looked_at), default=0.0)
        return self._first_arrival

    def _add_part(self, other: Standing, calls: float, tokens: float) -> None:
        for flow in other.flows:
            self.by_lane[self._queue.lane_of(flow)].add_part(flow, calls, tokens)
            self._in_class.add_part(flow, calls, tokens)

    def add_those_to_come(self) -> None:
        """Clients that come before the last round until the job's turn pass it."""
        share = self._standing.share
        job = self._flow.tokens / max(1, self._flow.waiting) * self._kept / share.weight
        turnover = self._queue.turnover
        late = _counter(share, self._kept) - self._queue.virtual_time(self._class)
        later = late / job - turnover.late(self._class) if job > 0 else 0.0
        rounds = self._own.calls + max(0.0, later)
        coming = turnover.newcomers(self._class, len(self._queue.standings)) * rounds / (rounds + 1)
        self._grow(1 / (1 - min(_MOST_COMING, coming)))

    def _grow(self, factor: float) -> None:
        self._in_class.grow(factor)
        for each in self.by_lane.values():
            each.grow(factor)

    def add_other_class(self) -> None:
        """What the other class is granted meanwhile."""
        other = next(each for each in TrafficClass if each is not self._class)
        own_share = self._queue.class_share(self._class)
        other_share = self._queue.class_share(other)
        if own_share is None or other_share is None:
            return
        kept, calls = self._kept, self._in_class.calls
        # What the other class has had of late it goes on to get, up to its part.
        usual = self._queue.turnover.share_of(other)
        expected = calls * usual / max(1 - usual, 1 - _MOST_COMING)
        totals = [_waiting(each) for each in self._other_class]
        waiting = sum(each for each, _ in totals) * self._scale
        if not waiting:
            if calls:
                self._grow(1 + min(expected / calls, other_share.weight / own_share.weight))
            return
        job = sum(each for _, each in totals) * self._scale / waiting
        turn = _counter(own_share, kept) + self._in_class.tokens * kept / own_share.weight
        ahead = (turn - _counter(other_share, kept)) * other_share.weight / (kept * job)
        expected = min(float(max(0, ceil(ahead))), max(waiting, expected))
        for each in self._other_class:
            part = expected * self._scale / waiting
            for flow in each.flows:
                self.by_lane[self._queue.lane_of(flow)].add_part(flow, part, part)
        self.waiting += min(expected, waiting)


def _counter(share: Share[str] | Share[TrafficClass], kept: float) -> float:
    """With what calls under way will have taken, rather than what was charged for them."""
    return share.counter - (1 - kept) * share.pending


def _waiting(standing: Standing) -> tuple[float, float]:
    """A client's calls and their tokens."""
    calls = tokens = 0.0
    for flow in standing.flows:
        calls += flow.waiting
        tokens += flow.tokens
    return calls, tokens


def _before_in_peer(flow: Flow, peer: Flow, arrival: float) -> Backlog:
    """What goes first of another flow of the same client."""
    own, other = flow.key.priority.precedence, peer.key.priority.precedence
    if other != own:
        return peer.backlog() if other < own else NOTHING_AHEAD
    return peer.before_arrival(arrival)


def _arrival_of(standing: Standing) -> float:
    """When the first job came of one of a client's flows."""
    head = next(iter(standing.flows)).head()
    return inf if head is None else head.arrival


def _nth_arrival(standing: Standing, part: float) -> float:
    """When the job came that has this part of its client's before it, if they came evenly."""
    first = _arrival_of(standing)
    last = next(iter(standing.flows)).last_arrival
    return inf if first == inf else first + (last - first) * part
