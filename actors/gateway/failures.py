"""How a job ends without an answer, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from forebay.actors.gateway.waiting import Blocker
from forebay.protocol.canonical.errors import ApiError, ApiFailure
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.providers.base import CallFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedError:
    """An upstream's error answer as it came, for clients of the same dialect."""

    dialect: Dialect
    status: int
    content_type: str
    body: bytes


class CallFailed(Exception):
    """One call to one target failed before its answer had any content."""

    def __init__(self, failure: CallFailure, relayed: RelayedError | None = None) -> None:
        super().__init__(failure.error.message)
        self.failure = failure
        self.relayed = relayed


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """What a job went through, for the headers that tell its client."""

    waited: float = 0.0
    """Seconds from the request's arrival until it started, or until it was given up."""
    attempts: int = 0
    target: str | None = None
    """``provider/model-id`` of the last attempt."""
    blocker: Blocker | None = None
    position: int | None = None


class JobFailure(ApiFailure):
    """The job has no answer. ``relayed`` is set where the upstream's own words may be passed on."""

    def __init__(
        self, error: ApiError, history: JobHistory, relayed: RelayedError | None = None
    ) -> None:
        super().__init__(error)
        self.history = history
        self.relayed = relayed
