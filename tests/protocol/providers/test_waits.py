"""How long providers say to wait, in every notation that they use (traps 106 to 108)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from math import isfinite

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.providers.waits import parse_wait, retry_after

_NOW = datetime(2026, 10, 21, 7, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("4m12.172s", 252.172),
        ("23h18m29.144s", 83909.144),
        ("1d2h", 93600.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("0s", 0.0),
    ],
)
def test_trap_106_durations(text: str, seconds: float) -> None:
    assert parse_wait(text, now=_NOW) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-21T07:28:00Z",
        "2026-10-21T07:28:00.000Z",
        "2026-10-21T09:28:00+02:00",
        "2026-10-21 07:28:00",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        str(round(_NOW) + 1680),
        f"{_NOW + 1680:.1f}",
        str(round(_NOW + 1680) * 1000),
    ],
)
def test_trap_107_the_same_instant_in_every_notation(text: str) -> None:
    assert parse_wait(text, now=_NOW) == pytest.approx(1680)


def test_trap_107_the_instant_of_the_list() -> None:
    instant = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC).timestamp()
    for text in ("2026-11-22T10:15:30Z", f"{instant:.0f}", f"{instant * 1000:.0f}"):
        assert parse_wait(text, now=instant - 90) == 90


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1680.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 30 "}, 30.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "6m0s"}, 360.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_trap_108_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, "", now=_NOW) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1m30.5s.", 90.5),
        ("Please try again in 6ms. Visit the site", 0.006),
        ("Please retry after 20s", 20.0),
        ("TRY AGAIN IN 2H 3M", 7380.0),
        ("weekly usage limit reached. Resets in 3d 4h", 273_600.0),
        ("your limit resets in 5 hours", 18_000.0),
        ("try again in 1 day, 2 hours", 93_600.0),
        ("Retry in 1 minute 30 seconds.", 90.0),
        ("your limit resets at 2026-10-21T07:28:00Z.", 1680.0),
        ("reset at 2026-10-21 15:28:00+08:00", 1680.0),
        ("try again after 2026-10-21t07:28:00.5z", 1680.5),
        ("reset at 2020-01-01T00:00:00Z", 0.0),
        ("reset at 2026-10-21 15:28:00", None),
        ("resets in 5 months", None),
        ("reset at 2026-99-99T00:00:00Z", None),
        ("try again later", None),
        ("it took 20s", None),
    ],
)
def test_sentences_are_read_where_no_header_says_it(message: str, seconds: float | None) -> None:
    assert retry_after({}, message, now=_NOW) == seconds
    assert retry_after({"retry-after": "7"}, message, now=_NOW) == 7.0


@pytest.mark.parametrize("skew", [-86400.0, -5.0, 5.0, 86400.0])
def test_a_skewed_clock_does_not_matter_where_the_answer_has_a_date(skew: float) -> None:
    date = datetime.fromtimestamp(_NOW + skew, UTC)
    headers = {
        "date": format_datetime(date, usegmt=True),
        "retry-after": format_datetime(datetime.fromtimestamp(_NOW + skew + 60, UTC), usegmt=True),
    }
    assert retry_after(headers, "", now=_NOW) == 60
    assert retry_after({**headers, "retry-after": "30"}, "", now=_NOW) == 30


def test_times_gone_by_are_no_wait() -> None:
    assert parse_wait("2020-01-01T00:00:00Z", now=_NOW) == 0
    assert parse_wait(str(round(_NOW) - 5), now=_NOW) == 0


_LIKELY = st.from_regex(
    r"[+-]?[0-9]{0,20}(\.[0-9]{0,14})?(ns|us|µs|ms|s|m|h|d|Z|T| GMT|:|-|,)?", fullmatch=True
)
_DATES = st.lists(
    st.sampled_from(
        ["Wed,", "21", "Oct", "2026", "99999", "07:28:00", "25:61", "GMT", "+9999", "-", "T", "Z"]
    ),
    max_size=8,
).map(" ".join)
_ANY_TEXT = st.text(max_size=40) | _LIKELY | _DATES


@given(text=_ANY_TEXT)
@example(text="0001-01-01T00:00:00+23:59")
@example(text="9999-12-31T23:59:59-23:59")
@example(text="Mon, 1 Jan 0000 00:00:00 +9999")
@example(text="9" * 400)
def test_any_text_is_a_finite_wait_or_none(text: str) -> None:
    wait = parse_wait(text, now=_NOW)
    assert wait is None or (isfinite(wait) and wait >= 0)


@given(
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), _ANY_TEXT, max_size=3
    ),
    message=_ANY_TEXT
    | _ANY_TEXT.map("Please try again in {}".format)
    | _ANY_TEXT.map("resets at {}".format),
)
def test_any_headers_and_message_are_a_finite_wait_or_none(
    headers: dict[str, str], message: str
) -> None:
    wait = retry_after(headers, message, now=_NOW)
    assert wait is None or (isfinite(wait) and wait >= 0)


def test_long_texts_are_read_in_no_time() -> None:
    """A reader that tried every way to cut these would never come to an end."""
    for text in (
        "1m" * 200_000,
        "1" * 400_000,
        "try again in 1" * 50_000,
        "1s " * 200_000,
        "1 hour, " * 100_000,
        "resets at 2026-" * 50_000,
    ):
        parse_wait(text, now=_NOW)
        retry_after({"retry-after": text, "date": text}, f"try again in {text}x", now=_NOW)
