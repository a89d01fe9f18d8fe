"""Telling failures apart by status and code: what most providers mean by them."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.limits.hints import LimitHint
from forebay.protocol.providers.limits.refusals import limit_hint
from forebay.protocol.providers.limits.told_in_body import told_in_body, with_told_headers
from forebay.protocol.providers.waits import retry_after, wait_in_words

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


_WAITED_FOR = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})


def classify_by_status(answer: FailedAnswer) -> CallFailure:
    """The classification that holds for OpenAI, Anthropic and compatible servers."""
    kind = _kind(answer.status, answer.error)
    told = told_in_body(answer.body)
    wait = resets_in = None
    if kind in _WAITED_FOR or kind is FailureKind.QUOTA_SPENT:
        wait = retry_after(
            with_told_headers(answer.headers, answer.body),
            answer.error.message,
            now=answer.now,
            in_body=answer.error.retry_after if told.retry_after is None else told.retry_after,
        )
    if kind is FailureKind.QUOTA_SPENT:
        wait, resets_in = None, wait
    failure = CallFailure(
        kind=kind,
        error=answer.error,
        retry_after=wait,
        resets_in=resets_in,
        status=answer.status,
    )
    if kind is FailureKind.RATE_LIMITED:
        return _with_limit(failure, _hint(answer.error, told.codes))
    if answer.status == 413:  # Groq's, for what is larger than a whole limit
        return replace(failure, limit=_hint(answer.error))
    return failure


def _hint(error: ApiError, codes: frozenset[str] = frozenset()) -> LimitHint | None:
    return limit_hint(error.message, codes if error.code is None else codes | {error.code.lower()})


def _with_limit(failure: CallFailure, limit: LimitHint | None) -> CallFailure:
    """``failure`` by this limit. A request larger than the whole limit would be refused for ever:
    its client is told so, and not that it should wait."""
    failure = replace(failure, limit=limit)
    if limit is None or not _is_larger_than_all(limit):
        return failure
    return replace(
        failure,
        kind=FailureKind.REQUEST_REJECTED,
        error=ApiError(
            kind=ErrorKind.TOO_LARGE, message=failure.error.message, param=failure.error.param
        ),
        retry_after=None,
    )


def _is_larger_than_all(limit: LimitHint) -> bool:
    return limit.requested is not None and limit.limit is not None and limit.requested > limit.limit


def _kind(status: int, error: ApiError) -> FailureKind:
    if error.kind is ErrorKind.PAYMENT_REQUIRED:  # Anthropic says it with a 400
        return FailureKind.QUOTA_SPENT
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
        case 504 | 524:
            return FailureKind.TIMED_OUT
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
        case ErrorKind.UPSTREAM_TIMEOUT:
            kind = FailureKind.TIMED_OUT
        case _:
            kind = FailureKind.SERVER_FAILED
    failure = CallFailure(kind=kind, error=event.error, status=event.status)
    if kind not in _WAITED_FOR:
        return failure
    wait = event.error.retry_after
    if wait is None:
        wait = wait_in_words(event.error.message, now=None)
    failure = replace(failure, retry_after=wait)
    return failure if kind is FailureKind.OVERLOADED else _with_limit(failure, _hint(event.error))
