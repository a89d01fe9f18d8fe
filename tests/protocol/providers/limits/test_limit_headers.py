"""Every provider's limit headers, as their own pages and reports of users show them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.limits.anthropic_headers import read_anthropic
from forebay.protocol.providers.limits.any_headers import any_reader, read_any
from forebay.protocol.providers.limits.ietf_headers import read_ietf
from forebay.protocol.providers.limits.openai_headers import read_groq, read_openai
from forebay.protocol.providers.limits.plain_headers import read_openrouter, read_together
from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReader,
    LimitReading,
    Quantity,
    Refill,
    Scope,
)

NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC).timestamp()


def read(
    reader: LimitReader, headers: dict[str, str], *, status: int = 200
) -> dict[str, LimitReading]:
    readings = reader(AnswerHead(status=status, headers=headers, now=NOW))
    assert len({reading.name for reading in readings}) == len(readings)
    return {reading.name: reading for reading in readings}


def smooth(
    name: str,
    quantity: Quantity,
    limit: float | None,
    remaining: float | None,
    resets_in: float | None,
    window: float | None,
) -> LimitReading:
    return LimitReading(
        name=name,
        quantity=quantity,
        scope=Scope.TARGET,
        refill=Refill.SMOOTH,
        limit=limit,
        remaining=remaining,
        resets_in=resets_in,
        window=window,
    )


OPENAIS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6ms",
}


def test_openais_pairs_are_a_bucket_of_requests_and_one_of_tokens_per_minute() -> None:
    assert read(read_openai, OPENAIS) == {
        "requests": smooth("requests", Quantity.REQUESTS, 10000, 9999, 8.64, None),
        "tokens": smooth("tokens", Quantity.TOKENS, 150000, 149984, 0.006, 60),
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12ms", 0.012), ("1s", 1.0), ("6m0s", 360.0), ("4m12.172s", 252.172), ("0s", 0.0)],
)
def test_trap_106_the_durations_of_the_headers(text: str, seconds: float) -> None:
    told = read(read_openai, OPENAIS | {"x-ratelimit-reset-tokens": text})
    assert told["tokens"].resets_in == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T10:15:30Z",
        f"{NOW + 30:.0f}",
        f"{(NOW + 30) * 1000:.0f}",
        "Sun, 22 Nov 2026 10:15:30 GMT",
    ],
)
def test_trap_107_the_same_instant_in_every_notation_of_a_reset(text: str) -> None:
    assert read(read_any, OPENAIS | {"x-ratelimit-reset-tokens": text})["tokens"].resets_in == 30


def test_a_projects_limit_is_apart_from_the_organizations() -> None:
    told = read(
        read_openai,
        OPENAIS
        | {
            "x-ratelimit-limit-project-tokens": "1000",
            "x-ratelimit-remaining-project-tokens": "10",
            "x-ratelimit-reset-project-tokens": "59.4s",
        },
    )
    assert set(told) == {"requests", "tokens", "project-tokens"}
    expected = smooth("project-tokens", Quantity.TOKENS, 1000, 10, 59.4, 60)
    assert told["project-tokens"] == expected


@pytest.mark.parametrize("limit", ["-1", "0", " -1 ", "0.0"])
def test_azures_limits_of_minus_one_and_zero_are_none(limit: str) -> None:
    headers = OPENAIS | {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": "-1",
    }
    assert set(read(read_any, headers)) == {"tokens"}
    headers["x-ratelimit-remaining-requests"] = "100"
    assert set(read(read_any, headers)) == {"tokens"}


def test_what_is_left_counts_without_a_limit_and_a_limit_without_what_is_left() -> None:
    told = read(read_any, {"x-ratelimit-remaining-requests": "119"})["requests"]
    assert (told.limit, told.remaining, told.resets_in) == (None, 119, None)
    told = read(read_any, {"x-ratelimit-limit-tokens": "119", "x-ratelimit-remaining-tokens": "x"})[
        "tokens"
    ]
    assert (told.limit, told.remaining, told.resets_in) == (119, None, None)


def test_a_reset_alone_tells_of_no_limit() -> None:
    assert read(read_any, {"x-ratelimit-reset-requests": "8.64s"}) == {}


def test_unknown_siblings_are_not_read() -> None:
    assert (
        read(read_any, {"x-ratelimit-limit-tokens_usage_based": "7", "x-ratelimit-foo": "8"}) == {}
    )


def test_groqs_requests_are_per_day() -> None:
    told = read(
        read_groq,
        {
            "retry-after": "2",
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-reset-tokens": "7.66ms",
        },
    )
    assert told == {
        "requests": smooth("requests", Quantity.REQUESTS, 14400, 14370, 179.56, 86400),
        "tokens": smooth("tokens", Quantity.TOKENS, 18000, 17997, 0.00766, 60),
    }


def test_headers_that_name_the_window_tell_when_it_ends() -> None:
    """Cerebras: both times end in the same fraction, that of the clock."""
    told = read(
        read_any,
        {
            "x-ratelimit-limit-requests-day": "1000000000",
            "x-ratelimit-limit-tokens-minute": "1000000",
            "x-ratelimit-remaining-requests-day": "999997455",
            "x-ratelimit-remaining-tokens-minute": "998298",
            "x-ratelimit-reset-requests-day": "33011.382867097855",
            "x-ratelimit-reset-tokens-minute": "11.382867097854614",
        },
    )
    assert {name: reading.window for name, reading in told.items()} == {
        "requests-day": 86400,
        "tokens-minute": 60,
    }
    day, minute = told["requests-day"], told["tokens-minute"]
    assert {day.refill, minute.refill} == {Refill.AT_RESET}
    assert (day.quantity, day.remaining) == (Quantity.REQUESTS, 999997455)
    assert minute.quantity is Quantity.TOKENS
    assert day.resets_in == pytest.approx(33011.382867)


ANTHROPICS = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-11-22T10:15:02Z",
    "anthropic-ratelimit-tokens-limit": "48000",
    "anthropic-ratelimit-tokens-remaining": "38000",
    "anthropic-ratelimit-tokens-reset": "2026-11-22T10:15:30Z",
    "anthropic-ratelimit-input-tokens-limit": "40000",
    "anthropic-ratelimit-input-tokens-remaining": "30000",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-22T10:15:15Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "8000",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-22T10:14:59Z",
}


def test_anthropics_dimensions_are_buckets_of_a_minute() -> None:
    expected = {
        "requests": smooth("requests", Quantity.REQUESTS, 50, 49, 2, 60),
        "tokens": smooth("tokens", Quantity.TOKENS, 48000, 38000, 30, 60),
        "input-tokens": smooth("input-tokens", Quantity.INPUT_TOKENS, 40000, 30000, 15, 60),
        "output-tokens": smooth("output-tokens", Quantity.OUTPUT_TOKENS, 8000, 8000, 0, 60),
    }
    assert read(read_anthropic, ANTHROPICS) == expected
    assert read(read_any, ANTHROPICS) == expected


def test_a_skewed_clock_does_not_matter_where_the_answer_has_a_date() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW - 4, UTC), usegmt=True)
    told = read(read_anthropic, ANTHROPICS | {"date": date})
    assert told["input-tokens"].resets_in == 19
    assert read(read_openai, OPENAIS | {"date": date})["tokens"].resets_in == 0.006
    by_clock = OPENAIS | {"date": date, "x-ratelimit-reset-tokens": "2026-11-22T10:15:30Z"}
    assert read(read_openai, by_clock)["tokens"].resets_in == 34


def test_limits_of_tiers_have_names_of_their_own_and_bind_nobody_else() -> None:
    told = read(
        read_anthropic,
        ANTHROPICS
        | {
            "anthropic-priority-input-tokens-limit": "10000",
            "anthropic-priority-input-tokens-remaining": "0",
            "anthropic-priority-input-tokens-reset": "2026-11-22T10:16:00Z",
            "anthropic-fast-output-tokens-limit": "5000",
            "anthropic-fast-output-tokens-remaining": "5000",
        },
    )
    assert [name for name, reading in told.items() if not reading.binds] == [
        "priority-input-tokens",
        "fast-output-tokens",
    ]
    assert told["priority-input-tokens"].quantity is Quantity.INPUT_TOKENS
    assert told["priority-input-tokens"].resets_in == 60
    assert told["fast-output-tokens"].quantity is Quantity.OUTPUT_TOKENS
    assert told["fast-output-tokens"].remaining == 5000


SONNETS_WEEK = {"7d_sonnet_status": "rejected", "7d_sonnet_reset": f"{NOW + 60:.0f}"}


def unified(**more: str) -> dict[str, str]:
    """Of a subscription whose 5 hours are used up."""
    told = {
        "status": "rejected",
        "reset": f"{NOW + 7200:.0f}",
        "representative-claim": "five_hour",
        "fallback-percentage": "0.5",
        "5h-status": "rejected",
        "5h-reset": f"{NOW + 7200:.0f}",
        "5h-utilization": "1.0",
        "7d-status": "allowed",
        "7d-reset": f"{NOW + 345600:.0f}",
        "7d-utilization": "0.42",
    } | {name.replace("_", "-"): text for name, text in more.items()}
    return {f"anthropic-ratelimit-unified-{name}": text for name, text in told.items()}


def test_a_subscriptions_spent_window_has_nothing_left_until_its_reset() -> None:
    assert read(read_anthropic, unified(), status=429) == {
        "unified-5h": LimitReading(
            name="unified-5h",
            quantity=Quantity.REQUESTS,
            scope=Scope.ACCOUNT,
            refill=Refill.AT_RESET,
            remaining=0,
            resets_in=7200,
            window=18000,
        )
    }
    both = read(read_any, unified(**{"7d_utilization": "1.02"}), status=429)
    assert {name: reading.resets_in for name, reading in both.items()} == {
        "unified-5h": 7200,
        "unified-7d": 345600,
    }


@pytest.mark.parametrize("status", ["allowed", "allowed_warning"])
def test_a_subscription_that_still_serves_has_nothing_to_wait_for(status: str) -> None:
    """Also above a window: what was bought beside it goes on."""
    assert read(read_anthropic, unified(status=status), status=200) == {}
    assert read(read_anthropic, ANTHROPICS | unified(status=status), status=429).keys() == {
        "requests",
        "tokens",
        "input-tokens",
        "output-tokens",
    }


def test_without_a_status_a_subscription_refuses_by_its_windows() -> None:
    headers = unified(status="")
    assert read(read_anthropic, headers, status=429).keys() == {"unified-5h"}
    assert read(read_anthropic, headers, status=200) == {}


def test_a_share_of_a_window_is_no_count_of_anything() -> None:
    headers = unified(status="", **{"5h_status": "allowed", "5h_utilization": "0.97"})
    assert read(read_anthropic, headers, status=429) == {}


def test_a_subscriptions_refusal_by_no_window_of_the_list_is_waited_for_too() -> None:
    headers = unified(
        representative_claim="seven_day_opus", **{"5h_status": "allowed", "5h_utilization": "0.2"}
    )
    told = read(read_anthropic, headers, status=429)["unified"]
    assert (told.scope, told.remaining, told.resets_in) == (Scope.TARGET, 0, 7200)
    headers["anthropic-ratelimit-unified-representative-claim"] = "seven_day"
    assert read(read_anthropic, headers, status=429)["unified"].scope is Scope.ACCOUNT


def test_a_subscriptions_window_of_one_model_is_not_the_accounts() -> None:
    headers = unified(**SONNETS_WEEK, **{"5h_status": "allowed", "5h_utilization": "0.2"})
    told = read(read_anthropic, headers, status=429)
    assert told.keys() == {"unified-7d-sonnet"}
    reading = told["unified-7d-sonnet"]
    assert (reading.scope, reading.window, reading.resets_in) == (Scope.TARGET, 604800, 60)


def test_a_spent_window_of_another_model_does_not_hold_up_this_one() -> None:
    told = read(read_anthropic, unified(**SONNETS_WEEK), status=429)
    assert told.keys() == {"unified-5h"}


OPENROUTERS = {
    "x-ratelimit-limit": "20",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": f"{(NOW + 41.5) * 1000:.0f}",
}


@pytest.mark.parametrize("reader", [read_openrouter, read_any])
def test_openrouters_window_ends_at_once_and_is_the_models(reader: LimitReader) -> None:
    assert read(reader, OPENROUTERS, status=429) == {
        "window": LimitReading(
            name="window",
            quantity=Quantity.REQUESTS,
            scope=Scope.TARGET,
            refill=Refill.AT_RESET,
            limit=20,
            remaining=0,
            resets_in=41.5,
        )
    }
    assert read(reader, {}) == {}


TOGETHERS = {
    "x-ratelimit-limit": "10",
    "x-ratelimit-remaining": "9",
    "x-ratelimit-reset": "0.1",
    "x-tokenlimit-limit": "3000",
    "x-tokenlimit-remaining": "2500",
    "x-ratelimit-limit-dynamic": "4.5",
    "x-ratelimit-remaining-dynamic": "3",
    "x-tokenlimit-limit-dynamic": "1500",
    "x-tokenlimit-remaining-dynamic": "1000",
}


@pytest.mark.parametrize("reader", [read_together, read_any])
def test_trap_112_togethers_limits_are_per_second(reader: LimitReader) -> None:
    assert read(reader, TOGETHERS) == {
        "requests": smooth("requests", Quantity.REQUESTS, 10, 9, 0.1, 1),
        "requests-dynamic": smooth("requests-dynamic", Quantity.REQUESTS, 4.5, 3, None, 1),
        "tokens": smooth("tokens", Quantity.TOKENS, 3000, 2500, None, 1),
        "tokens-dynamic": smooth("tokens-dynamic", Quantity.TOKENS, 1500, 1000, None, 1),
    }


def policy(
    name: str,
    limit: float | None,
    remaining: float | None,
    resets_in: float | None,
    window: float | None,
    quantity: Quantity = Quantity.REQUESTS,
) -> LimitReading:
    return LimitReading(
        name=name,
        quantity=quantity,
        scope=Scope.ACCOUNT,
        refill=Refill.AT_RESET,
        limit=limit,
        remaining=remaining,
        resets_in=resets_in,
        window=window,
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (  # Hugging Face
            {
                "ratelimit": '"api";r=0;t=55',
                "ratelimit-policy": '"fixed window";"api";q=2500;w=300',
            },
            [policy("policy-api", 2500, 0, 55, 300)],
        ),
        (  # the draft's present form, with a policy whose unit is not read
            {
                "ratelimit": '"burst";r=9;t=1, "bytes";r=5;t=5, "daily, all";r=99, "llm";r=7;t=60',
                "ratelimit-policy": '"burst";q=10;w=10, "bytes";q=9;qu="content-bytes", '
                '"daily, all";q=1000;w=86400;pk=:cHsdsRa894==:, "llm";q=8;qu="tokens";w=60',
            },
            [
                policy("policy-burst", 10, 9, 1, 10),
                policy("policy-daily, all", 1000, 99, None, 86400),
                policy("policy-llm", 8, 7, 60, 60, Quantity.TOKENS),
            ],
        ),
        ({"ratelimit": '"default";r=50;t=30'}, [policy("policy-default", None, 50, 30, None)]),
        (
            {"ratelimit": "limit=100, remaining=50, reset=30", "ratelimit-policy": "100;w=60"},
            [policy("policy", 100, 50, 30, 60)],
        ),
        (
            {"ratelimit-limit": "600", "ratelimit-remaining": "580", "ratelimit-reset": "39"},
            [policy("policy", 600, 580, 39, None)],
        ),
        (
            {
                "ratelimit-limit": "10, 10;w=1, 50;w=60, 1000;w=3600",
                "ratelimit-remaining": "9",
                "ratelimit-reset": f"{NOW + 1:.0f}",
            },
            [policy("policy", 10, 9, 1, 1)],
        ),
        (
            {
                "ratelimit-limit": "600",
                "ratelimit-policy": "1000;w=3600, 600;w=300",
                "ratelimit-remaining": "580",
            },
            [policy("policy", 600, 580, None, 300)],
        ),
        ({"ratelimit-policy": '"api";q=500;w=300'}, []),
        ({"ratelimit": '"api"'}, []),
        ({"ratelimit": ';;,,"', "ratelimit-limit": ";"}, []),
    ],
)
def test_the_drafts_three_forms(headers: dict[str, str], expected: list[LimitReading]) -> None:
    assert list(read(read_ietf, headers).values()) == expected
    assert list(read(read_any, headers).values()) == expected


def test_of_one_policy_the_first_counts_and_of_many_the_first_eight() -> None:
    told = read(read_ietf, {"ratelimit": ", ".join(f'"{at % 10}";r={at}' for at in range(30))})
    assert [reading.remaining for reading in told.values()] == list(range(8))
    told = read(read_ietf, {"ratelimit": '"api";r=5, "api";r=6'})
    assert told["policy-api"].remaining == 5


def test_of_two_notations_of_one_limit_the_first_counts() -> None:
    told = read(read_any, OPENAIS | ANTHROPICS)
    assert told["requests"].limit == 10000
    assert told["input-tokens"].limit == 40000


def test_windows_that_are_known_of_a_server_are_told_with_the_readings() -> None:
    told = read(any_reader(requests_window=86400, tokens_window=3600), OPENAIS)
    assert {name: reading.window for name, reading in told.items()} == {
        "requests": 86400,
        "tokens": 3600,
    }


@pytest.mark.parametrize(
    ("kind", "read_names"),
    [
        ("openai", {"requests", "tokens"}),
        ("anthropic", {"requests", "tokens", "input-tokens", "output-tokens"}),
        ("openai_compatible", {"requests", "tokens", "input-tokens", "output-tokens", "policy"}),
        ("sandbox", {"requests", "tokens", "input-tokens", "output-tokens", "policy"}),
        ("ollama", set()),
        ("openvino", set()),
        ("zai", set()),
    ],
)
def test_each_kind_of_provider_reads_its_own_headers(kind: str, read_names: set[str]) -> None:
    everything = OPENAIS | ANTHROPICS | {"ratelimit-remaining": "5"}
    assert read(PROFILES[kind].read_limits, everything).keys() == read_names
