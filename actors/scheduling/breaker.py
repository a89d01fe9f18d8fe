"""A circuit breaker: an upstream that keeps failing is left alone, then probed by one call."""

from __future__ import annotations

from enum import StrEnum
from math import inf
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome


class CircuitState(StrEnum):
    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """No call passes until the pause is over."""
    HALF_OPEN = "half_open"
    """One call is out to probe; its outcome decides."""


class CircuitBreaker(Gate):
    """Opens after consecutive failures. Refusals, overload and clients' faults don't count.

    One request that breaks whoever gets it must not close the upstream to all others: who makes
    the calls reports only its first failure here as one, and its repeats as ABANDONED."""

    same_for_all = True

    def __init__(
        self,
        name: str,
        random: Random,
        *,
        failures_to_open: int = 5,
        initial_pause: float = 5.0,
        longest_pause: float = 60.0,
    ) -> None:
        super().__init__(name)
        self.state = CircuitState.CLOSED
        self.be_dormant(is_dormant=True)
        self._failures_to_open = failures_to_open
        self._failures = 0
        self._open_until = -inf
        self._probe: Call | None = None
        self._backoff = Backoff(initial=initial_pause, cap=longest_pause, random=random)

    def ready_at(self, demand: Demand, now: float) -> float:
        match self.state:
            case CircuitState.CLOSED:
                return now
            case CircuitState.OPEN:
                return self._open_until
            case CircuitState.HALF_OPEN:
                return inf

    def take(self, call: Call, now: float) -> None:
        if self.state is CircuitState.OPEN:
            self.state = CircuitState.HALF_OPEN
            self._probe = call

    def accepted(self, call: Call, now: float) -> None:
        self._close()

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        # What was under way before the circuit opened may still end badly: old news.
        is_probe = call is self._probe
        match outcome.ending:
            case Ending.FAILED | Ending.UNREACHABLE:
                self._count_failure()
                if is_probe or (
                    self.state is CircuitState.CLOSED and self._failures >= self._failures_to_open
                ):
                    self._open(now + self._backoff.next())
            case Ending.SERVED | Ending.REFUSED | Ending.OVERLOADED:
                self._close()
            case Ending.UNUSED | Ending.ABANDONED:
                if is_probe:
                    # The probe told nothing: the next call probes again.
                    self._open(now)

    def found_unreachable(self, now: float) -> None:
        """Somebody else has failed to reach the upstream: counts as a call that has."""
        self._count_failure()
        if self.state is CircuitState.CLOSED and self._failures >= self._failures_to_open:
            self._open(now + self._backoff.next())

    def relent(self, now: float) -> None:
        """The upstream seems to be well again: the call that probes need not wait any longer."""
        self._open_until = min(self._open_until, now)

    def _count_failure(self) -> None:
        self._failures += 1
        self.be_dormant(is_dormant=False)

    def _open(self, until: float) -> None:
        self.state = CircuitState.OPEN
        self.be_dormant(is_dormant=False)
        self._open_until = until
        self._probe = None

    def _close(self) -> None:
        self.state = CircuitState.CLOSED
        self.be_dormant(is_dormant=True)
        self._probe = None
        self._failures = 0
        self._backoff.reset()

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return max(0.0, self._open_until - now) if self.state is CircuitState.OPEN else 0.0

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {"state": self.state.value, "consecutive_failures": self._failures}
