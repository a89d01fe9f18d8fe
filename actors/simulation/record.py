"""What is noted of every simulated request, and over time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from forebay.actors.jobs.job import Client
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.simulation.allowances import Allowance, Slots
from forebay.actors.simulation.requests import Request
from forebay.actors.simulation.upstreams import SimulatedUpstream

SPANS: Final = 240
"""Into which a run is divided for its charts."""
_SPANS_OF_TURNS: Final = 10
"""In which it is looked at who got how much: fewer would hold too few requests."""
_ALWAYS: Final = 0.99


@dataclass(slots=True)
class Group:
    """The requests of one client and class."""

    client: Client
    traffic: str
    requests: int = 0
    served: int = 0
    failed: int = 0
    tokens: int = 0
    """Served, input and output."""
    waits: array[float] = field(default_factory=lambda: array("d"))
    """Seconds, of those that started."""
    refused_waits: array[float] = field(default_factory=lambda: array("d"))
    """Seconds, of those that were refused in the end (429)."""
    waiting: int = 0
    backlogged: float = 0.0
    """Seconds in which some of its requests waited."""
    started_tokens: int = 0
    """Of requests that got a permit."""
    _since: float = 0.0
    _seen: tuple[float, int] = (0.0, 0)

    @property
    def weight(self) -> float:
        return self.client.weight

    @property
    def traffic_class(self) -> TrafficClass:
        return self.client.traffic_class

    def begin_wait(self, now: float) -> None:
        if not self.waiting:
            self._since = now
        self.waiting += 1

    def end_wait(self, now: float) -> None:
        self.waiting -= 1
        if not self.waiting:
            self.backlogged += now - self._since

    def since_last_look(self, now: float) -> tuple[float, int]:
        """Seconds in which some waited and tokens that were started, since this was asked last."""
        if self.waiting:
            self.backlogged += now - self._since
            self._since = now
        seconds, tokens = self._seen
        self._seen = self.backlogged, self.started_tokens
        return self.backlogged - seconds, self.started_tokens - tokens


@dataclass(slots=True)
class Series:
    """What happened in each span of a run."""

    span: float
    """Seconds."""
    waits: list[array[float]]
    """Of the requests that started in it."""
    queue: list[float]
    """Jobs that waited, on average."""
    used: dict[str, list[float]]
    """By the limit's name: the share that was used of what the span allowed."""


class Record:
    """Takes notes."""

    def __init__(self, duration: float, upstreams: Sequence[SimulatedUpstream]) -> None:
        self.duration = duration
        self.groups: dict[tuple[str, TrafficClass], Group] = {}
        self.jain: dict[TrafficClass, list[float]] = {each: [] for each in TrafficClass}
        """Of the windows in which several clients had requests waiting all the time."""
        self._upstreams = upstreams
        self._span = duration / SPANS
        self._waits = [array("d") for _ in range(SPANS)]
        self._queue = [0.0] * SPANS
        self._queue_at = 0.0
        self.waiting = 0
        self.longest_queue = 0
        self.left_waiting = 0
        """Jobs that still waited at the end."""
        self._used: dict[str, list[float]] = {}
        self._used_before: dict[str, tuple[float, float]] = {}

    def group(self, request: Request) -> Group:
        client = request.client
        key = client.name, client.traffic_class
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(client, request.traffic)
        return group

    # Waiting.

    def begin_wait(self, group: Group, now: float) -> None:
        self._account(now)
        self.waiting += 1
        if self.waiting > self.longest_queue:
            self.longest_queue = self.waiting
        group.begin_wait(now)

    def end_wait(self, group: Group, now: float) -> None:
        self._account(now)
        self.waiting -= 1
        group.end_wait(now)

    def _account(self, now: float) -> None:
        """For the jobs that have waited until ``now``."""
        at = self._queue_at
        if now == at:
            return
        self._queue_at = now
        if not self.waiting:
            return
        span = self._span
        while at < now:
            index = min(SPANS - 1, int(at / span))
            until = now if index == SPANS - 1 else min(now, (index + 1) * span)
            if until <= at:  # rounding
                until = now
            self._queue[index] += self.waiting * (until - at)
            at = until

    def started(self, group: Group, waited: float, now: float) -> None:
        """A request got its first permit."""
        group.waits.append(waited)
        self._waits[min(SPANS - 1, int(now / self._span))].append(waited)

    # Over time.

    def end_span(self, span: int, now: float) -> None:
        """Span number ``span`` is over."""
        self._note_limits(span, now)
        if span % _SPANS_OF_TURNS == _SPANS_OF_TURNS - 1:
            self._note_turns(now)

    def _note_turns(self, now: float) -> None:
        """Compare those who had requests waiting all the time."""
        window = self._span * _SPANS_OF_TURNS
        rates: dict[TrafficClass, list[float]] = {each: [] for each in TrafficClass}
        for group in self.groups.values():
            backlogged, tokens = group.since_last_look(now)
            if backlogged >= _ALWAYS * window:
                rates[group.traffic_class].append(tokens / group.weight)
        for traffic_class, compared in rates.items():
            if len(compared) > 1 and any(compared):
                self.jain[traffic_class].append(jain(compared))

    def _note_limits(self, span: int, now: float) -> None:
        for upstream in self._upstreams:
            upstream.account(now)
            limits: tuple[Allowance | Slots, ...] = (
                *upstream.all_allowances,
                *(slots for slots in upstream.all_slots if slots.allowed),
            )
            for limit in limits:
                name = f"{upstream.name} {limit.name}"
                used, allowed = self._used_before.get(name, (0.0, 0.0))
                line = self._used.setdefault(name, [0.0] * SPANS)
                if limit.allowed > allowed:
                    line[span] = (limit.used - used) / (limit.allowed - allowed)
                self._used_before[name] = limit.used, limit.allowed

    def close(self, now: float) -> None:
        """The run ends."""
        self._account(now)
        self.left_waiting = self.waiting
        self.end_span(SPANS - 1, now)

    def series(self) -> Series:
        return Series(
            span=self._span,
            waits=self._waits,
            queue=[jobs / self._span for jobs in self._queue],
            used=self._used,
        )


def jain(rates: Sequence[float]) -> float:
    """R. Jain, D. Chiu, W. Hawe: A quantitative measure of fairness, DEC-TR-301, 1984."""
    return sum(rates) ** 2 / (len(rates) * sum(rate * rate for rate in rates))
