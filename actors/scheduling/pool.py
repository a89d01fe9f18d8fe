"""A provider's budgets and the scheduler that grants from them.

A pool *pulls*: when it may have room it looks at the first job of every flow that one of its
targets can serve, takes the one whose class and client were served least, and grants. Jobs are
bound to a target only then. A lane with several targets is looked at by several pools; pulling is
synchronous, so no two can take the same job.

Who may pass a job that is first but has to wait: only jobs that take nothing from the gates that
it waits for. Anybody else would spend what it is waiting for, and large jobs would starve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from forebay.actors.scheduling.flows import Flow, Ticket, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Call, Demand, Gate
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.pool_queue import Enrolment, First, PoolQueue
from forebay.actors.scheduling.shares import Share
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.actors.scheduling.ways import Way

BATCH_SHARE = 20.0
"""Per cent of a pool that are for the batch class while both classes wait; either borrows what the
other leaves."""

_GRANTS_PER_PUMP = 256
"""Then the pump yields, so that a thousand grants do not hold up everything else."""
_ANY_DEMAND: Final = Demand(1.0)
_GRANTED: Final = TicketState.GRANTED


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
        self._gates = tuple(gates)
        self._way = Way(self._gates)
        self.targets: dict[str, PoolTarget] = {}
        self.queue = PoolQueue(self, batch_share)
        self.blocked: set[Gate] = set()
        """What first jobs were waiting for when the pool last pumped."""
        self._shut: dict[Gate, float] = {}
        """Of these, those that are closed whoever comes, and until when."""
        self.barring: set[Ticket] = set()
        """These first jobs, as far as others need to know."""
        self.deferring: set[Pool] = set()
        """Pools that left a job to this one because it had room; they look again after it."""
        self.ring: Callable[[], None] = _no_bell
        """Wakes whoever pumps this pool."""
        self._wakes_at = inf
        """Until then whoever pumps this pool sleeps."""
        self.grants = 0
        self.out: str | None = None
        """Why the whole account is taken out; None while it serves."""

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
        self._way = Way(self._gates)
        for target in self.targets.values():
            target.forget_ways()

    def change_gates(self, gates: Sequence[Gate]) -> None:
        """The account's limits were configured anew. What was granted keeps the gates that it has
        passed."""
        self._gates = tuple(gates)
        self._way = Way(self._gates)
        for target in self.targets.values():
            target.forget_ways()

    def change_batch_share(self, batch_share: float) -> None:
        """As of the constructor; for whoever comes from now on, and for those who wait."""
        self.queue.change_batch_share(batch_share)

    @property
    def in_flight(self) -> int:
        """Calls under way, at all targets."""
        return sum(target.in_flight for target in self.targets.values())

    def remove_target(self, target: PoolTarget) -> None:
        """Forget an idle target."""
        if not target.idle:
            raise ValueError(f"target {target.name!r} is in use")
        del self.targets[target.name]
        self.queue.forget_target(target)

    @property
    def backlogged_clients(self) -> int:
        """Clients with jobs waiting; one that has jobs of both classes counts twice."""
        return len(self.queue.standings)

    @property
    def remembered_clients(self) -> int:
        """As of :class:`PoolQueue`."""
        return self.queue.remembered_clients

    # Which flows have jobs waiting.

    def enrol(self, flow: Flow, lane: Lane) -> None:
        """``flow`` of ``lane`` begins to have jobs waiting."""
        self.queue.enrol(flow, lane)

    def refresh(self, flow: Flow) -> None:
        """A job came back to the front of an enrolled flow."""
        self.queue.refresh(flow)

    def withdraw(self, flow: Flow) -> None:
        """``flow`` has no job waiting any more."""
        self.queue.withdraw(flow)

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
        self.queue.settle(share, class_share, charged=charged, used=used)
        if self._grant_all(now) < self._wakes_at:
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
        self._wakes_at = self._grant_all(now)
        return self._wakes_at

    def pump_for(self, lane: Lane, now: float) -> None:
        """A job came to ``lane``: grant it at once if it can be."""
        if self._shut:
            for target in lane.targets:
                if target.pool is self and not target.is_shut(self._shut, now):
                    break
            else:
                # By what changes only when a call ends, or in time: whoever pumps then looks at
                # all.
                return
        self.pump_at_once(now)

    def pump_at_once(self, now: float) -> None:
        """Grant without waiting for whoever pumps this pool, who is woken only if there is more
        to do before its time."""
        if self._grant_all(now) < self._wakes_at:
            self.ring()

    def _grant_all(self, now: float) -> float:
        if self.blocked:
            self._forget_barring()
        wake = self._grant_in_turn(now) if self.queue.enrolled else inf
        if self.deferring:
            self._ring_deferring()
        return wake

    def _grant_in_turn(self, now: float) -> float:
        queue = self.queue
        wake = inf
        granted = 0
        while True:
            before = len(self.blocked), granted
            bars_no_more = False
            aside: list[First] = []
            deferred_to_self = False
            while granted < _GRANTS_PER_PUMP and queue.enrolled:
                only_target = None
                if not queue.choices:
                    only_target = queue.only_target
                    opens_at = self._bar_all(only_target, now)
                    if opens_at > now:
                        return opens_at
                first = queue.first(self.blocked)
                if first is None:
                    break
                target, order, candidate = first
                ticket = candidate.ticket
                demand = ticket.demand_at(target)
                if target is only_target and not self.blocked and len(target.routes) == 1:
                    ready, route, closed = target.readiness_by_demand(demand, now)
                else:
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
                enrolment = queue.enrolled[candidate.entry.flow]
                preferred = None
                if queue.choices:
                    preferred = enrolment.lane.preferred(target, ticket, now)
                if preferred is None:
                    if order.open_window(candidate):
                        continue
                    bars_no_more |= ticket in self.barring
                    self._grant(enrolment, target, route, demand, now)
                    granted += 1
                    continue
                if preferred.pool is self:
                    deferred_to_self = True
                else:
                    preferred.pool.deferring.add(self)
                queue.set_aside(first)
                aside.append(first)
            queue.put_back(aside)
            if granted >= _GRANTS_PER_PUMP:
                return now
            if bars_no_more:
                self._forget_barring()
                wake = inf
            elif not deferred_to_self or before == (len(self.blocked), granted):
                return wake

    def _bar_all(self, only_target: PoolTarget | None, now: float) -> float:
        """When a gate opens that is closed to all who wait, where there is one: then there is no
        need to know whose turn it is. To be asked while no job has a choice of targets, so that
        nobody asks who else was barred.

        Args:
            only_target: that all wait for.
        """
        way = self._way if only_target is None else only_target.only_way()
        for gate in way.alike():
            opens_at = gate.ready_at(_ANY_DEMAND, now)
            if opens_at > now:
                if self.blocked:
                    self._forget_barring()
                self.blocked.add(gate)
                self._shut[gate] = opens_at
                return opens_at
        return now

    def _forget_barring(self) -> None:
        self._shut.clear()
        self.blocked.clear()
        self.barring.clear()

    def _ring_deferring(self) -> None:
        deferring, self.deferring = self.deferring, set()
        for pool in deferring:
            pool.ring()

    def _grant(
        self, enrolment: Enrolment, target: PoolTarget, route: Route, demand: Demand, now: float
    ) -> None:
        flow, lane = enrolment.flow, enrolment.lane
        ticket = flow.take_head()
        if len(lane.targets) > 1:
            lane.granted(target, ticket, now)
            for other in lane.targets:
                if other.pool is not self and ticket in other.pool.barring:
                    other.pool.ring()
        call = Call(demand, now)
        way = target.way(route)
        for gate in way.awake():
            gate.take(call, now)
        self.queue.start(enrolment, demand.tokens)
        self.grants += 1
        target.in_flight += 1
        route.load.calls += 1
        target.pace.add(now)
        if flow.head() is None:
            lane.emptied(flow)
        ticket.state = _GRANTED
        ticket.granted(
            Grant(target, route, way, call, enrolment.standing.share, enrolment.class_share)
        )

    # Taking targets out, and back.

    def take_out(self, target: PoolTarget, reason: str) -> None:
        """No waiting cures what this target has. Lanes without any other are told."""
        target.out = reason
        self.queue.forget_target(target)
        for lane in list(target.lanes):
            lane.target_out()
        self.look_again()

    def bring_back(self, target: PoolTarget) -> None:
        """The target serves again, also those who wait already."""
        target.out = None
        self.queue.bring_back(target)
        self.ring()

    def take_out_all(self, reason: str) -> None:
        """The same for the whole account, and for targets that are added later."""
        self.out = reason
        for target in list(self.targets.values()):
            self.take_out(target, reason)


def _no_bell() -> None:
    """Nobody pumps this pool by itself: its owner calls ``pump``."""
