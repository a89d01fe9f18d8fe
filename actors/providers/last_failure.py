"""What went wrong last at a target: for operators, who may know where the target is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from forebay.protocol.providers.base import CallFailure

_log = logging.getLogger("forebay.provider")

_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class FailureStatus:
    """A failed call."""

    message: str
    seconds_ago: float


class LastFailure:
    """Of one target."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._message: str | None = None
        self._at = 0.0

    def note(self, failure: CallFailure, now: float) -> None:
        """Keep and log a failure that was no limit of anybody's and no fault of the request."""
        self._message = (failure.detail or failure.error.message)[:_LONGEST]
        self._at = now
        _log.warning("a call to %s failed: %r", self._target, self._message)

    def status(self, now: float) -> FailureStatus | None:
        """None while there was none."""
        if self._message is None:
            return None
        return FailureStatus(self._message, round(now - self._at, 3))
