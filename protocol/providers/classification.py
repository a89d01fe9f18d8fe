"""Telling failures apart by status and code: what most providers mean by them."""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.waits import retry_after

_SPENT_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
    }
)
"""Codes of 429s that no waiting cures (OpenAI's and Anthropic's error references)."""

_REQUESTS_FAULTS = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.CONTEXT_OVERFLOW})
"""Some servers answer 500 to what they can't read; its words tell."""


def classify_by_status(answer: FailedAnswer) -> CallFailure:
    """The classification that holds for OpenAI, Anthropic and compatible servers."""
    kind = _kind(answer.status, answer.error)
    wait = resets_in = None
    if kind in (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED):
        wait = retry_after(answer.headers, answer.error.message, now=answer.now)
    elif kind is FailureKind.QUOTA_SPENT:
        resets_in = retry_after(answer.headers, answer.error.message, now=answer.now)
    return CallFailure(
        kind=kind,
        error=answer.error,
        retry_after=wait,
        resets_in=resets_in,
        status=answer.status,
    )


def _kind(status: int, error: ApiError) -> FailureKind:
    match status:
        case 401:
            return FailureKind.KEY_REJECTED
        case 402:
            return FailureKind.QUOTA_SPENT
        case 403:
            return FailureKind.TARGET_FORBIDDEN
        case 429:
            spent = error.code in _SPENT_CODES
            return FailureKind.QUOTA_SPENT if spent else FailureKind.RATE_LIMITED
        case 503 | 529:
            return FailureKind.OVERLOADED
        case 408:
            return FailureKind.SERVER_FAILED
        case _ if status < 500 or error.kind in _REQUESTS_FAULTS:
            return FailureKind.REQUEST_REJECTED
        case _:
            return FailureKind.SERVER_FAILED


def classify_stream_error(event: StreamError) -> CallFailure:
    """An error that arrived inside a stream with status 200."""
    match event.error.kind:
        case ErrorKind.RATE_LIMITED:
            kind = FailureKind.RATE_LIMITED
            if event.error.code in _SPENT_CODES:
                kind = FailureKind.QUOTA_SPENT
        case ErrorKind.UNAVAILABLE:
            kind = FailureKind.OVERLOADED
        case (
            ErrorKind.BAD_REQUEST
            | ErrorKind.CONTEXT_OVERFLOW
            | ErrorKind.MODEL_NOT_FOUND
            | ErrorKind.TOO_LARGE
        ):
            kind = FailureKind.REQUEST_REJECTED
        case ErrorKind.UNAUTHENTICATED:
            kind = FailureKind.KEY_REJECTED
        case ErrorKind.FORBIDDEN:
            kind = FailureKind.TARGET_FORBIDDEN
        case _:
            kind = FailureKind.SERVER_FAILED
    return CallFailure(kind=kind, error=event.error, status=event.status)
