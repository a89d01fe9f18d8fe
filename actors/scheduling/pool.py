"""A provider's budgets and the scheduler that grants from them.

A pool *pulls*: when it may have room it looks at the first job of every flow that one of its
targets can serve, takes the one whose class and client were served least, and grants. Jobs are
bound to a target only then. A lane with several targets is looked at by several pools; pulling is
synchronous, so no two can take the same job.

Who may pass a job that is first but has to wait: only jobs that take nothing from the gates that
it waits for. Anybody else would spend what it is waiting for, and large jobs would starve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from forebay.actors.scheduling.flows import Flow, Ticket, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Call, Gate
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.order import Candidate, Entry, FlowOrder
from forebay.actors.scheduling.shares import Share, ShareTable
from forebay.actors.scheduling.standing import Standing
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.actors.scheduling.turnover import Turnover

BATCH_SHARE = 20.0
"""Per cent of a pool that are for the batch class while both classes wait; either borrows what the
other leaves."""

_GRANTS_PER_PUMP = 256
"""Then the pump yields, so that a thousand grants do not hold up everything else."""


@dataclass(slots=True, eq=False)
class _Enrolment:
    """A flow with jobs waiting, at one pool."""

    flow: Flow
    lane: Lane
    standing: Standing
    entries: dict[PoolTarget, Entry] = field(default_factory=dict)


class Pool:
    """One provider account: gates that all its targets share, and its targets."""

    def __init__(
        self, name: str, gates: Sequence[Gate], *, batch_share: float = BATCH_SHARE
    ) -> None:
        """
        Args:
            batch_share: per cent, above 0 and below 100.
        """
        self.name = name
        self._class_weights = _class_weights(batch_share)
        self._gates = tuple(gates)
        self.targets: dict[str, PoolTarget] = {}
        self.blocked: set[Gate] = set()
        """What first jobs were waiting for when the pool last pumped."""
        self._shut: dict[Gate, float] = {}
        """Of these, those that are closed whoever comes, and until when."""
        self.barring: set[Ticket] = set()
        """These first jobs."""
        self.deferring: set[Pool] = set()
        """Pools that left a job to this one because it had room; they look again after it."""
        self.ring: Callable[[], None] = _no_bell
        """Wakes whoever pumps this pool."""
        self._wakes_at = inf
        """Until then whoever pumps this pool sleeps."""
        self.grants = 0
        self.out: str | None = None
        """Why the whole account is taken out; None while it serves."""
        self._classes: ShareTable[TrafficClass] = ShareTable()
        self._clients: dict[TrafficClass, ShareTable[str]] = {
            traffic_class: ShareTable() for traffic_class in TrafficClass
        }
        self._enrolled: dict[Flow, _Enrolment] = {}
        self._standings: dict[Share[str], Standing] = {}
        self._class_shares: dict[TrafficClass, Share[TrafficClass]] = {}
        self.turnover = Turnover()
        self._active: dict[PoolTarget, None] = {}
        """Targets that somebody may wait for; ordered, so that the same always comes out."""

    def add_target(self, name: str, gates: Sequence[Gate], routes: Sequence[Route]) -> PoolTarget:
        target = PoolTarget(self, name, gates, routes)
        target.out = self.out
        self.targets[name] = target
        return target

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What bounds all targets together."""
        return self._gates

    def add_gate(self, gate: Gate) -> None:
        """One more limit was found. It bounds calls that are granted from now on."""
        self._gates = (*self._gates, gate)
        for target in self.targets.values():
            target.forget_ways()

    def change_gates(self, gates: Sequence[Gate]) -> None:
        """The account's limits were configured anew. What was granted keeps the gates that it has
        passed."""
        self._gates = tuple(gates)
        for target in self.targets.values():
            target.forget_ways()

    def change_batch_share(self, batch_share: float) -> None:
        """As of the constructor; for whoever comes from now on, and for those who wait."""
        self._class_weights = _class_weights(batch_share)
        for traffic_class, share in self._class_shares.items():
            self._classes.change_weight(share, self._class_weights[traffic_class])

    @property
    def in_flight(self) -> int:
        """Calls under way, at all targets."""
        return sum(target.in_flight for target in self.targets.values())

    def remove_target(self, target: PoolTarget) -> None:
        """Forget an idle target."""
        if not target.idle:
            raise ValueError(f"target {target.name!r} is in use")
        del self.targets[target.name]
        self._active.pop(target, None)

    @property
    def backlogged_clients(self) -> int:
        """Clients with jobs waiting; one that has jobs of both classes counts twice."""
        return len(self._standings)

    @property
    def remembered_clients(self) -> int:
        """Clients with a counter: with jobs that wait or are under way, or with a debt to those
        that have."""
        return sum(map(len, self._clients.values()))

    # Enrolment: which flows have jobs waiting.

    def enrol(self, flow: Flow, lane: Lane) -> None:
        """``flow`` of ``lane`` begins to have jobs waiting."""
        key = flow.key
        share = self._clients[key.traffic_class].enter(key.client, flow.weight)
        self._class_shares[key.traffic_class] = self._classes.enter(
            key.traffic_class, self._class_weights[key.traffic_class]
        )
        standing = self._standings.get(share)
        if standing is None:
            standing = self._standings[share] = Standing(share)
            late = share.counter - self.virtual_time(key.traffic_class)
            self.turnover.came(key.traffic_class, late / share.usual if share.usual else 0.0)
        enrolment = self._enrolled[flow] = _Enrolment(flow, lane, standing)
        if standing.enter(flow):
            self._push_all(standing)
        else:
            self._push(enrolment)

    def refresh(self, flow: Flow) -> None:
        """A job came back to the front of an enrolled flow."""
        enrolment = self._enrolled[flow]
        if enrolment.standing.note(flow):
            self._push_all(enrolment.standing)
        else:
            self._push(enrolment)

    def _push_all(self, standing: Standing) -> None:
        """The client's jobs go before where they stood. Entries are looked at lazily, which finds
        those that have fallen behind but not these."""
        for flow in standing.flows:
            self._push(self._enrolled[flow])

    def _push(self, enrolment: _Enrolment) -> None:
        traffic_class = enrolment.flow.key.traffic_class
        for target in enrolment.lane.targets:
            if target.pool is self and target.out is None:
                old = enrolment.entries.get(target)
                if old is not None:
                    old.live = False
                entry = Entry(enrolment.flow, enrolment.standing)
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
        standing = enrolment.standing
        standing.leave(flow)
        if not standing.flows:
            del self._standings[standing.share]
        self._clients[flow.key.traffic_class].leave(standing.share)
        self._classes.leave(self._class_shares[flow.key.traffic_class])

    def settle(
        self,
        share: Share[str],
        class_share: Share[TrafficClass],
        *,
        charged: float,
        used: float,
        now: float,
    ) -> None:
        """A grant ended, that was charged so many tokens and has used so many. What it held goes
        to the next job at once: a slot is not idle until somebody wakes."""
        opened_at = share.opens_at
        self._clients[class_share.key].settle(share, charged, used)
        self._classes.settle(class_share, charged, used)
        if used:
            self.turnover.settled(charged, used)
        if share.opens_at < opened_at and (standing := self._standings.get(share)) is not None:
            self._push_all(standing)
        self.pump_at_once(now)

    def look_again(self) -> None:
        """What first jobs wait for may have changed."""
        if self.blocked:
            self.ring()

    # What forecasts ask.

    @property
    def standings(self) -> Mapping[Share[str], Standing]:
        """Of all clients with jobs waiting."""
        return self._standings

    def standing_of(self, flow: Flow) -> Standing | None:
        """None: no job waits in ``flow``."""
        enrolment = self._enrolled.get(flow)
        return None if enrolment is None else enrolment.standing

    def lane_of(self, flow: Flow) -> Lane:
        """Of a flow that has jobs waiting."""
        return self._enrolled[flow].lane

    def virtual_time(self, traffic_class: TrafficClass) -> float:
        """How far clients of the class have come that are served."""
        return self._clients[traffic_class].virtual_time

    def class_share(self, traffic_class: TrafficClass) -> Share[TrafficClass] | None:
        """None: it was never asked for."""
        return self._class_shares.get(traffic_class)

    # The pump.

    def pump(self, now: float) -> float:
        """Grant all that can be granted now.

        Returns:
            When to pump again if nothing happens before: ``inf`` if only an event can help.
        """
        self._wakes_at = self._grant_all(now)
        return self._wakes_at

    def pump_for(self, lane: Lane, now: float) -> None:
        """A job came to ``lane``: grant it at once if it can be."""
        shut = self._shut
        if shut and all(
            target.is_shut(shut, now) for target in lane.targets if target.pool is self
        ):
            # By what changes only when a call ends, or in time: whoever pumps then looks at all.
            return
        self.pump_at_once(now)

    def pump_at_once(self, now: float) -> None:
        """Grant without waiting for whoever pumps this pool, who is woken only if there is more
        to do before its time."""
        if self._grant_all(now) < self._wakes_at:
            self.ring()

    def _grant_all(self, now: float) -> float:
        self._forget_barring()
        wake = inf
        granted = 0
        while True:
            before = len(self.blocked), granted
            bars_no_more = False
            aside: list[tuple[PoolTarget, FlowOrder, Entry]] = []
            deferred_to_self = False
            while granted < _GRANTS_PER_PUMP and (first := self._first()) is not None:
                target, order, candidate = first
                ticket, entry = candidate.ticket, candidate.entry
                demand = ticket.demand_at(target)
                ready, route, closed = target.readiness(demand, now)
                if ready > now or route is None:
                    self.blocked.update(closed)
                    self.barring.add(ticket)
                    # The first of its gates that opens no longer bars others, though the job
                    # itself may have to wait for the last.
                    for gate in closed:
                        opens_at = gate.ready_at(demand, now)
                        wake = min(wake, opens_at)
                        if gate.same_for_all:
                            self._shut[gate] = opens_at
                    continue
                lane = self._enrolled[entry.flow].lane
                preferred = lane.preferred(target, ticket, now)
                if preferred is None:
                    if order.open_window(candidate):
                        continue
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
        self._shut.clear()
        self.blocked.clear()
        self.barring.clear()

    def _ring_deferring(self) -> None:
        deferring, self.deferring = self.deferring, set()
        for pool in deferring:
            pool.ring()

    def _first(self) -> tuple[PoolTarget, FlowOrder, Candidate] | None:
        """The job that is next among the targets that no blocked job bars."""
        targets = [target for target in self._active if self._is_open(target)]
        if not targets:
            return None
        best: tuple[PoolTarget, FlowOrder, Candidate] | None = None
        best_counter = inf
        for traffic_class in self._clients:
            class_share = self._class_shares.get(traffic_class)
            if class_share is None or class_share.counter >= best_counter:
                continue
            found = self._first_of_class(targets, traffic_class)
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
        self, targets: Sequence[PoolTarget], traffic_class: TrafficClass
    ) -> tuple[PoolTarget, FlowOrder, Candidate] | None:
        best: tuple[PoolTarget, FlowOrder, Candidate] | None = None
        for target in targets:
            order = target.orders.get(traffic_class)
            if order is None:
                continue
            first = order.first()
            while isinstance(first, Flow):
                self._enrolled[first].lane.emptied(first)
                first = order.first()
            if first is None:
                if all(order.is_empty for order in target.orders.values()):
                    self._active.pop(target, None)
            elif best is None or first.rank < best[2].rank:
                best = (target, order, first)
        return best

    def _grant(self, target: PoolTarget, route: Route, flow: Flow, now: float) -> None:
        ticket = flow.take_head()
        enrolment = self._enrolled[flow]
        lane, share = enrolment.lane, enrolment.standing.share
        enrolment.standing.taken += 1
        self.turnover.granted(flow.key.traffic_class)
        lane.granted(target, ticket, now)
        for other in lane.targets:
            if other.pool is not self and ticket in other.pool.barring:
                other.pool.ring()
        demand = ticket.demand_at(target)
        call = Call(demand, now)
        for gate in target.way(route):
            gate.take(call, now)
        class_share = self._class_shares[flow.key.traffic_class]
        self._clients[flow.key.traffic_class].start(share, demand.tokens)
        self._classes.start(class_share, demand.tokens)
        self.grants += 1
        target.in_flight += 1
        route.load.calls += 1
        target.pace.add(now)
        ticket.state = TicketState.GRANTED
        ticket.granted(Grant(target, route, call, share, class_share))

    # Taking targets out, and back.

    def take_out(self, target: PoolTarget, reason: str) -> None:
        """No waiting cures what this target has. Lanes without any other are told."""
        target.out = reason
        target.orders.clear()
        self._active.pop(target, None)
        for lane in list(target.lanes):
            lane.target_out()
        self.look_again()

    def bring_back(self, target: PoolTarget) -> None:
        """The target serves again, also those who wait already."""
        target.out = None
        for enrolment in self._enrolled.values():
            if target in enrolment.lane.targets:
                self._push(enrolment)
        self.ring()

    def take_out_all(self, reason: str) -> None:
        """The same for the whole account, and for targets that are added later."""
        self.out = reason
        for target in list(self.targets.values()):
            self.take_out(target, reason)


def _class_weights(batch_share: float) -> dict[TrafficClass, float]:
    return {TrafficClass.INTERACTIVE: 100 - batch_share, TrafficClass.BATCH: batch_share}


def _no_bell() -> None:
    """Nobody pumps this pool by itself: its owner calls ``pump``."""
