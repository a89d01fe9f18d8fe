"""Speaking errors: the status, body and headers of each, in the client's dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.places import Blocker, Prospect
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import dumps

_TRIED_HERE = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.UNAVAILABLE,
        ErrorKind.UPSTREAM_ERROR,
        ErrorKind.UPSTREAM_TIMEOUT,
        ErrorKind.PAYMENT_REQUIRED,
    }
)
"""What waiting and retrying can do was done here: a client's own retries would only multiply."""


class MethodNotAllowed(ApiFailure):
    """The path has other methods; the answer names them (RFC 9110, section 15.5.6)."""

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(
            ApiError(
                kind=ErrorKind.METHOD_NOT_ALLOWED,
                message=f"{path} does not take {method}; use {' or '.join(self.allowed)}",
            )
        )


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    status: int
    body: bytes
    content_type: str
    headers: dict[str, str]


def error_answer(failure: ApiFailure, dialect: Dialect, request_id: str) -> ErrorAnswer:
    """How ``failure`` is answered while nothing of another answer was sent."""
    error = failure.error
    headers: dict[str, str] = {}
    if error.kind in _TRIED_HERE:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if isinstance(failure, MethodNotAllowed):
        headers["allow"] = ", ".join(failure.allowed)
    if isinstance(failure, JobFailure):
        headers.update(history_headers(failure.history))
        relayed = failure.relayed
        if relayed is not None and relayed.dialect == dialect:
            return ErrorAnswer(relayed.status, relayed.body, relayed.content_type, headers)
    speech = SPEECH[dialect]
    spoken = speech.encode_error(error, request_id)
    return ErrorAnswer(spoken.status, dumps(spoken.body), speech.json_content_type, headers)


def history_headers(history: JobHistory) -> dict[str, str]:
    """What a job went through."""
    headers = {
        "x-forebay-waited-ms": str(round(history.waited * 1000)),
        "x-forebay-attempts": str(history.attempts),
        "x-forebay-cache": "off",
    }
    if history.target is not None:
        headers["x-forebay-target"] = history.target
    if history.position is not None:
        headers["x-forebay-position"] = str(history.position)
    if history.blocker is not None:
        headers |= _blocker_headers(history.blocker)
    return headers


def waiting_headers(waited: float, prospect: Prospect | None) -> dict[str, str]:
    """What a job goes through whose answer begins while it waits.

    Args:
        waited: seconds until now.
        prospect: None: it does not wait for a permit any more, or not yet.
    """
    if prospect is None:
        return {}
    return {
        "x-forebay-waited-ms": str(round(waited * 1000)),
        "x-forebay-position": str(prospect.position),
        **_blocker_headers(prospect.blocker),
    }


def _blocker_headers(blocker: Blocker) -> dict[str, str]:
    return {
        "x-forebay-blocked-by": blocker.gate,
        "x-forebay-blocked-target": blocker.target,
        "x-forebay-expected-ms": str(round(blocker.seconds * 1000)),
    }


def answer_headers(history: JobHistory, dropped: Sequence[str] = ()) -> dict[str, str]:
    """What became of a request that is answered.

    Args:
        dropped: fields that its target's API can't say.
    """
    headers = history_headers(history)
    if dropped:
        headers["x-forebay-dropped"] = ", ".join(dropped)
    return headers


def internal_error() -> ApiFailure:
    """For a fault of the gateway itself: says nothing of its insides."""
    return ApiFailure(
        ApiError(kind=ErrorKind.INTERNAL, message="the gateway failed on this request")
    )
