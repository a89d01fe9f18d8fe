"""When a job that waits is expected to start, and what holds it back until then.

The gates of its way each say how long it takes until all that goes before the job has passed
them, and the job itself; the longest counts. Where several ways serve a lane, what is ahead is
dealt out among them as it will be: to whichever is free first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

from forebay.actors.scheduling.flows import Flow, Ticket
from forebay.actors.scheduling.gates import NOTHING_AHEAD, Backlog, Demand, Gate
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.queue_ahead import Horizon, QueueAhead, queue_ahead
from forebay.actors.scheduling.targets import PoolTarget, Route

_MOST_PARTS = 16
"""Into which what is ahead is dealt out among several ways."""
_ROUNDS = 4
"""To find out how much of what draws on the same account is held back elsewhere meanwhile."""
_ROUNDS_OF_LEAVING = 4
"""To find out who will have given up before the job's turn, which comes earlier for that."""
_SETTLED = 0.02
"""Of the wait: a change by less is no reason to ask again."""
_MOST_LOOKED_AT = 512
"""Jobs of its own client, that are asked when they give up."""
_LEAST_PACE = 0.1
"""Calls: of a target that has served none of late."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one job has to expect."""

    position: int
    """1 and as many as wait now and would start before it, at the account by which it will be
    served, whatever they ask for. Also those are counted that will have given up by then."""
    seconds: float
    target: PoolTarget
    """By which it will be served."""
    gate: Gate
    """That holds it back longest."""


def forecast(lane: Lane, flow: Flow, ticket: Ticket, now: float) -> Forecast | None:
    """For a job that waits in ``flow`` of ``lane``. None: no target is left to serve it,
    or there is one without any limits."""
    return _forecast(_Asked(lane, flow, ticket, ticket.arrival), flow.before(ticket), now)


def first_forecast(lane: Lane, flow: Flow, now: float) -> Forecast | None:
    """For the first job of a flow. None also where no job waits."""
    head = flow.head()
    return None if head is None else forecast(lane, flow, head, now)


def last_forecast(lane: Lane, flow: Flow, now: float) -> Forecast | None:
    """For the last job of a flow, as far as is known without looking at it. None also where no job
    waits."""
    head = flow.head()
    if head is None:
        return None
    backlog = flow.backlog()
    ahead = backlog * max(0.0, 1 - 1 / max(1.0, backlog.calls))
    return _forecast(_Asked(lane, flow, head, flow.last_arrival), ahead, now)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The job that a forecast is for."""

    lane: Lane
    flow: Flow
    like: Ticket
    """It, or one like it."""
    arrival: float
    """Its number."""


def _forecast(asked: _Asked, own: Backlog, now: float) -> Forecast | None:
    """
    Args:
        own: what waits in front of the job in its flow.
    """
    expected = _forecast_if_all_stay(asked, own, None, now)
    for _ in range(_ROUNDS_OF_LEAVING):
        # Who is still there at its turn follows from when that is, and the other way round.
        if expected is None or not 0 < expected.seconds < inf:
            break
        seconds = expected.seconds
        pace = seconds / (own.calls + 0.5)
        own = asked.flow.staying(
            now,
            first=0.5 * pace,
            pace=pace,
            before=asked.arrival,
            most_looked_at=_MOST_LOOKED_AT,
        )
        again = _forecast_if_all_stay(asked, own, Horizon(now, seconds), now)
        if again is None:
            break
        expected = replace(again, position=expected.position)
        if abs(expected.seconds - seconds) <= _SETTLED * seconds:
            break
    return expected


def _forecast_if_all_stay(
    asked: _Asked, own: Backlog, horizon: Horizon | None, now: float
) -> Forecast | None:
    lane = asked.lane
    targets = [target for target in lane.targets if target.out is None]
    queues = {
        pool: queue_ahead(pool, asked.flow, own, asked.arrival, horizon)
        for pool in dict.fromkeys(target.pool for target in targets)
    }
    ways = [
        _Way(target, route, queues[target.pool].by_lane.get(lane, NOTHING_AHEAD), asked.like)
        for target in targets
        for route in target.routes
    ]
    if not ways or not all(way.gates for way in ways):
        return None
    others = _Others(lane, queues, ways, now)
    start = _start(ways, others.at, now)
    if others.may_be_held_back:
        for _ in range(_ROUNDS):
            others.hold_back(start.seconds, now)
            start = _start(ways, others.at, now)
    target = start.way.target
    position = 1 + round(queues[target.pool].waiting)
    return Forecast(position, start.seconds, target, start.gate)


class _Way:
    """One target by one route."""

    __slots__ = ("ahead", "demand", "gates", "target")

    def __init__(self, target: PoolTarget, route: Route, ahead: Backlog, like: Ticket) -> None:
        self.target = target
        self.gates = target.way(route).gates
        self.demand = like.demand_at(target)
        """What the job takes here."""
        self.ahead = _as_taken_here(ahead, like.demand, self.demand)
        """All that goes before it in its lane."""


def _as_taken_here(ahead: Backlog, anywhere: Demand, here: Demand) -> Backlog:
    """What is ahead is known as it is estimated for one target; others of the same requests count
    more tokens, or fewer."""
    if anywhere == here:
        return ahead
    output = ahead.output * (here.output / anywhere.output if anywhere.output else 1.0)
    taken, taken_here = anywhere.tokens - anywhere.output, here.tokens - here.output
    rest = (ahead.tokens - ahead.output) * (taken_here / taken if taken else 1.0)
    return Backlog(ahead.calls, rest + output, output)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where and when a job can start."""

    seconds: float
    gate: Gate
    way: _Way


def _start(ways: Sequence[_Way], others: Callable[[Gate], Backlog], now: float) -> _Start:
    """Deal out what is ahead in the lane among ``ways``; then it is the job's turn."""
    at = {gate: others(gate) for way in ways for gate in way.gates}
    if len(ways) == 1:
        (way,) = ways
        return _start_by(way, {gate: at[gate] + way.ahead for gate in way.gates}, now)
    parts = min(_MOST_PARTS, ceil(max(way.ahead.calls for way in ways)))
    starts = [_start_by(way, at, now) for way in ways]
    for _ in range(parts):
        first = min(starts, key=_seconds)
        part = first.way.ahead * (1 / parts)
        for gate in first.way.gates:
            at[gate] += part
        # The ways of other accounts have no gate in common with this one.
        pool = first.way.target.pool
        starts = [
            _start_by(start.way, at, now) if start.way.target.pool is pool else start
            for start in starts
        ]
    return min(starts, key=_seconds)


def _seconds(start: _Start) -> float:
    return start.seconds


def _start_by(way: _Way, at: Mapping[Gate, Backlog], now: float) -> _Start:
    """When the job could go one way, with so much before it at each gate."""
    longest, last = -1.0, way.gates[0]
    for gate in way.gates:
        seconds = gate.expected_wait(at[gate], way.demand, now)
        if seconds > longest:
            longest, last = seconds, gate
        elif seconds == longest and _is_open(last, way, now) and not _is_open(gate, way, now):
            last = gate
    return _Start(longest, last, way)


def _is_open(gate: Gate, way: _Way, now: float) -> bool:
    return gate.ready_at(way.demand, now) <= now


class _Elsewhere:
    """What one other lane is granted by one pool before the job."""

    __slots__ = ("backlog", "factor", "own_gates", "splits")

    def __init__(
        self, backlog: Backlog, splits: Sequence[tuple[PoolTarget, float]], shared: set[Gate]
    ) -> None:
        self.backlog = backlog
        self.splits = splits
        """The pool's targets and how much each of them takes of it."""
        self.factor = 1.0
        """What of it really passes by then; the rest is held back by gates of its own."""
        self.own_gates = [
            [gate for gate in _gates_below_account(target) if gate not in shared]
            for target, _ in splits
        ]

    def own_wait(self, now: float) -> float:
        """How long its own gates need to let it pass."""
        job = self.backlog * (1 / max(1.0, self.backlog.calls))
        demand = Demand(max(1.0, job.tokens), job.output)
        waits = []
        for (_, part), gates in zip(self.splits, self.own_gates, strict=True):
            ahead = self.backlog * part
            waits.append(max((g.expected_wait(ahead, demand, now) for g in gates), default=0.0))
        return min(waits)


class _Others:
    """What draws on each gate from other lanes."""

    def __init__(
        self, lane: Lane, queues: Mapping[Pool, QueueAhead], ways: Sequence[_Way], now: float
    ) -> None:
        shared = {gate for way in ways for gate in way.gates}
        self._elsewhere = [
            _Elsewhere(backlog, splits, shared)
            for pool, queue in queues.items()
            for other, backlog in queue.by_lane.items()
            if other is not lane and backlog.calls and (splits := _splits(other, pool, now))
        ]
        self._at: dict[Gate, Backlog] = {}
        self._sum_up()

    @property
    def may_be_held_back(self) -> bool:
        return any(any(each.own_gates) for each in self._elsewhere)

    def hold_back(self, seconds: float, now: float) -> None:
        """The job starts in so many seconds: what has not passed its own gates by then does not
        pass before it."""
        for each in self._elsewhere:
            wait = each.own_wait(now)
            each.factor = seconds / wait if wait > seconds else 1.0
        self._sum_up()

    def _sum_up(self) -> None:
        self._at.clear()
        for each in self._elsewhere:
            for target, part in each.splits:
                ahead = each.backlog * (part * each.factor)
                for gate in target.common_gates():
                    self._add(gate, ahead)
                for route in target.routes:
                    for gate in route.gates:
                        self._add(gate, ahead * (1 / len(target.routes)))

    def _add(self, gate: Gate, ahead: Backlog) -> None:
        self._at[gate] = self._at.get(gate, NOTHING_AHEAD) + ahead

    def at(self, gate: Gate) -> Backlog:
        return self._at.get(gate, NOTHING_AHEAD)


def _splits(lane: Lane, pool: Pool, now: float) -> list[tuple[PoolTarget, float]]:
    """Which of the pool's targets serve a lane, and how much of it each: as of late."""
    paces = {
        target: _LEAST_PACE + target.pace.at(now) for target in lane.targets if target.out is None
    }
    total = sum(paces.values())
    return [(target, pace / total) for target, pace in paces.items() if target.pool is pool]


def _gates_below_account(target: PoolTarget) -> Iterator[Gate]:
    yield from target.gates
    if len(target.routes) == 1:
        yield from target.routes[0].gates
