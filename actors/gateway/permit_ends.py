"""How permits end without an answer: what failures mean for gates, and what clients hear."""

from __future__ import annotations

from typing import Final

from forebay.actors.scheduling.gates import Ending
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.providers.base import FailureKind

BROKEN: Final = frozenset({FailureKind.SERVER_FAILED, FailureKind.TIMED_OUT})
"""These count as failures of the call."""
UPSTREAM_TROUBLE: Final = BROKEN | {FailureKind.UNREACHABLE}
"""These are worth telling operators."""

ENDINGS: Final = {
    FailureKind.RATE_LIMITED: Ending.REFUSED,
    FailureKind.OVERLOADED: Ending.OVERLOADED,
    FailureKind.UNREACHABLE: Ending.UNREACHABLE,
    FailureKind.SERVER_FAILED: Ending.FAILED,
    FailureKind.TIMED_OUT: Ending.FAILED,
    FailureKind.REQUEST_REJECTED: Ending.SERVED,
    FailureKind.QUOTA_SPENT: Ending.ABANDONED,
    FailureKind.KEY_REJECTED: Ending.ABANDONED,
    FailureKind.TARGET_FORBIDDEN: Ending.ABANDONED,
}
"""What a failure means for the gates that the call has passed."""

ENDINGS_OF_BEGUN: Final = ENDINGS | {FailureKind.UNREACHABLE: Ending.FAILED}
"""The same for a call whose answer had begun: it was sent."""


def waited_in_vain(model: str, waited: float, seconds: float) -> ApiError:
    """The job's time was up after ``waited`` seconds; it would have started in ``seconds``."""
    return ApiError(
        kind=ErrorKind.RATE_LIMITED,
        message=(
            f"waited {waited:.1f} s for a free place at model '{model}' "
            f"and none came up; try again in {_whole_seconds(seconds)} s"
        ),
        code="rate_limit_exceeded",
        retry_after=_whole_seconds(seconds),
    )


def nothing_can_serve(model: str, reason: str) -> ApiError:
    return ApiError(
        kind=ErrorKind.UNAVAILABLE,
        message=f"nothing can serve model '{model}' now: {reason}",
    )


def as_upstream_fault(error: ApiError) -> ApiError:
    """What the client is told of a provider's own failure, whatever words that came in."""
    if error.kind in (ErrorKind.UPSTREAM_ERROR, ErrorKind.UPSTREAM_TIMEOUT):
        return error
    return ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=error.message)


def _whole_seconds(seconds: float) -> float:
    """As ``retry-after`` says it: whole, at least 1 (clients hammer at 0)."""
    return float(max(1, -int(-seconds // 1)))
