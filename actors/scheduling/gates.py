"""What may hold a job back, and what a gate learns from each call.

A *gate* is one reason why a call may not start now: a rate, a number of slots, a cooldown, a
circuit breaker. A call passes all gates of its way at once or none. Life of a call at a gate::

    take -> accepted? -> finish

``take`` and ``finish`` come exactly once each; ``accepted`` at most once in between, when the
upstream has taken the call on (its answer began).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output together."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


@dataclass(frozen=True, slots=True)
class Demand:
    """What one call takes from the gates of its way."""

    tokens: float
    """Estimated tokens, input and output together; at least 1."""
    output: float = 0.0
    """How many of them are output."""

    def of(self, unit: Unit) -> float:
        """How much of a limit on ``unit`` the call takes."""
        if unit is Unit.REQUESTS:
            return 1.0
        if unit is Unit.TOKENS:
            return self.tokens
        return self.output if unit is Unit.OUTPUT_TOKENS else self.tokens - self.output


class Call:
    """One call under way, as gates know it; compared by identity."""

    __slots__ = ("demand", "started_at")

    def __init__(self, demand: Demand, started_at: float) -> None:
        self.demand = demand
        self.started_at = started_at


class Ending(Enum):
    """How a call ended, as far as gates are concerned."""

    UNUSED = auto()
    """Nothing was sent upstream."""
    SERVED = auto()
    """The upstream did its work, whatever the client thinks of the answer."""
    ABANDONED = auto()
    """Says nothing, or nothing new, about the upstream: the client went away."""
    REFUSED = auto()
    """Over a limit of ours (429)."""
    OVERLOADED = auto()
    """Over the upstream's own capacity (503, 529)."""
    UNREACHABLE = auto()
    """No connection: nothing was sent, and the upstream is not well."""
    FAILED = auto()
    """A broken connection, a time-out, a server error or garbage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    ending: Ending
    tokens: float | None = None
    """What the call really used; None: not known, the estimate stands."""
    output: float = 0.0
    """How many of them were output."""
    retry_after: float | None = None
    """Seconds, as the upstream asked, with REFUSED or OVERLOADED."""


_NOTHING_SENT = frozenset({Ending.UNUSED, Ending.UNREACHABLE})
_NOTHING_READ = _NOTHING_SENT | {Ending.REFUSED, Ending.OVERLOADED}


def surplus(demand: Demand, outcome: Outcome, unit: Unit) -> float:
    """What a call that took ``demand`` did not use, which comes back; negative where it used more.

    A refused or failed call counts against most providers' limits on requests, one that was never
    read does not count against those on tokens.
    """
    if unit is Unit.REQUESTS:
        return 1.0 if outcome.ending in _NOTHING_SENT else 0.0
    if outcome.ending in _NOTHING_READ:
        return demand.of(unit)
    if outcome.tokens is None:
        return 0.0
    return demand.of(unit) - Demand(outcome.tokens, outcome.output).of(unit)


class Gate(ABC):
    """One reason to wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        """For operators and refused clients: ``openai requests per minute``."""

    @abstractmethod
    def ready_at(self, demand: Demand, now: float) -> float:
        """When this demand may pass: ``now`` or earlier means at once; ``inf`` means not
        before something happens (a call finishes)."""

    def take(self, call: Call, now: float) -> None:
        """The call starts. Only called when ``ready_at`` has said so for ``now``."""

    def accepted(self, call: Call, now: float) -> None:
        """The upstream took the call on."""

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        """The call ended; what it did not use comes back."""

    @abstractmethod
    def expected_wait(self, ahead: int, ahead_tokens: float, demand: Demand, now: float) -> float:
        """Seconds until this demand will pass if ``ahead`` calls of ``ahead_tokens`` tokens in
        sum pass before it. An estimate; 0 where this gate says nothing about it."""

    @abstractmethod
    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        """The gate's state for operators."""
