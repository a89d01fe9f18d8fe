"""One upstream model as its pool sees it: the gates of its ways, and who waits for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.gates import Demand, Gate
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.order import FlowOrder

if TYPE_CHECKING:
    from forebay.actors.scheduling.pool import Pool


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One way to a target: a host of the provider."""

    host: str
    """Base URL."""
    gates: tuple[Gate, ...]
    """What bounds this host, and this target on it."""


class PoolTarget:
    """One upstream model at the pool's provider."""

    def __init__(
        self, pool: Pool, name: str, gates: Sequence[Gate], routes: Sequence[Route]
    ) -> None:
        if not routes:
            raise ValueError(f"target {name!r} needs at least one route")
        self.pool = pool
        self.name = name
        self._gates = tuple(gates)
        self._ways: dict[Route, tuple[Gate, ...]] = {}
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

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What bounds this target alone, by whatever route."""
        return self._gates

    def add_gate(self, gate: Gate) -> None:
        """One more limit was found. It bounds calls that are granted from now on."""
        self._gates = (*self._gates, gate)
        self.forget_ways()

    def forget_ways(self) -> None:
        """The gates of the pool or of the target have changed."""
        self._ways.clear()

    def way(self, route: Route) -> tuple[Gate, ...]:
        """All gates that a call by ``route`` passes."""
        way = self._ways.get(route)
        if way is None:
            way = self._ways[route] = (*self.pool.gates, *self._gates, *route.gates)
        return way

    def common_gates(self) -> Iterable[Gate]:
        yield from self.pool.gates
        yield from self._gates

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
