"""Whether an account or a target serves at all: what no waiting cures is taken out, for long.

A dead key or a spent quota may be mended without a word to the gateway. So what is out gets
another chance after a long pause: one call is let through on trial, and its outcome decides. Who
takes out and who begins a trial is told here; that nobody waits for what is out is for the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome

FIRST_PAUSE: Final = 300.0
"""Seconds until the first trial. It doubles with every trial that fails."""
LONGEST_PAUSE: Final = 3600.0
LONGEST_TOLD_PAUSE: Final = 86_400.0
"""However late a quota is said to be there again: it may be bought before, or the time misread."""

_TAKEN_ON: Final = frozenset({Ending.SERVED, Ending.REFUSED})
"""Only who takes the key, and whose quota is not spent, serves or says 'too fast'."""


class AdmissionState(StrEnum):
    IN_SERVICE = "in_service"
    OUT = "out"
    """No call passes until a trial begins."""
    ON_TRIAL = "on_trial"
    """One call may pass at a time, until one is taken on."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why something is out, and until when."""

    reason: str
    """What anybody may know."""
    detail: str | None
    """The provider's own words, for operators."""
    until: float
    """When a call may try again, on the clock of all ``now``."""


class Admission(Gate):
    """One account's or one target's. In service it lets everybody pass."""

    same_for_all = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.state = AdmissionState.IN_SERVICE
        self.be_dormant(is_dormant=True)
        self.returned: Callable[[], None] = _nobody_asks
        """Called when a trial has gone well."""
        self._latest: Exclusion | None = None
        self._excluded_at = -inf
        self._exclusions = 0
        """In a row, without a trial that went well."""
        self._trial: Call | None = None

    @property
    def exclusion(self) -> Exclusion | None:
        """None while calls may pass."""
        return self._latest if self.state is AdmissionState.OUT else None

    def exclude(
        self,
        reason: str,
        now: float,
        *,
        detail: str | None = None,
        resets_in: float | None = None,
        call: Call | None = None,
    ) -> Exclusion | None:
        """Take it out, or out again.

        Args:
            resets_in: seconds until it will serve again, where somebody said so.
            call: what told it. One that began before the last exclusion tells old news.

        Returns:
            None for old news.
        """
        if call is not None and call.started_at <= self._excluded_at:
            return None
        self.state = AdmissionState.OUT
        self.be_dormant(is_dormant=False)
        self._trial = None
        self._excluded_at = now
        self._latest = Exclusion(reason, detail, now + self._pause(resets_in))
        self._exclusions += 1
        return self._latest

    def _pause(self, resets_in: float | None) -> float:
        # Times shorter than that are not believed: they would have been waited for.
        if resets_in is not None and resets_in >= FIRST_PAUSE:
            return min(resets_in, LONGEST_TOLD_PAUSE)
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._exclusions, 60))

    def forgive(self, now: float) -> None:
        """What it was taken out for holds no more: it is in service, and calls that have begun
        before tell old news."""
        self._excluded_at = now
        if self.state is not AdmissionState.IN_SERVICE:
            self._return()

    def begin_trial(self) -> None:
        """Let one call find out whether it serves again."""
        if self.state is AdmissionState.OUT:
            self.state = AdmissionState.ON_TRIAL

    def ready_at(self, demand: Demand, now: float) -> float:
        match self.state:
            case AdmissionState.IN_SERVICE:
                return now
            case AdmissionState.OUT:
                return inf
            case AdmissionState.ON_TRIAL:
                return now if self._trial is None else inf

    def take(self, call: Call, now: float) -> None:
        if self.state is AdmissionState.ON_TRIAL:
            self._trial = call

    def accepted(self, call: Call, now: float) -> None:
        if call is self._trial:
            self._return()

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        if call is not self._trial:
            return
        if outcome.ending in _TAKEN_ON:
            self._return()
        # All else tells nothing of the key or the quota: the next call tries.
        self._trial = None

    def _return(self) -> None:
        self.state = AdmissionState.IN_SERVICE
        self.be_dormant(is_dormant=True)
        self._trial = None
        self._exclusions = 0
        self.returned()

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return 0.0 if self.exclusion is None else max(0.0, self.exclusion.until - now)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        if self.state is AdmissionState.IN_SERVICE or self._latest is None:
            return {"state": self.state.value}
        return {"state": self.state.value, "reason": self._latest.reason}


def _nobody_asks() -> None:
    """Nobody wants to know."""
