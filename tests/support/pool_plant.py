"""Pools of any shape, the jobs in them, and what must hold of both at any time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from pool_simulation import ListedTicket, ListLane, PoolLoop

from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.flows import FlowKey, TicketState, TrafficClass
from forebay.actors.scheduling.gates import Demand, Ending, Gate, Outcome, Unit
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.preferences import Preference, preference_for
from forebay.actors.scheduling.prices import Price
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import PoolTarget, Route

CLIENTS = {"ada": 1.0, "bob": 2.0, "cyd": 5.0}


class PoolPlant:
    """Pools with their targets, lanes over them, and the jobs in them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.gates: set[Gate] = set()
        self.pools = [self._pool(f"pool-{n}") for n in range(self._random.randint(1, 3))]
        self.targets = [target for pool in self.pools for target in pool.targets.values()]
        self.lanes = [self._lane() for _ in range(self._random.randint(1, 4))]
        self.loop = PoolLoop(*self.pools)
        self.waiting: list[tuple[ListLane, ListedTicket]] = []
        self.running: list[tuple[ListLane, ListedTicket, Grant]] = []

    # Building.

    def _gate(self, gate: Gate) -> Gate:
        self.gates.add(gate)
        return gate

    def _some_gates(self, name: str, most: int) -> list[Gate]:
        random = self._random
        kinds = (
            lambda: SlotGate(f"{name} slots", random.randint(1, 4)),
            lambda: RateGate(f"{name} rpm", Unit.REQUESTS, rate=2, burst=random.randint(1, 5)),
            lambda: RateGate(f"{name} tpm", Unit.TOKENS, rate=50, burst=random.randint(50, 500)),
        )
        return [self._gate(random.choice(kinds)()) for _ in range(random.randint(0, most))]

    def _pool(self, name: str) -> Pool:
        random = self._random
        pool = Pool(name, self._some_gates(name, 2))
        hosts = {f"host-{n}": self._some_gates(f"host-{n}", 1) for n in range(random.randint(1, 2))}
        for number in range(random.randint(1, 3)):
            routes = [
                Route(host, (*gates, *self._some_gates(f"{host} {number}", 1), *self._learning()))
                for host, gates in hosts.items()
            ]
            gates = self._some_gates(f"target-{number}", 1)
            target = pool.add_target(f"target-{number}", gates, routes)
            target.price = random.choice([None, Price(random.uniform(0, 9), random.uniform(0, 9))])
        return pool

    def _learning(self) -> Iterator[Gate]:
        """What every way to an upstream has in the gateway."""
        yield self._gate(CircuitBreaker("breaker", self._random, failures_to_open=2))
        yield self._gate(Cooldown("cooldown", self._random))
        yield self._gate(LearnedLimit("learned", self._random, initial_slots=2))

    def _lane(self) -> ListLane:
        targets = self._random.sample(
            self.targets, self._random.randint(1, min(4, len(self.targets)))
        )
        return ListLane(tuple(targets), self._preference(targets))

    def _preference(self, targets: Sequence[PoolTarget]) -> Preference:
        random = self._random
        return preference_for(
            random.choice(list(Strategy)),
            weights={target.full_name: random.choice([0, 1, 5, 95]) for target in targets},
            sticky=random.random() < 0.5,
        )

    # What happens.

    def offer(self, lane: ListLane, key: FlowKey, tokens: float) -> None:
        def granted(ticket: ListedTicket, grant: Grant) -> None:
            self.waiting.remove((lane, ticket))
            self.running.append((lane, ticket, grant))

        ticket = ListedTicket(
            key,
            tokens,
            granted,
            conversation=self._random.choice([None, 1, 2, 3]),
            streams=self._random.random() < 0.5,
        )
        self.waiting.append((lane, ticket))
        lane.offer(ticket, weight=CLIENTS[key.client])

    def cancel(self, number: int) -> None:
        lane, ticket = self.waiting.pop(number)
        lane.cancel(ticket)

    def finish(self, number: int, outcome: Outcome) -> None:
        _, ticket, grant = self.running.pop(number)
        first_content = grant.target.first_contents.of(streams=ticket.streams)
        first_content.note(self.loop.now - grant.call.started_at, self.loop.now)
        ticket.state = TicketState.GONE
        served = outcome.ending in (Ending.SERVED, Ending.ABANDONED, Ending.FAILED)
        grant.finish(outcome, served=served, now=self.loop.now)

    @property
    def lanes_left(self) -> list[ListLane]:
        """Those that can be served."""
        return [lane for lane in self.lanes if any(target.out is None for target in lane.targets)]

    @property
    def may_lose_a_target(self) -> bool:
        """Not too early and not too many, or there is nothing left to see."""
        lost = sum(target.out is not None for target in self.targets)
        return len(self.running) > 2 and lost < len(self.targets) / 3

    def put_back(self, number: int, outcome: Outcome) -> None:
        lane, ticket, grant = self.running[number]
        if lane not in self.lanes_left:
            self.finish(number, outcome)
            return
        del self.running[number]
        self.waiting.append((lane, ticket))
        lane.offer(ticket)
        grant.finish(outcome, served=False, now=self.loop.now)

    def take_out(self, target: PoolTarget) -> None:
        target.pool.take_out(target, "no credit")
        for lane in self.lanes:
            if all(target.out is not None for target in lane.targets):
                # The gateway's lanes close then: nobody is left who could serve them.
                for number in reversed(range(len(self.waiting))):
                    if self.waiting[number][0] is lane:
                        self.cancel(number)

    def settle(self) -> None:
        """Pools grant, and sessions that were granted leave flows that are empty then."""
        self.loop.settle()
        for lane in self.lanes:
            for flow in lane.flows.values():
                if flow.enrolled and flow.head() is None:
                    lane.emptied(flow)

    # What must hold.

    def check(self) -> None:
        self._check_jobs()
        self._check_counts()
        for lane in self.lanes:
            for flow in lane.flows.values():
                head = flow.head()
                assert head is None or flow.enrolled
                for target in lane.targets:
                    # Work is conserved: no job waits that a target has room for.
                    assert head is None or not target.has_room(head.demand, self.loop.now)
        for pool in self.pools:
            heads = list(self._heads(pool))
            clients = {each for lane in self.lanes for each in self._backlogged(lane, pool)}
            assert pool.backlogged_clients == len(clients)
            for gate in pool.blocked:
                assert any(self._waits_for(gate, *head) for head in heads)

    def _check_jobs(self) -> None:
        """None lost, none granted twice."""
        for lane, ticket in self.waiting:
            assert ticket.state is TicketState.WAITING
            assert (ticket.arrival, ticket) in lane.flows[ticket.key].tickets
        for _, ticket, grant in self.running:
            assert ticket.state is TicketState.GRANTED
            assert ticket.grants[-1] is grant
        for lane in self.lanes:
            waiting = [ticket for where, ticket in self.waiting if where is lane]
            assert lane.waiting == len(waiting)
            assert abs(lane.waiting_tokens - sum(t.demand.tokens for t in waiting)) < 1e-6

    def _check_counts(self) -> None:
        in_flight = Counter(grant.target for _, _, grant in self.running)
        through: Counter[Gate] = Counter()
        for _, _, grant in self.running:
            through.update({*grant.target.common_gates(), *grant.route.gates})
        for target in self.targets:
            assert target.in_flight == in_flight[target]
        for gate in self.gates:
            if isinstance(gate, SlotGate):
                assert gate.taken == through[gate] <= gate.slots
            elif isinstance(gate, LearnedLimit):
                assert gate.in_flight == through[gate]

    def _heads(self, pool: Pool) -> Iterator[tuple[FlowKey, Demand, PoolTarget]]:
        for lane in self.lanes:
            for flow in lane.flows.values():
                head = flow.head()
                if head is not None:
                    for target in lane.targets:
                        if target.pool is pool and target.out is None:
                            yield flow.key, head.demand, target

    def _backlogged(self, lane: ListLane, pool: Pool) -> Iterator[tuple[str, TrafficClass]]:
        if pool in lane.pools:
            for key, flow in lane.flows.items():
                if flow.head() is not None:
                    yield key.client, key.traffic_class

    def _waits_for(self, gate: Gate, key: FlowKey, demand: Demand, target: PoolTarget) -> bool:
        gates = {*target.common_gates(), *(g for route in target.routes for g in route.gates)}
        return gate in gates and gate.ready_at(demand, self.loop.now) > self.loop.now

    def wind_down(self) -> None:
        """Everything that waits is served in the end, and nothing is left of it."""
        for _ in itertools.takewhile(lambda _: self.waiting or self.running, range(2000)):
            while self.running:
                self.finish(0, Outcome(ending=Ending.SERVED, tokens=1.0))
            self.loop.run(self.loop.now + 30)
        assert not self.waiting
        assert not self.running
        self.loop.run(self.loop.now + 3600)
        for gate in self.gates:
            assert gate.ready_at(Demand(1e6), self.loop.now) <= self.loop.now
        for pool in self.pools:
            assert pool.backlogged_clients == pool.remembered_clients == 0
            assert not pool.blocked
            assert not pool.deferring
            for target in pool.targets.values():
                assert target.idle
                assert all(order.is_empty for order in target.orders.values())
