"""The requests of a load, in the order in which they come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from random import Random
from typing import Final, NamedTuple

from forebay.actors.config.settings import Settings
from forebay.actors.jobs.job import Client
from forebay.actors.simulation.load import Arrivals, Load, Traffic
from forebay.actors.simulation.trace import Recorded

TRACE: Final = "trace"
"""What the requests of a trace count as."""


class Request(NamedTuple):
    """One simulated request. Tokens are what it will really use."""

    client: Client
    traffic: str
    """The name of the traffic that it belongs to."""
    model: str
    input_tokens: int
    output_tokens: int
    max_tokens: int | None
    max_wait: float | None
    """Seconds; None: as configured."""
    stream: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """One who asks again as soon as it was answered and has thought."""

    source: Source
    client: Client
    think_time: float
    random: Random

    def next(self) -> Request:
        return self.source.request(self.client, self.random)


class Source:
    """Draws the requests of one traffic."""

    def __init__(self, name: str, traffic: Traffic, settings: Settings, seed: int) -> None:
        self.name = name
        self.traffic = traffic
        self._random = Random(f"{seed}/{name}")
        self._seed = seed
        self._models = tuple(traffic.models)
        self._shares = tuple(accumulate(traffic.models.values()))
        known = [configured_client(client, settings) for client in traffic.clients]
        users = [
            Client(name=f"{name}-{number}", traffic_class=traffic.traffic_class)
            for number in range(1, traffic.users + 1)
        ]
        self.clients = (*known, *users)

    def request(self, client: Client, random: Random) -> Request:
        traffic = self.traffic
        if len(self._models) == 1:
            model = self._models[0]
        else:
            model = random.choices(self._models, cum_weights=self._shares)[0]
        output = traffic.output_tokens.draw(random)
        if traffic.max_tokens is not None:
            output = min(output, traffic.max_tokens)
        return Request(
            client,
            self.name,
            model,
            traffic.input_tokens.draw(random),
            output,
            traffic.max_tokens,
            traffic.max_wait,
            traffic.stream,
        )

    def arrivals(self) -> Iterator[tuple[float, Request]]:
        """Of traffic with a rate, without end."""
        random = self._random
        clients = self.clients
        one = len(clients) == 1
        for number, at in enumerate(self._times(random)):
            if one:
                client = clients[0]
            elif self.traffic.arrivals is Arrivals.CONSTANT:
                client = clients[number % len(clients)]
            else:
                client = random.choice(clients)
            yield at, self.request(client, random)

    def _times(self, random: Random) -> Iterator[float]:
        by_chance = self.traffic.arrivals is Arrivals.POISSON
        at = 0.0
        for begins, ends, rate in self._phases():
            if rate <= 0:
                if ends == inf:
                    return
                continue
            at = begins
            while True:
                # Without a memory, a Poisson process may as well start anew with each phase.
                at += random.expovariate(rate) if by_chance else 1 / rate
                if at >= ends:
                    break
                yield at

    def _phases(self) -> Iterator[tuple[float, float, float]]:
        if not self.traffic.phases:
            yield 0.0, inf, self.traffic.rate or 0.0
            return
        begins = 0.0
        while True:
            for phase in self.traffic.phases:
                yield begins, begins + phase.lasts, phase.rate
                begins += phase.lasts

    def loops(self) -> Iterator[Loop]:
        """Of traffic with a time to think."""
        assert self.traffic.think_time is not None
        for client in self.clients:
            for number in range(self.traffic.at_once):
                random = Random(f"{self._seed}/{self.name}/{client.name}/{number}")
                yield Loop(self, client, self.traffic.think_time, random)


def configured_client(name: str, settings: Settings) -> Client:
    """The client as its key makes it; one that is not configured weighs 1."""
    own = settings.clients.get(name)
    if own is None:
        return Client(name=name)
    return Client(name=name, weight=own.weight, traffic_class=own.traffic_class)


def recorded_requests(
    trace: Sequence[Recorded], settings: Settings, *, faster: float = 1.0
) -> Iterator[tuple[float, Request]]:
    """The requests of a trace; ``faster`` 2 brings them in half the time."""
    clients: dict[tuple[str, str | None], Client] = {}
    for one in trace:
        key = one.client, one.traffic_class
        client = clients.get(key)
        if client is None:
            known = configured_client(one.client, settings)
            client = clients[key] = Client(
                name=known.name,
                weight=known.weight,
                traffic_class=one.traffic_class or known.traffic_class,
            )
        yield (
            one.at / faster,
            Request(
                client,
                TRACE,
                one.model,
                one.input_tokens,
                one.output_tokens,
                one.max_tokens,
                None,
                False,
            ),
        )


def sources_of(load: Load, settings: Settings) -> list[Source]:
    """One for each traffic."""
    return [Source(name, traffic, settings, load.seed) for name, traffic in load.traffic.items()]


def all_arrivals(
    sources: Iterable[Source], recorded: Iterator[tuple[float, Request]]
) -> Iterator[tuple[float, Request]]:
    """Those of all traffic with rates and of the trace, in the order of time."""
    streams = [source.arrivals() for source in sources if source.traffic.think_time is None]
    return heapq.merge(*streams, recorded, key=_time)


def _time(arrival: tuple[float, Request]) -> float:
    return arrival[0]
