"""An upstream that bounds requests and tokens, and says in every answer how much is left."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random

from limited_upstream import BucketLimit, FixedWindow
from pool_simulation import INTERACTIVE, ListedTicket, ListLane, PoolLoop

from forebay.actors.scheduling.flows import FlowKey
from forebay.actors.scheduling.gates import Demand, Ending, Outcome, Unit
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import Shape


class Quota:
    """One limit as the upstream keeps it, and tells of it."""

    def __init__(
        self,
        unit: Unit,
        limit: float,
        window: float = 60.0,
        shape: Shape = Shape.SMOOTH,
        burst: float | None = None,
    ) -> None:
        """
        Args:
            burst: of a smooth limit; None: all of it.
        """
        self.limit = limit
        self.window = window
        self.shape = shape
        self._capacity = limit if burst is None else burst
        self._kept: BucketLimit | FixedWindow
        if shape is Shape.SMOOTH:
            self._kept = BucketLimit(unit, limit / window, self._capacity)
        else:
            self._kept = FixedWindow(unit, limit, seconds=window)

    @property
    def used(self) -> float:
        """All that was ever taken."""
        return self._kept.used

    def change(self, limit: float, burst: float, now: float) -> None:
        """Another smooth limit holds from now on."""
        assert isinstance(self._kept, BucketLimit)
        self.limit = limit
        self._capacity = burst
        self._kept.change(now, limit / self.window, burst)

    def has(self, demand: Demand, now: float) -> bool:
        return self._kept.wait(demand, now) == 0

    def take(self, demand: Demand, now: float) -> None:
        self._kept.take(demand, now)

    def told(self, now: float) -> Told:
        left = self._kept.left(now)
        if self.shape is Shape.SMOOTH:
            resets_in = (self._capacity - left) * self.window / self.limit
        else:
            resets_in = self.window - now % self.window
        return Told(
            limit=self.limit,
            remaining=max(0.0, left // 1),
            resets_in=resets_in,
            window=self.window,
            shape=self.shape,
        )


class TellingUpstream(PoolLoop):
    """Runs one pool and lane against the quotas, with jobs of drawn sizes always waiting."""

    def __init__(
        self,
        pool: Pool,
        lane: ListLane,
        quotas: list[Quota],
        *,
        gates: list[ToldLimit],
        sizes: Callable[[Random], Demand],
        latency: Callable[[Random], float],
        seed: int = 1,
    ) -> None:
        """
        Args:
            gates: that hear of the quotas, in their order; none where the upstream tells nothing.
        """
        super().__init__(pool)
        self._lane = lane
        self.quotas = quotas
        self._gates = gates
        self._sizes = sizes
        self._latency = latency
        self._random = Random(seed)
        self.accepted = self.refused = 0
        self.refused_at: list[float] = []

    def keep_waiting(self, clients: int, jobs: int) -> None:
        """So many jobs of each of so many clients, one more for each that ends."""
        for client in range(clients):
            for _ in range(jobs):
                self._offer(f"client-{client}")

    def _offer(self, client: str) -> None:
        demand = self._sizes(self._random)
        ticket = ListedTicket(FlowKey(client, INTERACTIVE), demand.tokens, self._granted)
        ticket.demand = demand
        self._lane.offer(ticket)

    def _granted(self, ticket: ListedTicket, grant: Grant) -> None:
        self.at(self.now + 0.002, lambda: self._arrive(ticket, grant))

    def _arrive(self, ticket: ListedTicket, grant: Grant) -> None:
        accepted = all(quota.has(ticket.demand, self.now) for quota in self.quotas)
        if accepted:
            for quota in self.quotas:
                quota.take(ticket.demand, self.now)
            self.accepted += 1
        else:
            self.refused += 1
            self.refused_at.append(self.now)
        told = [quota.told(self.now) for quota in self.quotas]
        pause = self._latency(self._random) if accepted else 0.002
        self.at(self.now + pause, lambda: self._answer(ticket, grant, told, accepted))

    def _answer(self, ticket: ListedTicket, grant: Grant, told: list[Told], accepted: bool) -> None:
        for gate, each in zip(self._gates, told, strict=False):
            gate.hear(each, grant.call, self.now)
        if accepted:
            grant.accepted(self.now)
            outcome = Outcome(
                ending=Ending.SERVED, tokens=ticket.demand.tokens, output=ticket.demand.output
            )
            grant.finish(outcome, served=True, now=self.now)
            self._offer(ticket.client)
        else:
            self._lane.offer(ticket)
            grant.finish(Outcome(ending=Ending.REFUSED), served=False, now=self.now)

    def used_share(self, quota: Quota, since: float, used_before: float) -> float:
        """Of what ``quota`` gave since then."""
        given = (self.now - since) * quota.limit / quota.window
        return (quota.used - used_before) / given if given < inf else 0.0
