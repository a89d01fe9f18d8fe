"""Clients that always have jobs waiting, and what each was served in any window of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, log
from random import Random

from pool_simulation import INTERACTIVE, ListedTicket, ListLane, Service

from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.gates import Gate, Unit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate

LARGEST = 100_000.0
"""Tokens of the largest jobs here; the smallest have 100."""

SCARCITIES: Mapping[str, Callable[[], Gate]] = {
    "one slot": lambda: SlotGate("slots", 1),
    "eight slots": lambda: SlotGate("slots", 8),
    "requests": lambda: RateGate("requests", Unit.REQUESTS, rate=5, burst=20),
    "tokens": lambda: RateGate("tokens", Unit.TOKENS, rate=50_000, burst=200_000),
}
Estimate = Callable[[Random, float], float]
"""What a job that will use so many tokens is thought to use."""

ESTIMATES: Mapping[str, Estimate] = {
    "right": lambda random, used: used,
    "wrong": lambda random, used: used * random.uniform(0.1, 2.0),
}


def all_alike(random: Random, used: float) -> float:
    """As if nothing was known of jobs."""
    return 1000.0


def any_size(random: Random) -> float:
    """100 to 100,000 tokens, as many below 1,000 as above 10,000."""
    return exp(random.uniform(log(100), log(LARGEST)))


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """One client, and how it asks."""

    size: Callable[[Random], float] = any_size
    weight: float = 1.0
    waiting: int = 60
    """Jobs that it has waiting or under way at any time."""
    traffic_class: TrafficClass = INTERACTIVE


class Backlog:
    """Clients that ask again for each answer, at one pool."""

    def __init__(
        self,
        pool: Pool,
        lane: ListLane,
        clients: Mapping[str, Crowd],
        *,
        estimate: Estimate = ESTIMATES["right"],
        seed: int = 1,
        seconds: float = 1.0,
    ) -> None:
        """
        Args:
            seconds: that each job takes.
        """
        self._random = Random(seed)
        self._lane = lane
        self._clients = clients
        self._estimate = estimate
        self._used: dict[ListedTicket, float] = {}
        self.service = Service(pool, seconds=seconds, used=self._used.__getitem__)
        self.service.on_finished = self._again
        self.finished: list[tuple[FlowKey, float]] = []
        """Whose jobs ended, with what tokens, in order."""
        for client, crowd in clients.items():
            for _ in range(crowd.waiting):
                self._ask(client)

    def _ask(self, client: str) -> None:
        crowd = self._clients[client]
        self.add(client, crowd.size(self._random), crowd)

    def add(self, client: str, used: float, crowd: Crowd | None = None) -> ListedTicket:
        """One more job, of ``used`` tokens; of a client that is none of the crowd where that is
        None."""
        ticket = self.service.offer(
            self._lane,
            client,
            self._estimate(self._random, used),
            weight=1.0 if crowd is None else crowd.weight,
            traffic_class=INTERACTIVE if crowd is None else crowd.traffic_class,
        )
        self._used[ticket] = used
        return ticket

    def _again(self, lane: ListLane, ticket: ListedTicket) -> None:
        self.finished.append((ticket.key, self._used.pop(ticket)))
        if ticket.client in self._clients:
            self._ask(ticket.client)

    def serve(self, *, tokens: float) -> None:
        """Until all together were served so many."""
        served, counted = 0.0, 0
        while served < tokens:
            self.service.run(self.service.now + 50)
            served += sum(used for _, used in self.finished[counted:])
            counted = len(self.finished)

    def sums(self, which: Callable[[FlowKey], bool]) -> list[float]:
        """Tokens that those were served until each job's end, from 0 on."""
        used = (tokens if which(key) else 0.0 for key, tokens in self.finished)
        return list(accumulate(used, initial=0.0))


def windows(sums: list[list[float]], least: list[float]) -> Iterator[list[float]]:
    """What each was served in the shortest window from each of many moments in which each was
    served its ``least``, and in one half as long again."""
    length = len(sums[0])
    for start in range(0, length, max(1, length // 100)):
        ends = [bisect_left(s, s[start] + x) for s, x in zip(sums, least, strict=True)]
        end = max(ends)
        for stop in (end, end + (end - start) // 2):
            if stop < length:
                yield [s[stop] - s[start] for s in sums]


def jain(served: list[float]) -> float:
    """Jain's index of fairness: 1 where all got the same, 1/n where one got all."""
    return sum(served) ** 2 / (len(served) * sum(each**2 for each in served))


def largest_gap(sums: list[float], total: list[float], share: float) -> float:
    """How far what was served fell behind ``share`` of all, in the worst of all windows."""
    behind = [share * whole - part for part, whole in zip(sums, total, strict=True)]
    least, worst = behind[0], 0.0
    for _, now in pairwise(behind):
        least = min(least, now)
        worst = max(worst, now - least)
    return worst
