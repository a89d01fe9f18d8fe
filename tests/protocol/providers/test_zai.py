"""Z.ai: its codes for limits (trap 113), and no temperature of zero (trap 49)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forebay.protocol.canonical.requests import ChatRequest, Dialect, Sampling, user_turn
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import JsonObject, dumps
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind

ZAI = PROFILES["zai"]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC).timestamp()


def classified(
    code: str, message: str = "limit", *, status: int = 429, headers: dict[str, str] | None = None
) -> CallFailure:
    body = dumps({"error": {"code": code, "message": message}})
    error = SPEECH[OPENAI].decode_error(status, body)
    return ZAI.classify(FailedAnswer(status=status, headers=headers or {}, error=error, now=NOW))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1302", FailureKind.RATE_LIMITED),
        ("1303", FailureKind.RATE_LIMITED),
        ("1304", FailureKind.QUOTA_SPENT),
        ("1305", FailureKind.OVERLOADED),
        ("1308", FailureKind.QUOTA_SPENT),
        ("1309", FailureKind.QUOTA_SPENT),
        ("1310", FailureKind.QUOTA_SPENT),
        ("1313", FailureKind.QUOTA_SPENT),
        ("1113", FailureKind.QUOTA_SPENT),
        ("9999", FailureKind.RATE_LIMITED),
    ],
)
def test_trap_113_the_code_says_which_limit_it_is(code: str, kind: FailureKind) -> None:
    failure = classified(code)
    assert failure.kind is kind
    assert (failure.status, failure.error.message) == (429, "limit")
    assert failure.retry_after is None
    assert failure.resets_in is None


def test_trap_113_a_spent_window_ends_at_the_printed_time_of_china() -> None:
    message = "Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 18:30:00"
    failure = classified("1308", message)
    assert failure.resets_in == 5400
    assert classified("1308", "resets at 2026-11-22 16:00:00").resets_in == 0
    assert classified("1308", "resets at 2026-13-45 16:00:00").resets_in is None


def test_trap_113_a_time_to_come_back_is_kept_with_what_passes() -> None:
    assert classified("1302", headers={"retry-after": "3"}).retry_after == 3


def test_trap_113_other_errors_are_told_by_their_status() -> None:
    assert classified("1214", status=400).kind is FailureKind.REQUEST_REJECTED
    assert classified("1000", status=401).kind is FailureKind.KEY_REJECTED


def test_trap_113_the_code_is_found_in_the_words_of_another_dialect() -> None:
    body = (
        b'{"type":"error","error":{"type":"rate_limit_error",'
        b'"message":"[1308][Usage limit reached, reset at 2026-11-22 17:00:10][x]"}}'
    )
    error = SPEECH[ANTHROPIC].decode_error(429, body)
    failure = ZAI.classify(FailedAnswer(status=429, headers={}, error=error, now=NOW))
    assert (failure.kind, failure.resets_in) == (FailureKind.QUOTA_SPENT, 10)


@pytest.mark.parametrize(
    ("temperature", "said"),
    [
        (0.0, {"do_sample": False}),
        (0, {"do_sample": False}),
        (0.01, {"temperature": 0.01}),
        (None, {}),
    ],
)
def test_trap_49_a_temperature_of_zero_is_said_otherwise(
    temperature: float | None, said: JsonObject
) -> None:
    codec, traits = OpenAIChatCodec(), ZAI.traits_of("glm-5")
    request = ChatRequest(
        model="glm-5",
        turns=(user_turn("Hi"),),
        sampling=Sampling(temperature=temperature),
        extras={Dialect("anthropic"): {}},
    )
    body = codec.encode_request(request, traits).body
    assert {name: body[name] for name in ("temperature", "do_sample") if name in body} == said
    fields: JsonObject = {} if temperature is None else {"temperature": temperature}
    own = codec.decode_request(
        {"model": "glm-5", "messages": [{"role": "user", "content": "Hi"}], **fields}
    )
    assert codec.can_relay(own, traits) is ("do_sample" not in said)
    if "do_sample" in said:
        assert codec.encode_request(own, traits).body["do_sample"] is False
