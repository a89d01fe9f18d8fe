"""One upstream model as its pool sees it: the gates of its ways, and who waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from forebay.actors.scheduling.averages import RecentCount
from forebay.actors.scheduling.first_contents import FirstContents
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.gates import Demand, Gate
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.order import FlowOrder
from forebay.actors.scheduling.prices import Price
from forebay.actors.scheduling.ways import Way

if TYPE_CHECKING:
    from forebay.actors.scheduling.pool import Pool

_PACE_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class HostLoad:
    """How much is under way at one host, whatever model is asked."""

    calls: int = 0
    cold_start: int = 0
    """As much as so many more calls it weighs that a model is not loaded there."""


@dataclass(slots=True, eq=False)
class Route:
    """One way to a target: a host of the provider."""

    host: str
    """Base URL."""
    gates: tuple[Gate, ...]
    """What bounds this host, and this target on it."""
    load: HostLoad = field(default_factory=HostLoad)
    warm_until: float = inf
    """Until then the host has the model loaded, as far as is known."""

    def weight(self, now: float) -> int:
        """Of several routes that are open, the one that weighs least is taken."""
        return self.load.calls + (self.load.cold_start if self.warm_until <= now else 0)


class PoolTarget:
    """One upstream model at the pool's provider."""

    def __init__(
        self, pool: Pool, name: str, gates: Sequence[Gate], routes: Sequence[Route]
    ) -> None:
        if not routes:
            raise ValueError(f"target {name!r} needs at least one route")
        self.pool = pool
        self.name = name
        self.full_name = f"{pool.name}/{name}"
        self._gates = tuple(gates)
        self._ways: dict[Route, Way] = {}
        self._common: tuple[Gate, ...] | None = None
        self._of_every_way: tuple[Gate, ...] | None = None
        self._only_way: Way | None = None
        self._by_demand: tuple[Gate, ...] | None = None
        self.routes = tuple(routes)
        self.out: str | None = None
        """Why the target is taken out; None while it serves."""
        self.lanes: set[Lane] = set()
        """Lanes with waiting jobs that this target may serve."""
        self.orders: dict[TrafficClass, FlowOrder] = {}
        """Who waits for this target, by class."""
        self.in_flight = 0
        self.pace = RecentCount(_PACE_SECONDS)
        """Calls that were granted in about the last minute."""
        self.price: Price | None = None
        """None: nobody has said."""
        self.is_local = False
        """It runs here."""
        self.first_contents = FirstContents()

    @property
    def idle(self) -> bool:
        """No job waits for the target or is under way there."""
        return not self.lanes and not self.in_flight

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What bounds this target alone, by whatever route."""
        return self._gates

    def add_gate(self, gate: Gate) -> None:
        """One more limit was found. It bounds calls that are granted from now on."""
        self._gates = (*self._gates, gate)
        self.forget_ways()

    def change_gates(self, gates: Sequence[Gate], routes: Sequence[Route]) -> None:
        """Its limits or hosts were configured anew. What was granted keeps the gates that it has
        passed."""
        self._gates = tuple(gates)
        self.change_routes(routes)

    def change_routes(self, routes: Sequence[Route]) -> None:
        """Others of its hosts serve it than until now."""
        self.routes = tuple(routes)
        self.forget_ways()

    def forget_ways(self) -> None:
        """The gates of the pool or of the target have changed."""
        self._ways.clear()
        self._common = self._of_every_way = self._by_demand = self._only_way = None

    def way(self, route: Route) -> Way:
        """All that a call by ``route`` passes."""
        way = self._ways.get(route)
        if way is None:
            way = self._ways[route] = Way((*self.common_gates(), *route.gates))
        return way

    def common_gates(self) -> tuple[Gate, ...]:
        """What bounds this target, by whatever route."""
        if self._common is None:
            self._common = (*self.pool.gates, *self._gates)
        return self._common

    def gates_of_every_way(self) -> tuple[Gate, ...]:
        """Those that every call passes. With those of the route, if there is only one."""
        gates = self._of_every_way
        if gates is None:
            only_route = self.routes[0].gates if len(self.routes) == 1 else ()
            gates = self._of_every_way = (*self.common_gates(), *only_route)
        return gates

    def only_way(self) -> Way:
        """What every call passes, as :meth:`gates_of_every_way`."""
        way = self._only_way
        if way is None:
            way = self._only_way = Way(self.gates_of_every_way())
        return way

    def readiness_by_demand(
        self, demand: Demand, now: float
    ) -> tuple[float, Route | None, list[Gate]]:
        """As :meth:`readiness`, where there is one route, nothing is blocked, and the gates that
        are alike for all are known to be open."""
        gates = self._by_demand
        if gates is None:
            every_way = self.gates_of_every_way()
            gates = self._by_demand = tuple(gate for gate in every_way if not gate.same_for_all)
        ready = now
        closed: list[Gate] = []
        for gate in gates:
            gate_ready = gate.ready_at(demand, now)
            if gate_ready > now:
                closed.append(gate)
                if gate_ready > ready:
                    ready = gate_ready
        return ready, self.routes[0], closed

    def readiness(self, demand: Demand, now: float) -> tuple[float, Route | None, list[Gate]]:
        """When ``demand`` may pass here, by which route (None: each is barred by a job that was
        first), and the gates that hold it back."""
        closed: list[Gate] = []
        ready = now
        for gate in self.common_gates():
            if gate.is_dormant:
                continue
            gate_ready = gate.ready_at(demand, now)
            if gate_ready > now:
                closed.append(gate)
                if gate_ready > ready:
                    ready = gate_ready
        best: Route | None = None
        best_ready = inf
        closed_routes: list[Gate] = []
        blocked = self.pool.blocked
        for route in self.routes:
            if blocked and not blocked.isdisjoint(route.gates):
                continue  # barred by a job that waits for this route
            route_ready = now
            for gate in route.gates:
                if gate.is_dormant:
                    continue
                gate_ready = gate.ready_at(demand, now)
                if gate_ready > now:
                    closed_routes.append(gate)
                if gate_ready > route_ready:
                    route_ready = gate_ready
            if (
                best is None
                or route_ready < best_ready
                or (route_ready == best_ready == now and route.weight(now) < best.weight(now))
            ):
                best, best_ready = route, route_ready
        if best_ready > now:
            closed += closed_routes
            if best_ready > ready:
                ready = best_ready
        return ready, best, closed

    def is_shut(self, shut: Mapping[Gate, float], now: float) -> bool:
        """Whether one of the gates in ``shut``, which are closed until the times there, bars every
        way to this target."""
        of_every_way = self.gates_of_every_way()
        for gate, until in shut.items():
            if until > now and gate in of_every_way:
                return True
        if len(self.routes) == 1:
            return False
        closed = [gate for gate, until in shut.items() if until > now]
        return all(any(gate in route.gates for gate in closed) for route in self.routes)

    def is_open(self, blocked: AbstractSet[Gate]) -> bool:
        """Whether it serves and has a way that none of ``blocked`` bars."""
        if self.out is not None:
            return False
        if not blocked:
            return True
        return blocked.isdisjoint(self.common_gates()) and any(
            blocked.isdisjoint(route.gates) for route in self.routes
        )

    def has_room(self, demand: Demand, now: float) -> bool:
        """Whether this demand would be granted here at once."""
        if self.out is not None:
            return False
        ready, _, _ = self.readiness(demand, now)
        return ready <= now and self.pool.blocked.isdisjoint(self.common_gates())

    def room(self, now: float) -> float:
        """How much is left of the limit that has least left, by the best route: 0 to 1."""
        routes = (min((gate.room(now) for gate in r.gates), default=1.0) for r in self.routes)
        common = min((gate.room(now) for gate in self.common_gates()), default=1.0)
        return min(common, max(routes))
