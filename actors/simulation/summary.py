"""What came of a run, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.simulation.allowances import Allowance, Slots
from forebay.actors.simulation.record import Group, Record
from forebay.actors.simulation.requests import TRACE
from forebay.actors.simulation.upstreams import SimulatedUpstream
from forebay.protocol.jsontext import JsonObject, JsonValue

_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds until requests started."""

    count: int
    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, waits: Iterable[float]) -> Waits:
        ordered = sorted(waits)
        return cls(
            count=len(ordered),
            p50=quantile(ordered, 0.50),
            p95=quantile(ordered, 0.95),
            p99=quantile(ordered, 0.99),
            longest=ordered[-1] if ordered else 0.0,
        )

    def as_json(self) -> JsonObject:
        return {
            "count": self.count,
            "p50": _rounded(self.p50),
            "p95": _rounded(self.p95),
            "p99": _rounded(self.p99),
            "max": _rounded(self.longest),
        }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values are not above; 0 of none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of the requests of some clients."""

    name: str
    traffic_class: TrafficClass
    clients: int
    requests: int
    served: int
    refused: int
    """By a 429 of the gateway: their time to wait was up."""
    failed: int
    waits: Waits
    tokens: int

    @classmethod
    def of(cls, name: str, traffic_class: TrafficClass, groups: Sequence[Group]) -> Line:
        return cls(
            name=name,
            traffic_class=traffic_class,
            clients=len(groups),
            requests=sum(group.requests for group in groups),
            served=sum(group.served for group in groups),
            refused=sum(len(group.refused_waits) for group in groups),
            failed=sum(group.failed for group in groups),
            waits=Waits.of(wait for group in groups for wait in group.waits),
            tokens=sum(group.tokens for group in groups),
        )

    def as_json(self) -> JsonObject:
        return {
            "name": self.name,
            "class": self.traffic_class.value,
            "clients": self.clients,
            "requests": self.requests,
            "served": self.served,
            "refused": self.refused,
            "failed": self.failed,
            "wait_seconds": self.waits.as_json(),
            "tokens": self.tokens,
        }


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit was used: shares of what it allowed."""

    name: str
    limit: float
    """At the end."""
    used: float
    used_while_waiting: float | None
    """None: nobody waited."""

    def as_json(self) -> JsonObject:
        waiting = self.used_while_waiting
        return {
            "name": self.name,
            "limit": _rounded(self.limit),
            "used": _rounded(self.used),
            "used_while_waiting": None if waiting is None else _rounded(waiting),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUse:
    name: str
    calls: int
    refused: int
    """429s that the gateway met."""
    failed: int
    tokens: int
    limits: tuple[LimitUse, ...]

    def as_json(self) -> JsonObject:
        return {
            "name": self.name,
            "calls": self.calls,
            "refused": self.refused,
            "failed": self.failed,
            "tokens": self.tokens,
            "limits": [limit.as_json() for limit in self.limits],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of a whole run."""

    duration: float
    left_waiting: int
    longest_queue: int
    classes: tuple[Line, ...]
    traffic: tuple[Line, ...]
    clients: tuple[Line, ...]
    jain: dict[TrafficClass, float | None]
    """Of the tokens by weight that clients of a class were granted while they had requests
    waiting all the time; None: there never were two of them."""
    providers: tuple[ProviderUse, ...]

    @property
    def requests(self) -> int:
        return sum(line.requests for line in self.classes)

    @property
    def served(self) -> int:
        return sum(line.served for line in self.classes)

    @property
    def refused(self) -> int:
        return sum(line.refused for line in self.classes)

    @property
    def failed(self) -> int:
        return sum(line.failed for line in self.classes)

    @property
    def unfinished(self) -> int:
        """They waited or ran when the run ended."""
        return self.requests - self.served - self.refused - self.failed

    @property
    def tokens(self) -> int:
        return sum(line.tokens for line in self.classes)

    def as_json(self) -> JsonObject:
        """Rounded, so that nobody takes the last digits for news."""
        jain: dict[str, JsonValue] = {
            traffic_class.value: None if value is None else _rounded(value)
            for traffic_class, value in self.jain.items()
        }
        return {
            "duration_seconds": _rounded(self.duration),
            "requests": self.requests,
            "served": self.served,
            "refused": self.refused,
            "failed": self.failed,
            "unfinished": self.unfinished,
            "left_waiting": self.left_waiting,
            "longest_queue": self.longest_queue,
            "tokens": self.tokens,
            "jain": jain,
            "classes": [line.as_json() for line in self.classes],
            "traffic": [line.as_json() for line in self.traffic],
            "clients": [line.as_json() for line in self.clients],
            "providers": [provider.as_json() for provider in self.providers],
        }


def summary_of(record: Record, upstreams: Sequence[SimulatedUpstream]) -> Summary:
    """The numbers of a run that is over."""
    groups = list(record.groups.values())
    classes = [each for each in TrafficClass if any(g.traffic_class is each for g in groups)]
    by_traffic: dict[tuple[str, TrafficClass], list[Group]] = {}
    for group in groups:
        own = group.client.name if group.traffic == TRACE else group.traffic
        by_traffic.setdefault((own, group.traffic_class), []).append(group)
    return Summary(
        duration=record.duration,
        left_waiting=record.left_waiting,
        longest_queue=record.longest_queue,
        classes=tuple(
            Line.of("all", each, [g for g in groups if g.traffic_class is each]) for each in classes
        ),
        traffic=tuple(Line.of(*key, members) for key, members in sorted(by_traffic.items())),
        clients=tuple(
            Line.of(group.client.name, group.traffic_class, [group])
            for group in sorted(groups, key=_natural)
        ),
        jain={each: _mean(record.jain[each]) for each in classes},
        providers=tuple(_use_of(upstream) for upstream in upstreams),
    )


def _use_of(upstream: SimulatedUpstream) -> ProviderUse:
    limits: tuple[Allowance | Slots, ...] = (
        *upstream.all_allowances,
        *(each for each in upstream.all_slots if each.allowed),
    )
    return ProviderUse(
        name=upstream.name,
        calls=upstream.calls,
        refused=upstream.refused,
        failed=upstream.failed,
        tokens=upstream.tokens,
        limits=tuple(
            LimitUse(
                name=each.name,
                limit=each.limit,
                used=each.used / each.allowed if each.allowed else 0.0,
                used_while_waiting=(
                    each.used_while_waiting / each.allowed_while_waiting
                    if each.allowed_while_waiting
                    else None
                ),
            )
            for each in limits
        ),
    )


def _natural(group: Group) -> tuple[str, int, str, TrafficClass]:
    """So that user 2 comes before user 10."""
    name, _, number = group.client.name.rpartition("-")
    if not number.isdecimal():
        name, number = group.client.name, "0"
    return name, int(number), group.client.name, group.traffic_class


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
