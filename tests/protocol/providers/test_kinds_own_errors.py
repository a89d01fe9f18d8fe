"""What single kinds of providers mean by errors that others would mean otherwise."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import JsonValue, dumps
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import Quantity


def classified(
    kind: str, status: int, body: JsonValue, headers: dict[str, str] | None = None
) -> CallFailure:
    raw = dumps(body)
    error = SPEECH[OPENAI].decode_error(status, raw)
    answer = FailedAnswer(status=status, headers=headers or {}, error=error, now=0, body=raw)
    return PROFILES[kind].classify(answer)


def googles(*details: JsonValue, status: str = "RESOURCE_EXHAUSTED") -> JsonValue:
    return [{"error": {"code": 429, "message": "m", "status": status, "details": [*details]}}]


def quota(quota_id: str, value: JsonValue = "10") -> JsonValue:
    return {"violations": [{"quotaId": quota_id, "quotaValue": value}]}


RETRY: JsonValue = {"retryDelay": "34.5s"}


def test_gemini_a_minutes_quota_is_waited_for_as_the_details_say() -> None:
    body = googles(quota("GenerateContentInputTokensPerModelPerMinute", 250000), RETRY)
    failure = classified("gemini", 429, body)
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMITED, 34.5)
    assert failure.limit == LimitHint(
        kind=HintKind.RATE, quantity=Quantity.INPUT_TOKENS, window=60.0, limit=250000.0
    )


def test_gemini_a_days_quota_is_spent_whatever_else_is_said() -> None:
    minute = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
    day = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250")
    for details in ((minute, day, RETRY), (day, RETRY), (day,)):
        failure = classified("gemini", 429, googles(*details))
        assert (failure.kind, failure.retry_after) == (FailureKind.QUOTA_SPENT, None)
        assert failure.limit is not None
        assert (failure.limit.kind, failure.limit.window) == (HintKind.SPENT_UNTIL, 86400.0)
        assert failure.limit.limit == 250.0


@pytest.mark.parametrize(
    "body",
    [
        [],
        [5],
        {},
        {"error": "x"},
        {"error": {"details": "x"}},
        googles("x", {"violations": "x"}, {"violations": [5]}, {"retryDelay": 5}),
    ],
)
def test_gemini_details_of_any_shape_are_borne(body: JsonValue) -> None:
    assert classified("gemini", 429, body).kind is FailureKind.RATE_LIMITED


def test_gemini_says_of_a_wrong_key_that_the_argument_is_invalid() -> None:
    wrong = googles({"reason": "API_KEY_INVALID"}, status="INVALID_ARGUMENT")
    assert classified("gemini", 400, wrong).kind is FailureKind.KEY_REJECTED
    other = googles({"reason": "OTHER"}, status="INVALID_ARGUMENT")
    assert classified("gemini", 400, other).kind is FailureKind.REQUEST_REJECTED


def test_openrouter_a_moderator_speaks_of_the_prompt_not_of_the_key() -> None:
    error: JsonValue = {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}
    failure = classified("openrouter", 403, {"error": error})
    assert failure.kind is FailureKind.REQUEST_REJECTED
    assert failure.error.kind is ErrorKind.BAD_REQUEST
    error = {"code": 403, "message": "this key may not use this model"}
    assert classified("openrouter", 403, {"error": error}).kind is FailureKind.TARGET_FORBIDDEN


def test_mistral_a_limit_of_nothing_means_a_model_that_the_plan_lacks() -> None:
    body: JsonValue = {"message": "Rate limit exceeded"}
    name = "x-ratelimit-limit-req-minute"
    failure = classified("mistral", 429, body, {name: "0"})
    assert (failure.kind, failure.retry_after) == (FailureKind.TARGET_FORBIDDEN, None)
    assert classified("mistral", 429, body, {name: "50"}).kind is FailureKind.RATE_LIMITED
    assert classified("mistral", 429, body).kind is FailureKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Incorrect API key provided: xa***xx.", FailureKind.KEY_REJECTED),
        (400, "Argument not supported: stop", FailureKind.REQUEST_REJECTED),
        (403, "Your team doesn't have any credits yet.", FailureKind.QUOTA_SPENT),
        (403, "Content violates usage guidelines.", FailureKind.TARGET_FORBIDDEN),
        (429, "Your team has reached its monthly spending limit.", FailureKind.QUOTA_SPENT),
        (429, "Too many requests.", FailureKind.RATE_LIMITED),
    ],
)
def test_xai_says_in_words_what_its_statuses_do_not(
    status: int, message: str, kind: FailureKind
) -> None:
    failure = classified("xai", status, {"code": "c", "error": message})
    assert failure.kind is kind
    assert failure.error.message == message


def test_deepseek_limits_calls_at_the_same_time() -> None:
    failure = classified("deepseek", 429, {"error": {"message": "Rate limit reached"}})
    assert failure.kind is FailureKind.RATE_LIMITED
    assert failure.limit == LimitHint(kind=HintKind.CONCURRENCY)


@pytest.mark.parametrize(
    ("kind", "status", "meant"),
    [
        ("huggingface", 424, FailureKind.SERVER_FAILED),
        ("huggingface", 502, FailureKind.OVERLOADED),
        ("huggingface", 503, FailureKind.OVERLOADED),
        ("huggingface", 422, FailureKind.REQUEST_REJECTED),
        ("groq", 498, FailureKind.OVERLOADED),
        ("groq", 424, FailureKind.REQUEST_REJECTED),
        ("together", 503, FailureKind.OVERLOADED),
    ],
)
def test_trap_112_statuses_that_mean_something_of_their_own(
    kind: str, status: int, meant: FailureKind
) -> None:
    assert classified(kind, status, {"error": "x", "error_type": "y"}).kind is meant


def test_trap_114_an_overloaded_tgi_has_room_when_a_call_of_ours_has_ended() -> None:
    body: JsonValue = {"error": "Model is overloaded", "error_type": "overloaded"}
    failure = classified("huggingface", 429, body)
    assert failure.kind is FailureKind.RATE_LIMITED
    assert failure.limit == LimitHint(kind=HintKind.CONCURRENCY)


def test_openvino_refuses_a_wrong_key_with_a_500() -> None:
    wrong: JsonValue = {"error": "Unauthorized request due to invalid or missing api-key"}
    assert classified("openvino", 500, wrong).kind is FailureKind.KEY_REJECTED
    assert classified("openvino", 500, {"error": "x"}).kind is FailureKind.SERVER_FAILED


def test_zai_tells_the_client_what_its_codes_mean() -> None:
    long: JsonValue = {"error": {"code": "1261", "message": "Prompt exceeds max length"}}
    failure = classified("zai", 400, long)
    assert failure.kind is FailureKind.REQUEST_REJECTED
    assert failure.error.kind is ErrorKind.CONTEXT_OVERFLOW
    unknown: JsonValue = {"error": {"code": "1211", "message": "Unknown Model"}}
    assert classified("zai", 400, unknown).error.kind is ErrorKind.MODEL_NOT_FOUND


def test_anthropic_spent_credit_is_a_400_that_no_client_can_cure() -> None:
    body = dumps(
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        }
    )
    error = SPEECH[ANTHROPIC].decode_error(400, body)
    answer = FailedAnswer(status=400, headers={}, error=error, now=0, body=body)
    assert PROFILES["anthropic"].classify(answer).kind is FailureKind.QUOTA_SPENT
