"""Forecasts taken while simulated pools work, and how far off they turn out to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from random import Random
from statistics import median

from pool_simulation import INTERACTIVE, ListedTicket, ListLane, PoolLoop

from forebay.actors.scheduling.flows import FlowKey, Priority, TicketState, TrafficClass
from forebay.actors.scheduling.forecasts import forecast
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import PoolTarget


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of one job at one time."""

    ticket: ListedTicket
    at: float
    seconds: float
    position: int


class Workload(PoolLoop):
    """Pools whose calls take times and tokens that are drawn, and jobs that wait for them."""

    def __init__(
        self,
        *pools: Pool,
        seed: int = 1,
        seconds: Callable[[Random], float] = lambda random: 0.5,
        used: Callable[[Random, Demand], float] = lambda random, demand: demand.tokens,
    ) -> None:
        """
        Args:
            seconds: that a call takes.
            used: tokens that it takes.
        """
        super().__init__(*pools)
        self.random = Random(seed)
        self._seconds = seconds
        self._used = used
        self.waiting: dict[ListedTicket, ListLane] = {}
        self.predictions: list[Prediction] = []
        self.on_started: Callable[[Grant], None] = lambda grant: None
        self.started = 0
        self.gave_up = 0

    def offer(
        self,
        lane: ListLane,
        client: str,
        tokens: float = 100.0,
        *,
        weight: float = 1.0,
        traffic_class: TrafficClass = INTERACTIVE,
        priority: Priority = Priority.NORMAL,
        demands: Mapping[PoolTarget, Demand] | None = None,
        max_wait: float = inf,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """
        Args:
            max_wait: seconds, after which it gives up.
            then: what happens when it is served, or has given up.
        """

        def granted(ticket: ListedTicket, grant: Grant) -> None:
            ticket.started_at = self.now
            self.started += 1
            del self.waiting[ticket]
            self.on_started(grant)
            ends_at = self.now + self._seconds(self.random)
            self.at(ends_at, lambda: finish(ticket, grant))

        def finish(ticket: ListedTicket, grant: Grant) -> None:
            ticket.state = TicketState.GONE
            used = self._used(self.random, grant.call.demand)
            grant.accepted(self.now)
            outcome = Outcome(ending=Ending.SERVED, tokens=used)
            grant.finish(outcome, served=True, now=self.now)
            then()

        ticket = ListedTicket(FlowKey(client, traffic_class, priority), tokens, granted)
        ticket.demands = demands
        ticket.offered_at = self.now
        ticket.deadline = self.now + max_wait
        self.waiting[ticket] = lane
        lane.offer(ticket, weight=weight)

        def give_up() -> None:
            if ticket in self.waiting:
                del self.waiting[ticket]
                self.gave_up += 1
                lane.cancel(ticket)
                then()

        if max_wait < inf:
            self.at(ticket.deadline, give_up)

    def keep_asking(
        self,
        lane: ListLane,
        client: str,
        jobs: int,
        tokens: Callable[[Random], float] = lambda random: 100.0,
        *,
        weight: float = 1.0,
        traffic_class: TrafficClass = INTERACTIVE,
        demands: Mapping[PoolTarget, Demand] | None = None,
        max_wait: Callable[[Random], float] = lambda random: inf,
    ) -> None:
        """A client with so many jobs at a time: as soon as one is served it asks for another."""

        def ask() -> None:
            size = tokens(self.random)
            self.offer(
                lane,
                client,
                size,
                weight=weight,
                traffic_class=traffic_class,
                demands=demands,
                max_wait=max_wait(self.random),
                then=ask,
            )

        for _ in range(jobs):
            ask()

    def predict(self, share: float = 0.2) -> None:
        """Say of some of the waiting jobs when they will start."""
        for ticket, lane in self.waiting.items():
            if self.random.random() < share:
                expected = forecast(lane, lane.flows[ticket.key], ticket, self.now)
                assert expected is not None
                said = Prediction(ticket, self.now, expected.seconds, expected.position)
                self.predictions.append(said)

    def predict_every(self, seconds: float, *, since: float, until: float) -> None:
        """And then run on until those are served."""
        moment = since
        while moment < until:
            self.run(moment)
            self.predict()
            moment += seconds
        self.run(until)

    def errors(self) -> list[float]:
        """Relative to how long it really took."""
        errors = []
        for said in self.predictions:
            if said.ticket.started_at is None:
                continue
            took = said.ticket.started_at - said.at
            errors.append(abs(said.seconds - took) / max(took, 1e-3))
        return errors

    def median_error(self) -> float:
        return median(self.errors())

    def bias(self) -> float:
        """By what part of what it really took forecasts are too long, all together."""
        served = [
            (said.seconds, said.ticket.started_at - said.at)
            for said in self.predictions
            if said.ticket.started_at is not None
        ]
        return sum(seconds for seconds, _ in served) / sum(took for _, took in served) - 1
