"""What failed calls mean: wait, go elsewhere, take the account out, or tell the client
(traps 109 to 112)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import dumps
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.classification import classify_by_status, classify_stream_error


def _classify(
    dialect: Dialect, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> CallFailure:
    """As the gateway reads an answer."""
    error = SPEECH[dialect].decode_error(status, body)
    answer = FailedAnswer(status=status, headers=headers or {}, error=error, now=1_790_000_000.0)
    return classify_by_status(answer)


@pytest.mark.parametrize(
    "code",
    ["insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"],
)
def test_trap_109_a_spent_quota_is_nothing_to_wait_for(code: str) -> None:
    body = b'{"error":{"message":"You exceeded your quota.","type":"x","code":"%s"}}'
    failure = _classify(OPENAI, 429, body % code.encode(), {"retry-after": "20"})
    assert failure.kind is FailureKind.QUOTA_SPENT
    assert failure.retry_after is None
    assert failure.error.message == "You exceeded your quota."


def test_trap_110_an_enforced_spend_limit_is_nothing_to_wait_for() -> None:
    body = (
        b'{"type":"error","error":{"type":"rate_limit_error","message":"limit",'
        b'"details":{"error_code":"enforced_spend_limit_reached"}}}'
    )
    assert _classify(ANTHROPIC, 429, body).kind is FailureKind.QUOTA_SPENT


def test_trap_111_an_overloaded_anthropic_is_no_limit_of_ours() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    failure = _classify(ANTHROPIC, 529, body)
    assert failure.kind is FailureKind.OVERLOADED
    assert failure.status == 529


def test_trap_112_a_503_is_capacity_and_a_429_a_limit_of_ours() -> None:
    assert _classify(OPENAI, 503).kind is FailureKind.OVERLOADED
    assert _classify(OPENAI, 429).kind is FailureKind.RATE_LIMITED


OLLAMAS_CLOUD = "https://ollama.com"
SPENT_WINDOWS = (
    "you've reached your hourly usage limit, please wait or upgrade to continue",
    "you've reached your weekly usage limit, please wait or upgrade to continue",
    "you (somebody) have reached your session usage limit, please wait or upgrade to continue",
    f"you (somebody) have reached your session usage limit, upgrade for higher limits: "
    f"{OLLAMAS_CLOUD}/upgrade or add extra usage: {OLLAMAS_CLOUD}/settings (ref: 1-2)",
    "You (somebody) have reached your Weekly Usage Limit",
)


def _classify_ollama(
    status: int, message: str, headers: dict[str, str] | None = None
) -> CallFailure:
    body = dumps({"error": message})
    error = SPEECH[OLLAMA].decode_error(status, body)
    return PROFILES["ollama"].classify(
        FailedAnswer(status=status, headers=headers or {}, error=error, now=1_790_000_000.0)
    )


@pytest.mark.parametrize("message", SPENT_WINDOWS)
def test_a_spent_window_of_ollamas_cloud_is_a_spent_quota(message: str) -> None:
    failure = _classify_ollama(429, message)
    assert failure.kind is FailureKind.QUOTA_SPENT
    assert failure.retry_after is None
    assert failure.resets_in is None
    assert failure.error.message == message
    assert failure.status == 429


def test_a_local_ollama_that_passes_the_clouds_refusal_on_means_the_same() -> None:
    body = b'{"StatusCode":429,"Status":"429 Too Many Requests","error":"%s"}'
    error = SPEECH[OLLAMA].decode_error(429, body % SPENT_WINDOWS[1].encode())
    answer = FailedAnswer(status=429, headers={}, error=error, now=0.0)
    assert PROFILES["ollama"].classify(answer).kind is FailureKind.QUOTA_SPENT


def test_a_window_of_ollamas_cloud_that_ends_soon_is_waited_for() -> None:
    for headers, message in (
        ({"retry-after": "240"}, SPENT_WINDOWS[0]),
        ({}, "you've reached your hourly usage limit, try again in 4m"),
    ):
        failure = _classify_ollama(429, message, headers)
        assert failure.kind is FailureKind.RATE_LIMITED
        assert failure.retry_after == 240
        assert failure.resets_in is None


def test_a_window_of_ollamas_cloud_that_ends_late_is_spent_until_then() -> None:
    for headers, message in (
        ({"retry-after": "7200"}, SPENT_WINDOWS[0]),
        ({}, "you've reached your session usage limit. Resets in 2 hours"),
    ):
        failure = _classify_ollama(429, message, headers)
        assert failure.kind is FailureKind.QUOTA_SPENT
        assert failure.retry_after is None
        assert failure.resets_in == 7200


def test_other_refusals_of_ollamas_cloud_are_waited_for() -> None:
    assert _classify_ollama(429, "too many concurrent requests").kind is FailureKind.RATE_LIMITED
    assert _classify_ollama(503, SPENT_WINDOWS[0]).kind is FailureKind.OVERLOADED
    assert _classify_ollama(400, SPENT_WINDOWS[0]).kind is FailureKind.REQUEST_REJECTED


def test_the_same_words_of_another_provider_are_a_limit_of_ours() -> None:
    body = dumps({"error": {"message": SPENT_WINDOWS[0]}})
    assert _classify(OPENAI, 429, body).kind is FailureKind.RATE_LIMITED


def test_when_a_spent_quota_is_there_again_is_read_where_it_is_told() -> None:
    assert _classify(OPENAI, 402, headers={"retry-after": "86400"}).resets_in == 86400
    body = b'{"error":{"message":"spent, resets in 3h","code":"insufficient_quota"}}'
    assert _classify(OPENAI, 429, body).resets_in == 10800
    assert _classify(OPENAI, 402).resets_in is None
    assert _classify(OPENAI, 429, headers={"retry-after": "9"}).resets_in is None


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, OLLAMA])
def test_a_time_to_come_back_is_read_with_refusals(dialect: Dialect, status: int) -> None:
    assert _classify(dialect, status, headers={"retry-after": "12"}).retry_after == 12
    assert _classify(dialect, status, headers={"retry-after-ms": "12"}).retry_after == 0.012
    assert _classify(dialect, status).retry_after is None


def test_a_time_to_come_back_is_read_from_the_message() -> None:
    body = b'{"error":{"message":"Rate limit reached. Please try again in 1.2s."}}'
    assert _classify(OPENAI, 429, body).retry_after == 1.2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST_REJECTED),
        (401, FailureKind.KEY_REJECTED),
        (402, FailureKind.QUOTA_SPENT),
        (403, FailureKind.TARGET_FORBIDDEN),
        (404, FailureKind.REQUEST_REJECTED),
        (408, FailureKind.SERVER_FAILED),
        (413, FailureKind.REQUEST_REJECTED),
        (422, FailureKind.REQUEST_REJECTED),
        (500, FailureKind.SERVER_FAILED),
        (502, FailureKind.SERVER_FAILED),
        (504, FailureKind.TIMED_OUT),
    ],
)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, OLLAMA])
def test_the_status_decides(dialect: Dialect, status: int, kind: FailureKind) -> None:
    failure = _classify(dialect, status, headers={"retry-after": "12"})
    assert failure.kind is kind
    assert failure.retry_after is None
    assert failure.status == status


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        (ErrorKind.RATE_LIMITED, None, FailureKind.RATE_LIMITED),
        (ErrorKind.RATE_LIMITED, "insufficient_quota", FailureKind.QUOTA_SPENT),
        (ErrorKind.UNAVAILABLE, None, FailureKind.OVERLOADED),
        (ErrorKind.BAD_REQUEST, None, FailureKind.REQUEST_REJECTED),
        (ErrorKind.CONTEXT_OVERFLOW, None, FailureKind.REQUEST_REJECTED),
        (ErrorKind.MODEL_NOT_FOUND, None, FailureKind.REQUEST_REJECTED),
        (ErrorKind.TOO_LARGE, None, FailureKind.REQUEST_REJECTED),
        (ErrorKind.UNAUTHENTICATED, None, FailureKind.KEY_REJECTED),
        (ErrorKind.FORBIDDEN, None, FailureKind.TARGET_FORBIDDEN),
        (ErrorKind.UPSTREAM_ERROR, None, FailureKind.SERVER_FAILED),
        (ErrorKind.UPSTREAM_TIMEOUT, None, FailureKind.TIMED_OUT),
    ],
)
def test_errors_inside_a_stream_mean_the_same(
    kind: ErrorKind, code: str | None, expected: FailureKind
) -> None:
    error = ApiError(kind=kind, message="m", code=code)
    failure = classify_stream_error(StreamError(error, status=529))
    assert failure.kind is expected
    assert failure.error is error
    assert failure.status == 529


@given(
    dialect=st.sampled_from([OPENAI, ANTHROPIC, OLLAMA]),
    status=st.integers(400, 599),
    body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=20)
    ),
)
def test_any_answer_is_classified(
    dialect: Dialect, status: int, body: bytes, headers: dict[str, str]
) -> None:
    failure = _classify(dialect, status, body, headers)
    assert failure.status == status
    assert failure.retry_after is None or failure.retry_after >= 0


@given(
    kind=st.sampled_from(ErrorKind),
    message=st.text(max_size=60),
    code=st.none() | st.text(max_size=20),
)
def test_any_error_inside_a_stream_is_classified(
    kind: ErrorKind, message: str, code: str | None
) -> None:
    error = ApiError(kind=kind, message=message, code=code)
    assert classify_stream_error(StreamError(error)).kind in FailureKind


def test_every_kind_of_provider_has_a_classifier() -> None:
    answer = FailedAnswer(
        status=429,
        headers={"retry-after": "3"},
        error=ApiError(kind=ErrorKind.RATE_LIMITED, message="slow down"),
        now=0.0,
    )
    for profile in PROFILES.values():
        assert profile.classify(answer).kind is FailureKind.RATE_LIMITED
        assert profile.classify(answer).retry_after == 3
