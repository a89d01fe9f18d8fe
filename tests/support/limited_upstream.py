"""Upstreams with limits of every kind, and a backlog that is sent to them: hours in a second.

An :class:`Upstream` knows its limits and tells nobody. A :class:`Backlog` drives the gates of one
way, without pools: one queue in which there is always a next job, first in first out, and a refused
job comes back to its own place. So what is measured is what the gates make of an upstream.
"""

from __future__ import annotations

import heapq
import itertools
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from forebay.actors.scheduling.gates import Call, Demand, Ending, Gate, Outcome, Unit

_ROUNDING = 1e-7
"""More than gates round by, so that who is told the truth is never refused."""


class Limit(ABC):
    """One limit of an upstream."""

    used = 0.0
    """Units taken so far."""
    share_used = 0.0
    """Of what it would have allowed since the start, in units of that: see :meth:`used_share`."""

    @abstractmethod
    def wait(self, demand: Demand, now: float) -> float:
        """Seconds until the call would fit; 0: it fits now."""

    @abstractmethod
    def take(self, demand: Demand, now: float) -> None:
        """The call fits and is let in."""

    def end(self, demand: Demand, used: Demand, now: float) -> None:
        """The call has ended, having used so much."""

    @abstractmethod
    def allowance(self, now: float) -> float:
        """Units that it has let through or would have, from the start up to ``now``, without
        what it had saved up at first."""


class BucketLimit(Limit):
    """So many units per second, refilled smoothly; ``burst`` of them are saved up."""

    def __init__(self, unit: Unit, rate: float, burst: float, *, settles: bool = True) -> None:
        self._unit = unit
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = 0.0
        self._settles = settles
        self._allowed = 0.0

    def _refill(self, now: float) -> None:
        gain = (now - self._at) * self.rate
        self._allowed += gain
        self._level = min(self.burst, self._level + gain)
        self._at = now

    def change(self, now: float, rate: float, burst: float | None = None) -> None:
        """
        Args:
            burst: None: as it was.
        """
        self._refill(now)
        self.rate = rate
        if burst is not None:
            self.burst = burst

    def left(self, now: float) -> float:
        """Units that are in it."""
        self._refill(now)
        return self._level

    def wait(self, demand: Demand, now: float) -> float:
        self._refill(now)
        missing = min(demand.of(self._unit), self.burst) - self._level
        return 0.0 if missing <= _ROUNDING * self.burst else missing / self.rate

    def take(self, demand: Demand, now: float) -> None:
        self._level -= demand.of(self._unit)
        self.used += demand.of(self._unit)

    def end(self, demand: Demand, used: Demand, now: float) -> None:
        if self._settles:
            self._refill(now)
            surplus = demand.of(self._unit) - used.of(self._unit)
            self._level = min(self.burst, self._level + surplus)
            self.used -= surplus

    def allowance(self, now: float) -> float:
        self._refill(now)
        return self._allowed


class FixedWindow(Limit):
    """So many units in each window of the clock."""

    def __init__(
        self, unit: Unit, limit: float, *, seconds: float = 60.0, phase: float = 0.0
    ) -> None:
        self._unit = unit
        self.limit = limit
        self._seconds = seconds
        self._phase = phase
        self._window = 0
        self._taken = 0.0

    def _turn(self, now: float) -> None:
        window = math.floor((now + self._phase) / self._seconds)
        if window != self._window:
            self._window = window
            self._taken = 0.0

    def left(self, now: float) -> float:
        """Units that this window still has."""
        self._turn(now)
        return self.limit - self._taken

    def wait(self, demand: Demand, now: float) -> float:
        self._turn(now)
        if self._taken + min(demand.of(self._unit), self.limit) <= self.limit + _ROUNDING:
            return 0.0
        return (self._window + 1) * self._seconds - self._phase - now

    def take(self, demand: Demand, now: float) -> None:
        self._taken += demand.of(self._unit)
        self.used += demand.of(self._unit)

    def allowance(self, now: float) -> float:
        return self.limit * now / self._seconds


class RollingWindow(Limit):
    """So many units in any span of so many seconds."""

    def __init__(self, unit: Unit, limit: float, *, seconds: float = 60.0) -> None:
        self._unit = unit
        self.limit = limit
        self._seconds = seconds
        self._recent: deque[tuple[float, float]] = deque()
        self._taken = 0.0

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - self._seconds + _ROUNDING:
            self._taken -= self._recent.popleft()[1]

    def wait(self, demand: Demand, now: float) -> float:
        self._forget(now)
        excess = self._taken + min(demand.of(self._unit), self.limit) - self.limit
        if excess <= _ROUNDING * self.limit:
            return 0.0
        for at, amount in self._recent:
            excess -= amount
            if excess <= _ROUNDING * self.limit:
                return at + self._seconds - now
        return self._seconds

    def take(self, demand: Demand, now: float) -> None:
        amount = demand.of(self._unit)
        self._recent.append((now, amount))
        self._taken += amount
        self.used += amount

    def allowance(self, now: float) -> float:
        return self.limit * now / self._seconds


class Slots(Limit):
    """So many calls at the same time. Its units are seconds of slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._busy = 0
        self._at = 0.0
        self._allowed = 0.0

    def _count(self, now: float) -> None:
        self._allowed += self.slots * (now - self._at)
        self.used += self._busy * (now - self._at)
        self._at = now

    def change(self, now: float, slots: int) -> None:
        self._count(now)
        self.slots = slots

    def wait(self, demand: Demand, now: float) -> float:
        return inf if self._busy >= self.slots else 0.0

    def take(self, demand: Demand, now: float) -> None:
        self._count(now)
        self._busy += 1

    def end(self, demand: Demand, used: Demand, now: float) -> None:
        self._count(now)
        self._busy -= 1

    def allowance(self, now: float) -> float:
        self._count(now)
        return self._allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How an upstream behaves apart from its limits."""

    latency: Callable[[Random], float] = lambda random: 0.2
    """Seconds from the arrival of a call to the end of its answer."""
    trip: Callable[[Random], float] = lambda random: 0.001
    """Seconds on the wire, one way."""
    retry_after: Callable[[float], float | None] = lambda wait: None
    """What a refusal tells, of the true wait."""
    counts: Callable[[Demand, Random], Demand] = lambda demand, random: demand
    """What the upstream takes a call for that we took for ``demand``."""


class Upstream:
    """Lets a call in if all its limits do."""

    def __init__(self, limits: Sequence[Limit], manners: Manners) -> None:
        self.limits = tuple(limits)
        self.manners = manners
        self.accepted = 0
        self.refused = 0

    def call(self, demand: Demand, now: float) -> float | None:
        """None: it was let in; else the true wait."""
        wait = max((limit.wait(demand, now) for limit in self.limits), default=0.0)
        if wait > 0:
            self.refused += 1
            return wait
        for limit in self.limits:
            limit.take(demand, now)
        self.accepted += 1
        return None

    def end(self, demand: Demand, used: Demand, now: float) -> None:
        for limit in self.limits:
            limit.end(demand, used, now)


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked, as we estimate it, and what it turns out to use."""

    demand: Demand
    used: Demand


def constant_jobs(random: Random) -> Job:
    demand = Demand(100.0, 20.0)
    return Job(demand, demand)


def mixed_jobs(random: Random) -> Job:
    """From 100 to 100,000 tokens, heavy tailed; known exactly."""
    tokens = min(100_000.0, max(100.0, random.lognormvariate(8.0, 1.5)))
    demand = Demand(tokens, tokens * random.uniform(0.02, 0.7))
    return Job(demand, demand)


@dataclass(slots=True)
class Tally:
    """What came of a span of time."""

    share_used: tuple[float, ...]
    """Of each limit, in its order."""
    accepted: int
    refused: int

    @property
    def used(self) -> float:
        """Of the limit that was the bottleneck."""
        return max(self.share_used)

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.accepted + self.refused)


class Backlog:
    """Jobs without end for one way to an upstream."""

    def __init__(
        self,
        gates: Sequence[Gate],
        upstream: Upstream,
        *,
        jobs: Callable[[Random], Job] = constant_jobs,
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.upstream = upstream
        self.gates = tuple(gates)
        self._jobs = jobs
        self._returned: list[tuple[int, Job]] = []
        self._next = (0, jobs(self.random))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self.waiting = True
        """Whether there is anything to do but finish what was begun."""

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._serial), action))

    def run(self, until: float) -> Tally:
        upstream = self.upstream
        began = [(limit.used, limit.allowance(self.now)) for limit in upstream.limits]
        accepted, refused = upstream.accepted, upstream.refused
        while True:
            wake = self._send()
            then = min(wake, self._events[0][0] if self._events else inf)
            if then > until:
                break
            self.now = then
            while self._events and self._events[0][0] <= then:
                heapq.heappop(self._events)[2]()
        self.now = until
        shares = []
        for limit, (used, allowed) in zip(upstream.limits, began, strict=True):
            gained = limit.allowance(until) - allowed
            shares.append((limit.used - used) / gained if gained else 0.0)
        return Tally(tuple(shares), upstream.accepted - accepted, upstream.refused - refused)

    def _send(self) -> float:
        """Send all that may pass; when the next may."""
        now = self.now
        while self.waiting:
            number, job = self._returned[0] if self._returned else self._next
            ready = max(gate.ready_at(job.demand, now) for gate in self.gates)
            if ready > now:
                return ready
            if self._returned:
                heapq.heappop(self._returned)
            else:
                self._next = (number + 1, self._jobs(self.random))
            call = Call(job.demand, now)
            for gate in self.gates:
                gate.take(call, now)
            trip = self.upstream.manners.trip(self.random)
            self.at(now + trip, lambda n=number, j=job, c=call: self._arrive(n, j, c))  # type: ignore[misc]
        return inf

    def _arrive(self, number: int, job: Job, call: Call) -> None:
        manners = self.upstream.manners
        counted = manners.counts(job.demand, self.random)
        wait = self.upstream.call(counted, self.now)
        if wait is None:
            seconds = manners.latency(self.random)
            self.at(self.now + seconds, lambda: self._end(job, call, counted))
        else:
            retry_after = manners.retry_after(wait)
            trip = manners.trip(self.random)
            self.at(self.now + trip, lambda: self._refuse(number, job, call, retry_after))

    def _refuse(self, number: int, job: Job, call: Call, retry_after: float | None) -> None:
        heapq.heappush(self._returned, (number, job))
        for gate in self.gates:
            gate.finish(call, Outcome(ending=Ending.REFUSED, retry_after=retry_after), self.now)

    def _end(self, job: Job, call: Call, counted: Demand) -> None:
        self.upstream.end(counted, job.used, self.now)
        trip = self.upstream.manners.trip(self.random)
        self.at(self.now + trip, lambda: self._done(job, call))

    def _done(self, job: Job, call: Call) -> None:
        for gate in self.gates:
            gate.accepted(call, self.now)
        outcome = Outcome(ending=Ending.SERVED, tokens=job.used.tokens, output=job.used.output)
        for gate in self.gates:
            gate.finish(call, outcome, self.now)
