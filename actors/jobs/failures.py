"""How a job ends without an answer, what is known about it, and who is told what.

Clients are told which target failed and how, never where it is: addresses and what a system says
of them are for operators, in :attr:`CallFailure.detail`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forebay.actors.jobs.places import Blocker
from forebay.actors.providers.connection_advice import told_to_operators
from forebay.actors.providers.provider import Target
from forebay.actors.upstream import (
    AnswerBroken,
    BodyTooLong,
    ConnectFailed,
    NoAnswer,
    UpstreamFailure,
)
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.providers.base import CallFailure, FailureKind


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


def joined_history(histories: Sequence[JobHistory]) -> JobHistory:
    """Of several jobs that one request was made of."""
    targets = dict.fromkeys(each.target for each in histories if each.target is not None)
    return JobHistory(
        waited=max(each.waited for each in histories),
        attempts=sum(each.attempts for each in histories),
        target=", ".join(targets) or None,
    )


class JobFailure(ApiFailure):
    """The job has no answer. ``relayed`` is set where the upstream's own words may be passed on."""

    def __init__(
        self, error: ApiError, history: JobHistory, relayed: RelayedError | None = None
    ) -> None:
        super().__init__(error)
        self.history = history
        self.relayed = relayed


def shutting_down(history: JobHistory | None = None) -> JobFailure:
    """Nobody will be served any more."""
    return JobFailure(
        ApiError(
            kind=ErrorKind.UNAVAILABLE, message="the gateway is shutting down", retry_after=1.0
        ),
        history or JobHistory(),
    )


def network_failure(failure: UpstreamFailure, target: Target) -> CallFailure:
    """A call to ``target`` that brought no whole answer."""
    timed_out = isinstance(failure, NoAnswer | AnswerBroken) and failure.timed_out
    if isinstance(failure, ConnectFailed):
        kind, told = FailureKind.UNREACHABLE, ErrorKind.UPSTREAM_ERROR
    elif timed_out:
        kind, told = FailureKind.TIMED_OUT, ErrorKind.UPSTREAM_TIMEOUT
    else:
        kind, told = FailureKind.SERVER_FAILED, ErrorKind.UPSTREAM_ERROR
    error = ApiError(kind=told, message=_without_addresses(failure, target))
    detail = told_to_operators(failure, target.provider.name)
    return CallFailure(kind=kind, error=error, detail=detail)


def _without_addresses(failure: UpstreamFailure, target: Target) -> str:
    name, timeouts = target.name, target.provider.timeouts
    match failure:
        case ConnectFailed(timed_out=True):
            return f"could not connect to {name}: timed out after {_ms(timeouts.connect)}"
        case ConnectFailed():
            return f"could not connect to {name}"
        case NoAnswer(timed_out=True):
            limit = _ms(timeouts.first_byte)
            return f"{name} timed out after {limit} waiting for the first byte of its answer"
        case NoAnswer():
            return f"{name} broke off the call before its answer"
        case AnswerBroken(timed_out=True):
            limit = _ms(timeouts.between_bytes)
            return f"{name} timed out after {limit} waiting for more of its answer"
        case AnswerBroken():
            return (
                f"{name} broke off its answer: it closed the connection early or sent what can't "
                "be read"
            )
        case BodyTooLong():
            return f"the answer of {name} is longer than {failure.limit} bytes"
        case _:
            return f"the call to {name} failed"


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)} ms"
