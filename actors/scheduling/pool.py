"""A provider's budgets and the scheduler that grants from them.

A pool *pulls*: when it may have room it looks at the first job of every flow that one of its
targets can serve, takes the one whose class and client were served least, and grants. Jobs are
bound to a target only then. A lane with several targets is looked at by several pools; pulling is
synchronous, so no two can take the same job.

Who may pass a job that is first but has to wait: only jobs that take nothing from the gates that
it waits for. Anybody else would spend what it is waiting for, and large jobs would starve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from forebay.actors.scheduling.flows import Flow, FlowKey, Ticket, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Call, Demand, Gate, Outcome
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.order import Entry, FlowOrder
from forebay.actors.scheduling.shares import Share, ShareTable

CLASS_WEIGHTS = {TrafficClass.INTERACTIVE: 80.0, TrafficClass.BATCH: 20.0}
"""How the classes split a pool while both wait; either borrows what the other leaves."""

_GRANTS_PER_PUMP = 256
"""Then the pump yields, so that a thousand grants do not hold up everything else."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way to a target: a host of the provider."""

    host: str
    """Base URL."""
    gates: tuple[Gate, ...]
    """What bounds this host, and this target on it."""


@dataclass(slots=True, eq=False)
class _Enrolment:
    """A flow with jobs waiting, at one pool."""

    flow: Flow
    lane: Lane
    share: Share[str]
    entries: dict[PoolTarget, Entry] = field(default_factory=dict)


class PoolTarget:
    """One upstream model at the pool's provider."""

    def __init__(
        self, pool: Pool, name: str, gates: Sequence[Gate], routes: Sequence[Route]
    ) -> None:
        if not routes:
            raise ValueError(f"target {name!r} needs at least one route")
        self.pool = pool
        self.name = name
        self.gates = tuple(gates)
        self.routes = tuple(routes)
        self.out: str | None = None
        """Why the target is taken out; None while it serves."""
        self.lanes: set[Lane] = set()
        """Lanes with waiting jobs that this target may serve."""
        self.orders: dict[TrafficClass, FlowOrder] = {}
        """Who waits for this target, by class."""
        self.in_flight = 0

    @property
    def idle(self) -> bool:
        """No job waits for the target or is under way there."""
        return not self.lanes and not self.in_flight

    def common_gates(self) -> Iterable[Gate]:
        yield from self.pool.gates
        yield from self.gates

    def readiness(self, demand: Demand, now: float) -> tuple[float, Route | None, list[Gate]]:
        """When ``demand`` may pass here, by which route (None: each is barred by a job that was
        first), and the gates that hold it back."""
        closed: list[Gate] = []
        ready = -inf
        for gate in self.common_gates():
            gate_ready = gate.ready_at(demand, now)
            if gate_ready > now:
                closed.append(gate)
            ready = max(ready, gate_ready)
        best: Route | None = None
        best_ready = inf
        closed_routes: list[Gate] = []
        for route in self.routes:
            if not self.pool.blocked.isdisjoint(route.gates):
                continue  # barred by a job that waits for this route
            route_ready = -inf
            for gate in route.gates:
                gate_ready = gate.ready_at(demand, now)
                if gate_ready > now:
                    closed_routes.append(gate)
                route_ready = max(route_ready, gate_ready)
            if best is None or route_ready < best_ready:
                best, best_ready = route, route_ready
        if best_ready > now:
            closed += closed_routes
        return max(ready, best_ready), best, closed

    def has_room(self, demand: Demand, now: float) -> bool:
        """Whether this demand would be granted here at once."""
        if self.out is not None:
            return False
        ready, _, _ = self.readiness(demand, now)
        return ready <= now and self.pool.blocked.isdisjoint(self.common_gates())

    def blocking_gate(self, demand: Demand, now: float) -> tuple[Gate, float] | None:
        """The gate that a job which waits here waits for longest, and for how many seconds."""
        ahead = max(0, sum(lane.waiting for lane in self.lanes) - 1)
        ahead_tokens = max(
            0.0, math.fsum(lane.waiting_tokens for lane in self.lanes) - demand.tokens
        )
        worst: tuple[Gate, float] | None = None
        for gate in self.common_gates():
            worst = _longer(worst, gate, gate.expected_wait(ahead, ahead_tokens, demand, now))
        best: tuple[Gate, float] | None = None
        for route in self.routes:
            here: tuple[Gate, float] | None = None
            for gate in route.gates:
                share = ahead // len(self.routes)
                here = _longer(here, gate, gate.expected_wait(share, ahead_tokens, demand, now))
            if here is not None and (best is None or here[1] < best[1]):
                best = here
        if best is not None:
            worst = _longer(worst, *best)
        return worst


def _longer(worst: tuple[Gate, float] | None, gate: Gate, wait: float) -> tuple[Gate, float] | None:
    return (gate, wait) if worst is None or wait > worst[1] else worst


class Grant:
    """The right to make one call to one target now. Ends exactly once, by ``finish``."""

    __slots__ = ("_charged", "_class_share", "_finished", "_share", "call", "route", "target")

    def __init__(
        self,
        target: PoolTarget,
        route: Route,
        call: Call,
        share: Share[str],
        class_share: Share[TrafficClass],
    ) -> None:
        self.target = target
        self.route = route
        self.call = call
        self._share = share
        self._class_share = class_share
        self._charged = call.demand.tokens
        self._finished = False

    def _gates(self) -> Iterable[Gate]:
        yield from self.target.common_gates()
        yield from self.route.gates

    def accepted(self, now: float) -> None:
        """The upstream has taken the call on, which may open gates (a probe has gone well)."""
        if not self._finished:
            for gate in self._gates():
                gate.accepted(self.call, now)
            self.target.pool.look_again()

    def finish(self, outcome: Outcome, *, served: bool, now: float) -> None:
        """Give the permit back. What comes after the first time does nothing.

        Args:
            served: the client got something for it: its share is charged what was used. Else
                its share gets the cost back, and with it its place.
        """
        if self._finished:
            return
        self._finished = True
        self.target.in_flight -= 1
        for gate in self._gates():
            gate.finish(self.call, outcome, now)
        used = self._charged if outcome.tokens is None else outcome.tokens
        self.target.pool.settle(
            self._share, self._class_share, self._charged, used if served else 0.0
        )


class Pool:
    """One provider account: gates that all its targets share, and its targets."""

    def __init__(self, name: str, gates: Sequence[Gate]) -> None:
        self.name = name
        self.gates = tuple(gates)
        self.targets: dict[str, PoolTarget] = {}
        self.blocked: set[Gate] = set()
        """What first jobs were waiting for when the pool last pumped."""
        self.barring: set[Ticket] = set()
        """These first jobs."""
        self.deferring: set[Pool] = set()
        """Pools that left a job to this one because it had room; they look again after it."""
        self.ring: Callable[[], None] = _no_bell
        """Wakes whoever pumps this pool."""
        self.grants = 0
        self.out: str | None = None
        """Why the whole account is taken out; None while it serves."""
        self._classes: ShareTable[TrafficClass] = ShareTable()
        self._clients: dict[TrafficClass, ShareTable[str]] = {
            traffic_class: ShareTable() for traffic_class in TrafficClass
        }
        self._enrolled: dict[Flow, _Enrolment] = {}
        self._enrolled_by_share: dict[Share[str], set[_Enrolment]] = {}
        self._class_shares: dict[TrafficClass, Share[TrafficClass]] = {}
        self._active: dict[PoolTarget, None] = {}
        """Targets that somebody may wait for; ordered, so that the same always comes out."""

    def add_target(self, name: str, gates: Sequence[Gate], routes: Sequence[Route]) -> PoolTarget:
        target = PoolTarget(self, name, gates, routes)
        target.out = self.out
        self.targets[name] = target
        return target

    def remove_target(self, target: PoolTarget) -> None:
        """Forget an idle target."""
        if not target.idle:
            raise ValueError(f"target {target.name!r} is in use")
        del self.targets[target.name]
        self._active.pop(target, None)

    @property
    def backlogged_clients(self) -> int:
        return len({enrolment.share for enrolment in self._enrolled.values()})

    @property
    def remembered_clients(self) -> int:
        """Clients with a counter: with jobs that wait or are under way, or with a debt to those
        that have."""
        return sum(map(len, self._clients.values()))

    # Enrolment: which flows have jobs waiting.

    def enrol(self, flow: Flow, lane: Lane, *, lift: bool = True) -> None:
        """``flow`` of ``lane`` begins to have jobs waiting.

        Args:
            lift: makes no difference.
        """
        key = flow.key
        share = self._clients[key.traffic_class].enter(key.client, flow.weight)
        self._class_shares[key.traffic_class] = self._classes.enter(
            key.traffic_class, CLASS_WEIGHTS[key.traffic_class]
        )
        enrolment = _Enrolment(flow, lane, share)
        self._enrolled[flow] = enrolment
        self._enrolled_by_share.setdefault(share, set()).add(enrolment)
        self._push(enrolment)

    def refresh(self, flow: Flow) -> None:
        """A job came back to the front of an enrolled flow."""
        self._push(self._enrolled[flow])

    def _push(self, enrolment: _Enrolment) -> None:
        traffic_class = enrolment.flow.key.traffic_class
        for target in enrolment.lane.targets:
            if target.pool is self and target.out is None:
                old = enrolment.entries.get(target)
                if old is not None:
                    old.live = False
                entry = Entry(enrolment.flow, enrolment.share)
                enrolment.entries[target] = entry
                order = target.orders.get(traffic_class)
                if order is None:
                    order = target.orders[traffic_class] = FlowOrder(self._clients[traffic_class])
                order.add(entry)
                self._active[target] = None

    def withdraw(self, flow: Flow) -> None:
        """``flow`` has no job waiting any more."""
        enrolment = self._enrolled.pop(flow)
        for entry in enrolment.entries.values():
            entry.live = False
        peers = self._enrolled_by_share[enrolment.share]
        peers.discard(enrolment)
        if not peers:
            del self._enrolled_by_share[enrolment.share]
        self._clients[flow.key.traffic_class].leave(enrolment.share)
        self._classes.leave(self._class_shares[flow.key.traffic_class])

    def settle(
        self, share: Share[str], class_share: Share[TrafficClass], charged: float, used: float
    ) -> None:
        """A grant ended, that was charged so many tokens and has used so many."""
        opened_at = share.opens_at
        self._clients[class_share.key].settle(share, charged, used)
        self._classes.settle(class_share, charged, used)
        if share.opens_at < opened_at:
            # Entries are looked at lazily, which finds those that open later but not this.
            for enrolment in self._enrolled_by_share.get(share, ()):
                self._push(enrolment)
        self.ring()

    def look_again(self) -> None:
        """What first jobs wait for may have changed."""
        if self.blocked:
            self.ring()

    # The pump.

    def pump(self, now: float) -> float:
        """Grant all that can be granted now.

        Returns:
            When to pump again if nothing happens before: ``inf`` if only an event can help.
        """
        self._forget_barring()
        wake = inf
        granted = 0
        while True:
            before = len(self.blocked), granted
            bars_no_more = False
            aside: list[tuple[PoolTarget, FlowOrder, Entry]] = []
            deferred_to_self = False
            while granted < _GRANTS_PER_PUMP and (first := self._first()) is not None:
                target, order, entry, ticket = first
                ready, route, closed = target.readiness(ticket.demand, now)
                if ready > now or route is None:
                    self.blocked.update(closed)
                    self.barring.add(ticket)
                    # The first of its gates that opens no longer bars others, though the job
                    # itself may have to wait for the last.
                    wake = min([wake, *(gate.ready_at(ticket.demand, now) for gate in closed)])
                    continue
                lane = self._enrolled[entry.flow].lane
                preferred = lane.preferred(target, ticket.demand, now)
                if preferred is None:
                    bars_no_more |= ticket in self.barring
                    self._grant(target, route, entry.flow, now)
                    granted += 1
                    continue
                if preferred.pool is self:
                    deferred_to_self = True
                else:
                    preferred.pool.deferring.add(self)
                order.set_aside(entry)
                aside.append((target, order, entry))
            for target, order, entry in aside:
                order.bring_back(entry)
                self._active[target] = None
            if granted >= _GRANTS_PER_PUMP:
                wake = now
                break
            if bars_no_more:
                self._forget_barring()
                wake = inf
            elif not deferred_to_self or before == (len(self.blocked), granted):
                break
        self._ring_deferring()
        return wake

    def _forget_barring(self) -> None:
        self.blocked.clear()
        self.barring.clear()

    def _ring_deferring(self) -> None:
        deferring, self.deferring = self.deferring, set()
        for pool in deferring:
            pool.ring()

    def _first(self) -> tuple[PoolTarget, FlowOrder, Entry, Ticket] | None:
        """The job that is next among the targets that no blocked job bars."""
        targets = [target for target in self._active if self._is_open(target)]
        best: tuple[PoolTarget, FlowOrder, Entry, Ticket] | None = None
        best_counter = inf
        for traffic_class, clients in self._clients.items():
            class_share = self._class_shares.get(traffic_class)
            if class_share is None or class_share.counter >= best_counter:
                continue
            found = self._first_of_class(targets, traffic_class, clients)
            if found is not None:
                best, best_counter = found, class_share.counter
        return best

    def _is_open(self, target: PoolTarget) -> bool:
        if target.out is not None:
            return False
        if not self.blocked:
            return True
        return self.blocked.isdisjoint(target.common_gates()) and any(
            self.blocked.isdisjoint(route.gates) for route in target.routes
        )

    def _first_of_class(
        self, targets: Sequence[PoolTarget], traffic_class: TrafficClass, clients: ShareTable[str]
    ) -> tuple[PoolTarget, FlowOrder, Entry, Ticket] | None:
        orders = [
            (target, target.orders[traffic_class])
            for target in targets
            if traffic_class in target.orders
        ]
        while True:
            best: tuple[PoolTarget, FlowOrder, Entry, Ticket] | None = None
            for target, order in orders:
                first = order.first()
                while isinstance(first, Flow):
                    self._enrolled[first].lane.emptied(first)
                    first = order.first()
                if first is not None and (best is None or first[0].arrival < best[2].arrival):
                    best = (target, order, *first)
            if best is not None:
                return best
            windows = [window for _, order in orders if (window := order.next_window())]
            if not windows:
                break
            clients.advance(min(windows)[1])
        for target, _ in orders:
            if all(order.is_empty for order in target.orders.values()):
                self._active.pop(target, None)
        return None

    def _grant(self, target: PoolTarget, route: Route, flow: Flow, now: float) -> None:
        ticket = flow.take_head()
        for pool in {other.pool for other in self._enrolled[flow].lane.targets} - {self}:
            if ticket in pool.barring:
                pool.ring()
        call = Call(ticket.demand, now)
        for gate in (*target.common_gates(), *route.gates):
            gate.take(call, now)
        share = self._enrolled[flow].share
        class_share = self._class_shares[flow.key.traffic_class]
        self._classes.advance(class_share.counter)
        self._clients[flow.key.traffic_class].start(share, ticket.demand.tokens)
        self._classes.start(class_share, ticket.demand.tokens)
        self.grants += 1
        target.in_flight += 1
        ticket.state = TicketState.GRANTED
        ticket.granted(Grant(target, route, call, share, class_share))

    # Taking targets out.

    def take_out(self, target: PoolTarget, reason: str) -> None:
        """No waiting cures what this target has. Lanes without any other are told."""
        target.out = reason
        target.orders.clear()
        self._active.pop(target, None)
        for lane in list(target.lanes):
            lane.target_out()
        self.look_again()

    def take_out_all(self, reason: str) -> None:
        """The same for the whole account, and for targets that are added later."""
        self.out = reason
        for target in list(self.targets.values()):
            self.take_out(target, reason)


def _no_bell() -> None:
    """Nobody pumps this pool by itself: its owner calls ``pump``."""


__all__ = ["CLASS_WEIGHTS", "FlowKey", "Grant", "Pool", "PoolTarget", "Route"]
