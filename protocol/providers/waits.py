"""How long a provider says to wait: every notation seen in the field, one tolerant reader.

Notations: plain seconds (``1.5``), Unix seconds and milliseconds, Go durations (``6m0s``,
``12ms``), RFC 3339 times, HTTP dates (RFC 9110, section 10.2.3), and sentences (``Please try
again in 1m30.5s``, ``Resets in 3d 4h``, ``resets at 2026-11-22T18:00:00Z``). Absolute times are
measured against the answer's own ``date`` header where there is one, so that a skewed clock does
not matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{0,12})?")
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ns|us|µs|ms|s|m|h|d))+")
_DURATION_TERM = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_IN_A_SENTENCE = re.compile(
    r"(?:try again|retry|resets?) (?:in|after) "
    r"((?:\d{1,12}(?:\.\d{1,12})?(?: (?:second|minute|hour|day)s?\b|ms|s|m|h|d)[, ]{0,2})+)"
)
_WORDED_UNIT = re.compile(r" (second|minute|hour|day)s?\b")
_AT_A_TIME = re.compile(
    r"(?:try again|retry|resets?) (?:at|on|after) "
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d))",
    re.IGNORECASE,
)
"""Only with a time zone: by local times of providers one would come hours too late."""
_UNIX_SECONDS_FROM = 1e9
_UNIX_MILLISECONDS_FROM = 1e12


def parse_wait(text: str, *, now: float) -> float | None:
    """Seconds from ``now`` (Unix seconds) that ``text`` says to wait; 0 for times gone by;
    None where it says nothing that can be read."""
    wait = parse_duration(text)
    if wait is not None:
        return wait
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        return max(0.0, (value / 1000 if value >= _UNIX_MILLISECONDS_FROM else value) - now)
    moment = _moment(text)
    return None if moment is None else max(0.0, moment - now)


def parse_duration(text: str) -> float | None:
    """As `parse_wait`, where the text is the same wait at any time of day: seconds or a duration;
    else None."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        return max(0.0, value) if value < _UNIX_SECONDS_FROM else None
    return _duration(text) if _DURATION.fullmatch(text) else None


def _duration(text: str) -> float:
    return math.fsum(
        float(amount) * _UNIT_SECONDS[unit] for amount, unit in _DURATION_TERM.findall(text)
    )


@lru_cache(maxsize=32)
def _moment(text: str) -> float | None:
    """Unix seconds. Kept for a while: one ``date`` stands over every header of its answer."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    return None


def retry_after(
    headers: Mapping[str, str], message: str, *, now: float, in_body: float | None = None
) -> float | None:
    """Seconds that a refusal asks to wait, or None.

    Args:
        headers: of the answer, names in lower case. ``retry-after-ms`` wins over
            ``retry-after``.
        message: the error's text, read where neither a header nor a field says it.
        now: Unix seconds, used where the answer has no ``date``.
        in_body: seconds that a field of the error says, read where no header says it.
    """
    now = answered_at(headers, now)
    wait = _wait_in_headers(headers, now)
    if wait is None:
        wait = in_body
    return wait_in_words(message, now=now) if wait is None else wait


def answered_at(headers: Mapping[str, str], now: float) -> float:
    """When an answer was written, in Unix seconds: its own ``date``, else ``now``."""
    date = headers.get("date")
    moment = None if date is None else _moment(date)
    return now if moment is None else moment


def _wait_in_headers(headers: Mapping[str, str], now: float) -> float | None:
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and _NUMBER.fullmatch(milliseconds.strip()):
        return max(0.0, float(milliseconds) / 1000)
    seconds = headers.get("retry-after")
    return None if seconds is None else parse_wait(seconds, now=now)


def wait_in_words(message: str, *, now: float | None) -> float | None:
    """Seconds from ``now`` that a sentence asks to wait, or None. Times of day are only read where
    ``now`` is known."""
    sentence = _IN_A_SENTENCE.search(message.lower())
    if sentence is not None:
        return _duration(_WORDED_UNIT.sub(lambda word: word[1][0], sentence[1]))
    at = _AT_A_TIME.search(message)
    if at is None or now is None:
        return None
    moment = _moment(at[1].upper())
    return None if moment is None else max(0.0, moment - now)
