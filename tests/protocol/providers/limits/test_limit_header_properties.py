"""Limit headers: any text is read without harm, and a bucket told in each notation reads back."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from math import isfinite

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.limits.anthropic_headers import read_anthropic
from forebay.protocol.providers.limits.any_headers import read_any
from forebay.protocol.providers.limits.ietf_headers import read_ietf
from forebay.protocol.providers.limits.openai_headers import openai_reader, read_groq, read_openai
from forebay.protocol.providers.limits.plain_headers import read_openrouter, read_together
from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReading,
    Quantity,
    Refill,
    Scope,
    inferred_window,
    reads_nothing,
)

NOW = 1_790_000_000.0
READERS = (
    reads_nothing,
    read_openai,
    read_groq,
    read_anthropic,
    read_openrouter,
    read_together,
    read_ietf,
    read_any,
    *(profile.read_limits for profile in PROFILES.values()),
)
USUAL_WINDOWS = {1.0, 10.0, 60.0, 300.0, 3600.0, 18000.0, 86400.0, 604800.0}

_FACTS = ("limit", "remaining", "reset")
_NAMES = st.sampled_from(
    [
        "date",
        "ratelimit",
        "ratelimit-policy",
        *(f"ratelimit-{fact}" for fact in _FACTS),
        *(f"x-ratelimit-{fact}" for fact in _FACTS),
        *(f"x-ratelimit-{fact}-dynamic" for fact in _FACTS),
        *(f"x-tokenlimit-{fact}" for fact in _FACTS),
        *(
            f"x-ratelimit-{fact}-{unit}"
            for fact in _FACTS
            for unit in ("requests", "tokens", "project-tokens", "tokens-minute", "requests-day")
        ),
        *(
            f"anthropic-{group}-{fact}"
            for fact in (*_FACTS, "status", "utilization")
            for group in (
                "ratelimit-requests",
                "ratelimit-input-tokens",
                "priority-input-tokens",
                "ratelimit-unified",
                "ratelimit-unified-5h",
                "ratelimit-unified-0d",
                "ratelimit-unified-7d-opus",
            )
        ),
        "anthropic-ratelimit-unified-representative-claim",
    ]
)
_TEXTS = (
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
    | st.floats().map(str)
    | st.integers(-(10**25), 10**25).map(str)
    | st.from_regex(
        r'("[a-z ,;]{0,5}"|[a-z]{1,2}=-?[0-9]{0,20}|[0-9]{1,4}|[;,=" ]){0,12}', fullmatch=True
    )
    | st.sampled_from(["6m0s", "rejected", "allowed", "1.0", "2026-11-22T10:15:30Z", "NaN", "٣"])
)


@given(
    headers=st.dictionaries(_NAMES, _TEXTS, max_size=12), status=st.sampled_from([200, 429, 503])
)
@example(headers={"x-ratelimit-limit-requests": "9" * 400}, status=200)
@example(headers={"date": "9999-12-31T23:59:59-23:59", "ratelimit": '"a";r=1;t=5'}, status=200)
def test_any_headers_are_read_as_finite_numbers_or_nothing(
    headers: dict[str, str], status: int
) -> None:
    head = AnswerHead(status=status, headers=headers, now=NOW)
    for reader in READERS:
        readings = reader(head)
        assert len({reading.name for reading in readings}) == len(readings)
        for reading in readings:
            numbers = (reading.limit, reading.remaining, reading.resets_in, reading.window)
            assert all(number is None or (isfinite(number) and number >= 0) for number in numbers)
            assert reading.limit != 0
            assert reading.window != 0
            assert inferred_window(reading) in {None, *USUAL_WINDOWS}


def test_long_headers_are_read_in_no_time() -> None:
    for text in ("1m" * 100_000, '"' * 100_000, ";a=" * 50_000, '"a";r=1,' * 50_000, "9" * 200_000):
        headers = dict.fromkeys(
            ("ratelimit", "ratelimit-limit", "ratelimit-policy", "x-ratelimit-reset-requests"), text
        )
        head = AnswerHead(status=200, headers=headers | {"ratelimit-remaining": text}, now=NOW)
        for reader in READERS:
            assert len(reader(head)) <= 8


@st.composite
def buckets(draw: st.DrawFn, *, most: int = 10_000_000) -> tuple[int, int, float, float]:
    """Limit, remaining, seconds until full, window: of a bucket that a call was just taken from."""
    limit = draw(st.integers(1, most))
    taken = draw(st.floats(1, limit))
    window = draw(st.sampled_from(sorted(USUAL_WINDOWS)))
    remaining = draw(st.sampled_from([math.floor(limit - taken), math.ceil(limit - taken)]))
    return limit, remaining, taken * window / limit, window


def go_duration(seconds: float) -> str:
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    written = f"{rest / 1000:g}s" if rest % 1000 else f"{rest // 1000}s"
    if hours:
        return f"{hours}h{minutes}m{written}"
    return f"{minutes}m{written}" if minutes else written


def as_openais(unit: str, bucket: tuple[int, int, float, float]) -> dict[str, str]:
    limit, remaining, full_in, _ = bucket
    return {
        f"x-ratelimit-limit-{unit}": str(limit),
        f"x-ratelimit-remaining-{unit}": str(remaining),
        f"x-ratelimit-reset-{unit}": go_duration(full_in),
    }


def only(readings: tuple[LimitReading, ...]) -> LimitReading:
    [reading] = readings
    return reading


@given(bucket=buckets())
def test_a_bucket_in_openais_words_reads_back(bucket: tuple[int, int, float, float]) -> None:
    limit, remaining, full_in, window = bucket
    headers = as_openais("requests", bucket)
    reader = openai_reader(requests_window=window)
    reading = only(reader(AnswerHead(status=200, headers=headers, now=NOW)))
    assert (reading.limit, reading.remaining, reading.window) == (limit, remaining, window)
    assert reading.resets_in == pytest.approx(full_in, abs=0.0011)


@given(bucket=buckets())
def test_a_bucket_in_anthropics_words_reads_back_but_for_the_rounding(
    bucket: tuple[int, int, float, float],
) -> None:
    limit, remaining, full_in, _ = bucket
    full_at = datetime.fromtimestamp(math.ceil(NOW + full_in), UTC)
    headers = {
        "anthropic-ratelimit-input-tokens-limit": str(limit),
        "anthropic-ratelimit-input-tokens-remaining": str(round(remaining, -3)),
        "anthropic-ratelimit-input-tokens-reset": full_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    reading = only(read_anthropic(AnswerHead(status=200, headers=headers, now=NOW)))
    assert (reading.limit, reading.window) == (limit, 60)
    assert reading.remaining == pytest.approx(remaining, abs=500)
    assert reading.resets_in is not None
    assert full_in - 1e-6 <= reading.resets_in <= full_in + 1


@given(limit=st.integers(1, 10**6), left=st.integers(0, 10**6), ends_in=st.integers(0, 10**8))
def test_a_window_in_openrouters_words_reads_back(limit: int, left: int, ends_in: int) -> None:
    """``ends_in`` in milliseconds."""
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": str(round(NOW * 1000) + ends_in),
    }
    reading = only(read_openrouter(AnswerHead(status=429, headers=headers, now=NOW)))
    assert (reading.limit, reading.remaining) == (limit, left)
    assert reading.resets_in == pytest.approx(ends_in / 1000, abs=1e-6)


@given(
    name=st.from_regex(r"[a-z][a-z ;,=-]{0,10}[a-z]", fullmatch=True),
    limit=st.integers(1, 10**6),
    left=st.integers(0, 10**6),
    ends_in=st.integers(0, 10**6),
    window=st.integers(1, 10**6),
)
def test_a_window_in_the_drafts_words_reads_back(
    name: str, limit: int, left: int, ends_in: int, window: int
) -> None:
    headers = {
        "ratelimit": f'"{name}";r={left};t={ends_in}',
        "ratelimit-policy": f'"fixed window";"{name}";q={limit};w={window}, "x";q=1;w=1',
    }
    assert only(read_ietf(AnswerHead(status=200, headers=headers, now=NOW))) == LimitReading(
        name=f"policy-{name}",
        quantity=Quantity.REQUESTS,
        scope=Scope.ACCOUNT,
        refill=Refill.AT_RESET,
        limit=limit,
        remaining=left,
        resets_in=ends_in,
        window=window,
    )


def read_openais_requests(bucket: tuple[int, int, float, float]) -> LimitReading:
    headers = as_openais("requests", bucket)
    return only(read_openai(AnswerHead(status=200, headers=headers, now=NOW)))


@given(bucket=buckets())
def test_the_window_is_never_inferred_wrong(bucket: tuple[int, int, float, float]) -> None:
    assert inferred_window(read_openais_requests(bucket)) in {None, bucket[3]}


@given(bucket=buckets())
def test_the_window_is_inferred_where_enough_was_taken(
    bucket: tuple[int, int, float, float],
) -> None:
    limit, remaining, full_in, window = bucket
    if limit - remaining >= 20 and full_in >= 0.05:
        assert inferred_window(read_openais_requests(bucket)) == window


@pytest.mark.parametrize(
    ("limit", "remaining", "resets_in", "window"),
    [
        (10000, 9999, 8.64, 86400),
        (10000, 9999, 0.006, 60),
        (60, 59, 1.0, 60),
        (500, 499, 0.12, 60),
        (14400, 14370, 179.56, 86400),
        (18000, 17997, 0.00766, 60),
        (150000, 149984, 0.006, 60),
        (3, 0, 60.0, 60),
        (200, 199, 432.0, 86400),
        (500, 499, 1.0, None),  # 120 ms, rounded up
        (10000, 9999, 3.456, None),  # most of the one has come back
        (5_000_000, 4_999_980, 0.001, None),
        (150000, 149984, 360.0, None),
        (10000, 10000, 0.0, None),
        (10000, 10000, 5.0, None),
        (100, 120, 5.0, None),
        (None, 9999, 8.64, None),
        (10000, None, 8.64, None),
        (10000, 9999, None, None),
    ],
)
def test_the_window_by_how_long_what_was_taken_needs(
    limit: float | None, remaining: float | None, resets_in: float | None, window: float | None
) -> None:
    reading = LimitReading(
        name="requests",
        quantity=Quantity.REQUESTS,
        scope=Scope.TARGET,
        refill=Refill.SMOOTH,
        limit=limit,
        remaining=remaining,
        resets_in=resets_in,
    )
    assert inferred_window(reading) == window


def test_a_window_that_ends_at_once_says_nothing_of_its_length() -> None:
    reading = LimitReading(
        name="window",
        quantity=Quantity.REQUESTS,
        scope=Scope.TARGET,
        refill=Refill.AT_RESET,
        limit=10000,
        remaining=9999,
        resets_in=8.64,
    )
    assert inferred_window(reading) is None
