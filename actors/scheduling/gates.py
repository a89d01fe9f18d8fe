"""What may hold a job back, and what a gate learns from each call.

A *gate* is one reason why a call may not start now: a rate, a number of slots, a cooldown, a
circuit breaker. A call passes all gates of its way at once or none. Life of a call at a gate::

    take -> accepted? -> finish

``take`` and ``finish`` come exactly once each; ``accepted`` at most once in between, when the
upstream has taken the call on (its answer began).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from math import inf
from typing import ClassVar, Final, NamedTuple


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output together."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


# To look up a member of an enum takes longer than to call a function, and gates ask often.
_REQUESTS: Final = Unit.REQUESTS
_TOKENS: Final = Unit.TOKENS
_OUTPUT_TOKENS: Final = Unit.OUTPUT_TOKENS


def part_of(unit: Unit, calls: float, tokens: float, output: float) -> float:
    """How much of a limit on ``unit`` calls take that have so many tokens, output among them."""
    if unit is _REQUESTS:
        return calls
    if unit is _TOKENS:
        return tokens
    return output if unit is _OUTPUT_TOKENS else tokens - output


class Demand(NamedTuple):
    """What one call takes from the gates of its way."""

    tokens: float
    """Estimated tokens, input and output together; at least 1."""
    output: float = 0.0
    """How many of them are output."""

    def of(self, unit: Unit) -> float:
        """How much of a limit on ``unit`` the call takes."""
        if unit is _TOKENS:
            return self.tokens
        if unit is _REQUESTS:
            return 1.0
        return self.output if unit is _OUTPUT_TOKENS else self.tokens - self.output


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is expected to pass a gate before a job does. An expectation: calls may be halves."""

    calls: float = 0.0
    tokens: float = 0.0
    """Estimated tokens of these calls, input and output together."""
    output: float = 0.0
    """How many of them are output."""

    def of(self, unit: Unit) -> float:
        """How much of a limit on ``unit`` these calls take."""
        return part_of(unit, self.calls, self.tokens, self.output)

    def __add__(self, other: Backlog) -> Backlog:
        return Backlog(
            self.calls + other.calls, self.tokens + other.tokens, self.output + other.output
        )

    def __mul__(self, factor: float) -> Backlog:
        return Backlog(self.calls * factor, self.tokens * factor, self.output * factor)


NOTHING_AHEAD: Final = Backlog()


class Call:
    """One call under way, as gates know it; compared by identity."""

    __slots__ = ("demand", "started_at")

    def __init__(self, demand: Demand, started_at: float) -> None:
        self.demand = demand
        self.started_at = started_at


class Ending(StrEnum):
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


_SERVED: Final = Ending.SERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBy:
    """The limit that refused a call, as far as the refusal told."""

    unit: Unit | None = None
    """What it counts; None: calls at the same time."""
    limit: float | None = None
    """Units per second, or calls at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    ending: Ending
    tokens: float | None = None
    """What the call really used; None: not known, the estimate stands."""
    output: float = 0.0
    """How many of them were output."""
    retry_after: float | None = None
    """Seconds, as the upstream asked, with REFUSED or OVERLOADED."""
    hint: RefusedBy | None = None
    """With REFUSED: by what; None: not told."""
    has_begun: bool = False
    """Whether the answer had begun when it ended: then also a call that was refused was read."""
    patience: float = inf
    """Seconds for which the job that met it can still wait."""

    @property
    def is_good(self) -> bool:
        """It was served, and nothing was said against more calls."""
        return self.ending is _SERVED and self.retry_after is None


_NOTHING_SENT = frozenset({Ending.UNUSED, Ending.UNREACHABLE})
_NOTHING_READ = _NOTHING_SENT | {Ending.REFUSED, Ending.OVERLOADED}


def surplus(demand: Demand, outcome: Outcome, unit: Unit) -> float:
    """What a call that took ``demand`` did not use, which comes back; negative where it used more.

    A refused or failed call counts against most providers' limits on requests. One that was never
    read does not count against those on tokens; one that is refused in the middle of its answer
    does, with what it took until then.
    """
    if unit is _REQUESTS:
        return 1.0 if outcome.ending in _NOTHING_SENT else 0.0
    if outcome.ending in _NOTHING_READ and not outcome.has_begun:
        return demand.of(unit)
    if outcome.tokens is None:
        return 0.0
    if unit is _TOKENS:
        return demand.tokens - outcome.tokens
    return demand.of(unit) - Demand(outcome.tokens, outcome.output).of(unit)


class _Naps:
    """How often any gate has begun or ceased to be dormant: what is remembered of them holds until
    it happens again."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


naps: Final = _Naps()


class Gate(ABC):
    """One reason to wait."""

    same_for_all: bool = False
    """Whether it is open or closed whatever a call needs."""
    is_dormant: bool = False
    """It is open to all, and calls that start or go well change nothing about it: it is not asked
    about them. Only that a call did not end well it is told. Changed by :meth:`be_dormant`."""
    hears_of_good_ends: bool = True
    """Whether :meth:`finish` does anything where ``outcome.is_good``; else it is not told."""
    hears_of_accepted: ClassVar[bool] = False
    """Whether it makes use of :meth:`accepted`; few do, and none else is told."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.hears_of_accepted = cls.accepted is not Gate.accepted

    def __init__(self, name: str) -> None:
        self.name = name
        """For operators and refused clients: ``openai requests per minute``."""

    def be_dormant(self, *, is_dormant: bool) -> None:
        if self.is_dormant is not is_dormant:
            self.is_dormant = is_dormant
            naps.count += 1

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

    def memory(self, now: float) -> dict[str, float]:
        """What must survive a restart: times are seconds from ``now``. Empty: nothing."""
        return {}

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        """Go on from what :meth:`memory` gave at that time, before any call passes.

        Raises:
            KeyError, ValueError: ``memory`` is not of this gate.
        """

    def room(self, now: float) -> float:
        """How much of the limit is left: 0 to 1, where 1 is all. Gates that count nothing have
        all of it left."""
        return 1.0

    @abstractmethod
    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        """Seconds until this demand will pass if ``ahead`` passes before it. An estimate, by what
        the gate holds now and what calls are seen to take; 0 where it says nothing about it."""

    @abstractmethod
    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        """The gate's state for operators."""
