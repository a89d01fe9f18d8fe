"""Every class of failure at every kind of provider, in the provider's own words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.dialects.registry import CODECS, SPEECH
from forebay.protocol.jsontext import JsonValue, dumps
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind

NOW = 1_795_000_000.0


@dataclass(frozen=True)
class Told:
    """An answer with an error status."""

    status: int
    body: JsonValue | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    """What is to be read from it."""
    resets_in: float | None = None
    error: ErrorKind | None = None


def openai(message: str, kind: str = "invalid_request_error", code: str | None = None) -> JsonValue:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str, code: str | None = None) -> JsonValue:
    error: dict[str, JsonValue] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_1"}


def google(window: str, delay: str) -> JsonValue:
    violation: JsonValue = {
        "quotaId": f"GenerateRequests{window}PerProjectPerModel",
        "quotaValue": "10",
    }
    return {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            ],
        }
    }


_TPM = (
    "Rate limit reached for m in organization org-x on tokens per min (TPM): Limit 30000, Used "
    "29937, Requested 385. Please try again in 644ms."
)
_TOO_LARGE = (
    "Request too large for m in organization org-x on tokens per min (TPM): Limit 30000, "
    "Requested 50000."
)
_CONTEXT = "This model's maximum context length is 8192 tokens. However, your messages were 9000."

ANY_SERVER: dict[FailureKind, tuple[Told, ...]] = {
    FailureKind.RATE_LIMITED: (
        Told(429, headers={"retry-after": "7"}, retry_after=7.0),
        Told(429, headers={"retry-after-ms": "250", "retry-after": "1"}, retry_after=0.25),
    ),
    FailureKind.OVERLOADED: (
        Told(503, headers={"retry-after": "3"}, retry_after=3.0),
        Told(503, b"<html>no healthy upstream</html>"),
        Told(529),
    ),
    FailureKind.QUOTA_SPENT: (Told(402, openai("out of credits")),),
    FailureKind.KEY_REJECTED: (Told(401, b"nope"),),
    FailureKind.TARGET_FORBIDDEN: (Told(403),),
    FailureKind.REQUEST_REJECTED: (
        Told(400, openai("bad"), error=ErrorKind.BAD_REQUEST),
        Told(404, openai("no such model", code="model_not_found")),
        Told(413, error=ErrorKind.TOO_LARGE),
        Told(422, {"detail": [{"loc": ["body"], "msg": "field required"}]}),
    ),
    FailureKind.SERVER_FAILED: (Told(500), Told(502, b"Bad Gateway"), Told(408), Told(520)),
    FailureKind.TIMED_OUT: (Told(504, b"Gateway Timeout"), Told(524)),
}
"""What every kind must be able to read: proxies stand before them all."""

OWN: dict[str, dict[FailureKind, tuple[Told, ...]]] = {
    "openai": {
        FailureKind.RATE_LIMITED: (
            Told(429, openai(_TPM, "tokens", "rate_limit_exceeded"), retry_after=0.644),
        ),
        FailureKind.OVERLOADED: (
            Told(503, openai("The engine is currently overloaded", "server_error")),
        ),
        FailureKind.QUOTA_SPENT: (
            Told(429, openai("You exceeded your current quota", code="insufficient_quota")),
        ),
        FailureKind.KEY_REJECTED: (Told(401, openai("Incorrect key", code="invalid_api_key")),),
        FailureKind.REQUEST_REJECTED: (
            Told(
                400,
                openai(_CONTEXT, code="context_length_exceeded"),
                error=ErrorKind.CONTEXT_OVERFLOW,
            ),
            Told(
                429, openai(_TOO_LARGE, "tokens", "rate_limit_exceeded"), error=ErrorKind.TOO_LARGE
            ),
        ),
    },
    "anthropic": {
        FailureKind.RATE_LIMITED: (
            Told(429, anthropic("rate_limit_error", "slow"), {"retry-after": "12"}, 12.0),
        ),
        FailureKind.OVERLOADED: (Told(529, anthropic("overloaded_error", "Overloaded")),),
        FailureKind.QUOTA_SPENT: (
            Told(402, anthropic("billing_error", "Your credit balance is too low")),
            Told(429, anthropic("rate_limit_error", "limit", "enforced_spend_limit_reached")),
        ),
        FailureKind.KEY_REJECTED: (Told(401, anthropic("authentication_error", "invalid key")),),
        FailureKind.TARGET_FORBIDDEN: (Told(403, anthropic("permission_error", "no")),),
        FailureKind.REQUEST_REJECTED: (
            Told(400, anthropic("invalid_request_error", "max_tokens: required")),
            Told(413, anthropic("request_too_large", "too large"), error=ErrorKind.TOO_LARGE),
        ),
        FailureKind.SERVER_FAILED: (Told(500, anthropic("api_error", "Internal server error")),),
        FailureKind.TIMED_OUT: (Told(504, anthropic("timeout_error", "took too long")),),
    },
    "ollama": {
        FailureKind.RATE_LIMITED: (Told(429, {"error": "too many concurrent requests"}),),
        FailureKind.OVERLOADED: (
            Told(
                503, {"error": "server busy, please try again. maximum pending requests exceeded"}
            ),
        ),
        FailureKind.QUOTA_SPENT: (
            Told(429, {"error": "you have reached your weekly usage limit, upgrade for more"}),
        ),
        FailureKind.KEY_REJECTED: (Told(401, {"error": "unauthorized"}),),
        FailureKind.REQUEST_REJECTED: (
            Told(404, {"error": "model 'm' not found"}),
            Told(400, {"error": "m does not support tools"}),
        ),
        FailureKind.SERVER_FAILED: (Told(500, {"error": "llama runner process has terminated"}),),
    },
    "zai": {
        FailureKind.RATE_LIMITED: (Told(429, {"error": {"code": "1302", "message": "too many"}}),),
        FailureKind.OVERLOADED: (Told(429, {"error": {"code": "1305", "message": "busy"}}),),
        FailureKind.QUOTA_SPENT: (
            Told(429, {"error": {"code": "1113", "message": "no balance"}}),
            Told(
                429,
                {"error": {"code": "1308", "message": "resets at 2026-11-18 19:46:40"}},
                resets_in=2400,
            ),
        ),
    },
    "openai_compatible": {
        FailureKind.RATE_LIMITED: (
            Told(429, {"error": {"message": "Rate limit exceeded", "code": 429}}),
        ),
        FailureKind.QUOTA_SPENT: (Told(402, {"error": {"message": "credits", "code": 402}}),),
        FailureKind.REQUEST_REJECTED: (
            Told(
                500,
                {"error": {"message": _CONTEXT, "code": 500, "type": "exceed_context_size_error"}},
                error=ErrorKind.CONTEXT_OVERFLOW,
            ),
        ),
    },
    "openvino": {
        FailureKind.KEY_REJECTED: (Told(500, {"error": "Unauthorized: wrong key"}),),
        FailureKind.REQUEST_REJECTED: (Told(412, {"error": "Cannot parse JSON body"}),),
    },
    "gemini": {
        FailureKind.RATE_LIMITED: (Told(429, google("PerMinute", "17s"), retry_after=17.0),),
        FailureKind.QUOTA_SPENT: (Told(429, google("PerDay", "17s")),),
        FailureKind.KEY_REJECTED: (
            Told(400, {"error": {"message": "no", "details": [{"reason": "API_KEY_INVALID"}]}}),
        ),
    },
    "groq": {
        FailureKind.OVERLOADED: (Told(498, openai("flex capacity exceeded")),),
        FailureKind.REQUEST_REJECTED: (
            Told(413, openai(_TOO_LARGE, "tokens"), error=ErrorKind.TOO_LARGE),
        ),
    },
    "huggingface": {
        FailureKind.OVERLOADED: (Told(502, b"Bad Gateway"),),
        FailureKind.SERVER_FAILED: (
            Told(424, {"error": "Request failed during generation", "error_type": "generation"}),
        ),
    },
    "mistral": {
        FailureKind.TARGET_FORBIDDEN: (
            Told(429, {"message": "Rate limit exceeded"}, {"x-ratelimit-limit-req-minute": "0"}),
        ),
    },
    "xai": {
        FailureKind.KEY_REJECTED: (
            Told(400, {"code": "x", "error": "Incorrect API key provided: xa***."}),
        ),
    },
}
_OTHERWISE = frozenset({("huggingface", 502)})
"""Where a kind means something of its own by what others mean alike."""


def cases() -> list[object]:
    return [
        pytest.param(kind, failure, told, id=f"{kind}: {failure}, {told.status}, {number}")
        for kind in PROFILES
        for source in (ANY_SERVER, OWN.get(kind, {}))
        for failure, many in source.items()
        for number, told in enumerate(many)
        if source is not ANY_SERVER or (kind, told.status) not in _OTHERWISE
    ]


def classified(kind: str, told: Told) -> CallFailure:
    profile = PROFILES[kind]
    api = next(api for api in profile.paths if api in CODECS)
    body = told.body if isinstance(told.body, bytes) else dumps(told.body)
    return profile.classify(
        FailedAnswer(
            status=told.status,
            headers=told.headers,
            error=SPEECH[CODECS[api].dialect].decode_error(told.status, body),
            now=NOW,
            body=body,
        )
    )


@pytest.mark.parametrize(("kind", "failure", "told"), cases())
def test_a_failure_is_what_its_provider_means(kind: str, failure: FailureKind, told: Told) -> None:
    understood = classified(kind, told)
    assert understood.kind is failure
    assert understood.status == told.status
    assert understood.error.message
    assert understood.retry_after == told.retry_after
    assert understood.resets_in == told.resets_in
    if told.error is not None:
        assert understood.error.kind is told.error


@pytest.mark.parametrize("kind", PROFILES)
def test_every_class_is_told_apart_at_every_kind(kind: str) -> None:
    by_network = {FailureKind.UNREACHABLE}
    assert set(ANY_SERVER) | set(OWN.get(kind, {})) | by_network == set(FailureKind)
