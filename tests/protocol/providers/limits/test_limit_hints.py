"""What refusals say of the limit that they refuse by, in words and codes."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

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
from forebay.protocol.jsontext import JsonObject, dumps
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.classification import classify_stream_error
from forebay.protocol.providers.limits.any_headers import read_any
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import AnswerHead, Quantity
from forebay.protocol.providers.limits.refusals import limit_hint, spent_window
from forebay.protocol.providers.limits.told_in_body import told_in_body, with_told_headers

LETTERS = "limt usedrqok-per123,.:٣/\n"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC).timestamp()


def rate(
    quantity: Quantity | None,
    limit: float | None = None,
    window: float | None = None,
    used: float | None = None,
    requested: float | None = None,
) -> LimitHint:
    return LimitHint(
        kind=HintKind.RATE,
        quantity=quantity,
        limit=limit,
        window=window,
        used=used,
        requested=requested,
    )


REQUESTS, TOKENS = Quantity.REQUESTS, Quantity.TOKENS
INPUT, OUTPUT = Quantity.INPUT_TOKENS, Quantity.OUTPUT_TOKENS
CONCURRENCY, RAMP = LimitHint(kind=HintKind.CONCURRENCY), LimitHint(kind=HintKind.RAMP)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        # OpenAI
        (
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Used 29937, Requested 385. Please try again in 644ms. Visit https://x to "
            "learn more.",
            rate(TOKENS, 30000, 60, 29937, 385),
        ),
        (
            "Rate limit reached for gpt-4 in organization org-x on requests per day (RPD): Limit "
            "200, Used 200, Requested 1. Please try again in 7m12s.",
            rate(REQUESTS, 200, 86400, 200, 1),
        ),
        (
            "Rate limit reached for gpt-4 in organization org-x on requests per min (RPM): "
            "Limit 3, Used 3, Requested 1. Please try again in 20s.",
            rate(REQUESTS, 3, 60, 3, 1),
        ),
        (
            "Rate limit reached for dall-e-3 in organization org-x on images per min: Limit 5, "
            "Used 4, Requested 2.",
            rate(None, 5, 60, 4, 2),
        ),
        (
            "Rate limit reached for default-gpt-3.5-turbo in organization org-x on requests per "
            "min. Limit: 3 / min. Please try again in 20s.",
            rate(REQUESTS, 3, 60),
        ),
        (
            "Rate limit reached for 10KTPM-200RPM in organization org-x on tokens per min. Limit: "
            "10,000 / min. Current: 9,730 / min.",
            rate(TOKENS, 10000, 60, 9730),
        ),
        # Groq
        (
            "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_x` "
            "service tier `on_demand` on tokens per day (TPD): Limit 100000, Used 97843, "
            "Requested 9191. Please try again in 1h53m56.832s.",
            rate(TOKENS, 100000, 86400, 97843, 9191),
        ),
        ("on output tokens per minute (OTPM): Limit 900, Used 1", rate(OUTPUT, 900, 60, 1)),
        # Azure
        (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
            "2024-08-01-preview have exceeded token rate limit of your current OpenAI S0 pricing "
            "tier. Please retry after 86400 seconds.",
            rate(TOKENS),
        ),
        ("have exceeded call rate limit of your current pricing tier.", rate(REQUESTS)),
        # Anthropic
        (
            "This request would exceed your organization's rate limit of 30,000 input tokens per "
            "minute (org: 9d50ef40-6cc8-4ca6-9d35-1dc9cf26235c, model: claude-sonnet-4-6). For "
            "details, refer to: https://x. You can see the response headers for current usage.",
            rate(INPUT, 30000, 60),
        ),
        (
            "This request would exceed the rate limit for your organization "
            "(a22cf6e6-a940-4fff-8c4c-1580816ac7be) of 1,000,000 input tokens per minute.",
            rate(INPUT, 1000000, 60),
        ),
        ("rate limit of 8,000 output tokens per minute", rate(OUTPUT, 8000, 60)),
        ("rate limit of 50 requests per minute", rate(REQUESTS, 50, 60)),
        (
            "Number of request tokens has exceeded your per-minute rate limit (https://x)",
            rate(INPUT, window=60),
        ),
        ("Number of requests has exceeded your daily rate limit", rate(REQUESTS, window=86400)),
        ("Number of concurrent connections has exceeded your rate limit", CONCURRENCY),
        (
            "This request would exceed your organization's maximum usage increase rate for input "
            "tokens per minute.",
            RAMP,
        ),
        # Together
        (
            "You have reached the rate limit specific to this model x/y. The maximum rate limit "
            "for this model is 9.5 queries per minute.",
            rate(REQUESTS, 9.5, 60),
        ),
        # OpenRouter
        (
            "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model "
            "requests per day",
            rate(REQUESTS, window=86400),
        ),
        ("Rate limit exceeded: free-models-per-min. ", rate(REQUESTS, window=60)),
        # others
        ("TPM (Tokens Per Minute) limit of the model x is exceeded.", rate(TOKENS, window=60)),
        ("too many concurrent requests", CONCURRENCY),
        (
            "You may have at most 5 concurrent requests",
            LimitHint(kind=HintKind.CONCURRENCY, limit=5),
        ),
        ("High concurrency usage of this API, please reduce concurrency", CONCURRENCY),
        ("slow down", None),
        ("Rate limit reached. Please try again in 1.2s.", None),
        ("", None),
    ],
)
def test_the_words_of_a_refusal(message: str, hint: LimitHint | None) -> None:
    assert limit_hint(message) == hint


@pytest.mark.parametrize(
    ("message", "window"),
    [
        ("Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 18:30:00", 18000),
        ("Usage limit reached for 7 days.", 604800),
        ("you've reached your hourly usage limit, please wait or upgrade to continue", 3600),
        ("you have reached your Weekly Usage Limit", 604800),
        ("Weekly/Monthly Limit Exhausted", None),
        ("your monthly usage limit", None),
        ("your session usage limit", None),
        ("", None),
    ],
)
def test_the_window_that_is_used_up(message: str, window: float | None) -> None:
    assert spent_window(message) == window


@given(
    message=st.text(LETTERS, max_size=80)
    | st.from_regex(
        r"(limit|used|requested)? ?[0-9,.]{0,30} ?(tokens|requests) per (min|day)", fullmatch=True
    )
)
def test_any_words_are_read_without_harm(message: str) -> None:
    hint = limit_hint(message)
    assert hint is None or hint.limit is None or hint.limit > 0
    assert (spent_window(message) or 1) > 0


def test_long_messages_are_read_in_no_time() -> None:
    for text in ("1" * 400_000, "1,1 tokens " * 50_000, "limit: 1" * 50_000, "input " * 100_000):
        limit_hint(text)
        spent_window(text)


def failed(
    kind: str,
    status: int,
    body: JsonObject,
    *,
    dialect: Dialect = OPENAI,
    headers: dict[str, str] | None = None,
) -> CallFailure:
    """As the gateway reads an answer."""
    raw = dumps(body)
    return PROFILES[kind].classify(
        FailedAnswer(
            status=status,
            headers=headers or {},
            error=SPEECH[dialect].decode_error(status, raw),
            now=NOW,
            body=raw,
        )
    )


def openais(message: str, type_: str = "tokens") -> JsonObject:
    return {
        "error": {
            "message": message,
            "type": type_,
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }


def test_a_refusal_of_openai_tells_which_limit_and_when() -> None:
    message = (
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
        "Used 29000, Requested 2000. Please try again in 2s."
    )
    failure = failed("openai", 429, openais(message))
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMITED, 2)
    assert failure.limit == rate(TOKENS, 30000, 60, 29000, 2000)


@pytest.mark.parametrize(("type_", "quantity"), [("tokens", TOKENS), ("requests", REQUESTS)])
def test_the_type_tells_where_the_words_do_not(type_: str, quantity: Quantity) -> None:
    assert failed("openai", 429, openais("Rate limit reached.", type_)).limit == rate(quantity)


TOO_LARGE = (
    "Request too large for gpt-4.1-2025-04-14 (for limit gpt-4.1) in organization org-x on tokens "
    "per min (TPM): Limit 30000, Requested 37313. The input or output tokens must be reduced in "
    "order to run successfully."
)


def test_what_is_larger_than_the_whole_limit_is_not_waited_for() -> None:
    failure = failed("openai", 429, openais(TOO_LARGE), headers={"retry-after": "2"})
    assert failure.kind is FailureKind.REQUEST_REJECTED
    assert (failure.error.kind, failure.error.message) == (ErrorKind.TOO_LARGE, TOO_LARGE)
    assert (failure.retry_after, failure.error.retry_after, failure.status) == (None, None, 429)
    assert failure.limit == rate(TOKENS, 30000, 60, None, 37313)


def test_what_just_fits_into_the_limit_is_waited_for() -> None:
    failure = failed("openai", 429, openais(TOO_LARGE.replace("37313", "30000")))
    assert failure.kind is FailureKind.RATE_LIMITED


def test_groq_says_with_413_what_is_larger_than_the_limit() -> None:
    failure = failed("openai_compatible", 413, openais(TOO_LARGE))
    assert (failure.kind, failure.error.kind) == (
        FailureKind.REQUEST_REJECTED,
        ErrorKind.TOO_LARGE,
    )
    assert failure.error.code == "rate_limit_exceeded"
    assert failure.limit == rate(TOKENS, 30000, 60, None, 37313)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 500, 503, 529])
def test_only_refusals_by_a_limit_tell_of_one(status: int) -> None:
    assert failed("openai", status, openais(TOO_LARGE)).limit is None


def test_a_spent_quota_is_no_limit_that_comes_back() -> None:
    body: JsonObject = {"error": {"message": "5 requests per day", "code": "insufficient_quota"}}
    failure = failed("openai", 429, body)
    assert (failure.kind, failure.limit) == (FailureKind.QUOTA_SPENT, None)


def test_a_ramp_that_is_too_steep_is_told_by_its_code() -> None:
    body: JsonObject = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "Raise your input tokens per minute slowly.",
            "details": {"error_code": "ramp_limit_exceeded"},
        },
    }
    failure = failed("anthropic", 429, body, dialect=ANTHROPIC)
    assert (failure.kind, failure.limit) == (FailureKind.RATE_LIMITED, RAMP)
    slow_down: JsonObject = {"error": {"message": "Slow down.", "code": "slow_down"}}
    assert failed("openai", 429, slow_down).limit == RAMP


def test_trap_114_an_overloaded_tgi_has_as_many_calls_as_it_takes() -> None:
    body: JsonObject = {"error": "Model is overloaded", "error_type": "overloaded"}
    failure = failed("openai_compatible", 429, body)
    assert (failure.kind, failure.limit) == (FailureKind.RATE_LIMITED, CONCURRENCY)
    tei: JsonObject = {"error": "Model is overloaded", "error_type": "Overloaded"}
    assert failed("openai_compatible", 429, tei).limit == CONCURRENCY


@pytest.mark.parametrize(
    ("error_type", "quantity"),
    [("dynamic_request_limited", REQUESTS), ("dynamic_token_limited", TOKENS)],
)
def test_trap_112_together_says_by_its_429_which_rate_was_too_high(
    error_type: str, quantity: Quantity
) -> None:
    own: JsonObject = {"message": "Too many.", "code": "rate_limit", "error_type": error_type}
    failure = failed("openai_compatible", 429, {"error": own})
    assert (failure.kind, failure.limit) == (
        FailureKind.RATE_LIMITED,
        rate(quantity, window=1),
    )
    capacity = failed("openai_compatible", 503, {"error": own})
    assert (capacity.kind, capacity.limit) == (FailureKind.OVERLOADED, None)


@pytest.mark.parametrize(
    ("code", "message", "kind", "hint"),
    [
        ("1302", "High concurrency usage", FailureKind.RATE_LIMITED, CONCURRENCY),
        ("1303", "High frequency usage", FailureKind.RATE_LIMITED, rate(REQUESTS)),
        (
            "1304",
            "Daily call limit reached",
            FailureKind.QUOTA_SPENT,
            LimitHint(kind=HintKind.SPENT_UNTIL, window=86400),
        ),
        ("1305", "overloaded", FailureKind.OVERLOADED, None),
        (
            "1308",
            "Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 18:30:00",
            FailureKind.QUOTA_SPENT,
            LimitHint(kind=HintKind.SPENT_UNTIL, window=18000),
        ),
        (
            "1310",
            "Weekly/Monthly Limit Exhausted",
            FailureKind.QUOTA_SPENT,
            LimitHint(kind=HintKind.SPENT_UNTIL),
        ),
        ("1309", "plan expired", FailureKind.QUOTA_SPENT, None),
        ("1113", "Insufficient balance: 5 requests per day", FailureKind.QUOTA_SPENT, None),
        ("1313", "fair use", FailureKind.QUOTA_SPENT, None),
    ],
)
def test_trap_113_the_codes_of_zai(
    code: str, message: str, kind: FailureKind, hint: LimitHint | None
) -> None:
    failure = failed("zai", 429, {"error": {"code": code, "message": message}})
    assert (failure.kind, failure.limit) == (kind, hint)


def test_trap_113_the_printed_time_is_measured_against_the_answers_own_date() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW - 600, UTC), usegmt=True)
    body: JsonObject = {"error": {"code": "1308", "message": "reset at 2026-11-22 17:00:00"}}
    assert failed("zai", 429, body).resets_in == 0
    assert failed("zai", 429, body, headers={"date": date}).resets_in == 600


def test_the_windows_of_ollamas_cloud_are_used_up() -> None:
    def hint(message: str) -> LimitHint | None:
        return failed("ollama", 429, {"error": message}, dialect=OLLAMA).limit

    spent = HintKind.SPENT_UNTIL
    assert hint("you've reached your weekly usage limit, please wait or upgrade") == LimitHint(
        kind=spent, window=604800
    )
    assert hint("you have reached your session usage limit") == LimitHint(kind=spent)
    assert hint("hourly usage limit, try again in 4m") == LimitHint(kind=spent, window=3600)
    assert hint("too many concurrent requests") == CONCURRENCY


OPENROUTERS: JsonObject = {
    "error": {
        "message": "Rate limit exceeded: free-models-per-day.",
        "code": 429,
        "metadata": {
            "headers": {
                "X-RateLimit-Limit": "50",
                "X-RateLimit-Remaining": 0,
                "X-RateLimit-Reset": f"{(NOW + 3600) * 1000:.0f}",
            },
            "limit_source": "openrouter_free_tier_daily",
        },
    }
}


def test_openrouters_headers_are_read_from_the_body_too() -> None:
    headers = with_told_headers({"content-type": "application/json"}, dumps(OPENROUTERS))
    [reading] = read_any(AnswerHead(status=429, headers=headers, now=NOW))
    assert (reading.limit, reading.remaining, reading.resets_in) == (50, 0, 3600)
    sent = with_told_headers({"x-ratelimit-limit": "20"}, dumps(OPENROUTERS))
    assert (sent["x-ratelimit-limit"], sent["x-ratelimit-remaining"]) == ("20", "0")
    assert failed("openai_compatible", 429, OPENROUTERS).limit == rate(REQUESTS, window=86400)


def test_openrouters_availability_says_when_to_come_back() -> None:
    body: JsonObject = {
        "error": {
            "message": "Provider returned error",
            "code": 503,
            "availability": {"code": "capacity", "retryable": True, "retry_after": 12},
        }
    }
    assert failed("openai_compatible", 503, body).retry_after == 12
    assert failed("openai_compatible", 503, body, headers={"retry-after": "3"}).retry_after == 3


def test_a_field_of_the_error_says_when_to_come_back_before_its_words_do() -> None:
    body: JsonObject = {"error": {"message": "try again in 9s", "retry_after": 4}}
    assert failed("openai", 429, body).retry_after == 4


@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-9, 9)
        | st.floats(allow_nan=False)
        | st.text(LETTERS, max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["error", "metadata", "headers", "availability", "retry_after", "code", "details"]
            ),
            inner,
            max_size=4,
        ),
        max_leaves=12,
    ).map(dumps)
)
def test_any_body_is_read_without_harm(body: bytes) -> None:
    told = told_in_body(body)
    assert told.retry_after is None or told.retry_after >= 0
    assert all(isinstance(text, str) for text in with_told_headers({}, body).values())


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error":' * 100_000, b" " * 10_000_000, b""])
def test_bodies_of_any_depth_and_size_are_read_without_harm(body: bytes) -> None:
    assert told_in_body(body).codes == frozenset()


def test_a_refusal_inside_a_stream_tells_the_same() -> None:
    """OpenAI's Responses API says it in ``response.failed``."""
    message = (
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
        "Used 29000, Requested 2000. Please try again in 2s."
    )
    error = ApiError(kind=ErrorKind.RATE_LIMITED, message=message, code="rate_limit_exceeded")
    failure = classify_stream_error(StreamError(error))
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMITED, 2)
    assert failure.limit == rate(TOKENS, 30000, 60, 29000, 2000)

    error = ApiError(kind=ErrorKind.RATE_LIMITED, message=TOO_LARGE, code="rate_limit_exceeded")
    failure = classify_stream_error(StreamError(error))
    assert (failure.kind, failure.error.kind) == (
        FailureKind.REQUEST_REJECTED,
        ErrorKind.TOO_LARGE,
    )

    error = ApiError(kind=ErrorKind.UNAVAILABLE, message="busy, try again in 3s", retry_after=1)
    failure = classify_stream_error(StreamError(error))
    assert (failure.kind, failure.retry_after, failure.limit) == (FailureKind.OVERLOADED, 1, None)
