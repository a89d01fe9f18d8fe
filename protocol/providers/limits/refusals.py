"""The limit that a refusal names, in prose or by a code.

OpenAI and Groq: ``Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM):
Limit 30000, Used 29937, Requested 385.`` Anthropic: ``This request would exceed your organization's
rate limit of 30,000 input tokens per minute``. Together: ``The maximum rate limit for this model is
9.0 queries per minute``. Others name the unit only, or that calls at the same time are limited.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import Quantity

_LONGEST = 2000
"""Characters of a message; what follows is advice at best."""
_NUMBER = r"(\d[\d,]{0,17}(?:\.\d{1,6})?)"
_TOKENS = r"(?:(?:input|output|request) )?tokens?"
_PER_WINDOW = re.compile(
    rf"(?:{_NUMBER} )?({_TOKENS}|requests?|queries|images|models)[ -]per[ -]"
    r"(sec(?:ond)?|min(?:ute)?|hour|day)\b"
)
_EXCEEDED = re.compile(
    rf"number of ({_TOKENS}|requests) has exceeded your (?:per-)?(second|minute|hourly|daily)\b"
)
_LIMIT = re.compile(rf"\blimit:? {_NUMBER}")
_USED = re.compile(rf"\b(?:used|current):? {_NUMBER}")
_REQUESTED = re.compile(rf"\brequested:? {_NUMBER}")
_CONCURRENCY = re.compile(rf"(?:{_NUMBER} )?(?:concurren|parallel requests|simultaneous)")
_RAMP = re.compile(r"acceleration limit|usage increase rate")
_WHICH_RATE = re.compile(r"\b(token|call|request) rate limit")
"""Azure's."""

_SPENT_WINDOW = re.compile(r"\bfor (\d{1,2})[ -](hour|day)s?\b|\b(hourly|daily|weekly|monthly)\b")

_QUANTITIES = {
    "token": Quantity.TOKENS,
    "tokens": Quantity.TOKENS,
    "input tokens": Quantity.INPUT_TOKENS,
    "output tokens": Quantity.OUTPUT_TOKENS,
    "request tokens": Quantity.INPUT_TOKENS,
    "request": Quantity.REQUESTS,
    "requests": Quantity.REQUESTS,
    "call": Quantity.REQUESTS,
    "queries": Quantity.REQUESTS,
    "models": Quantity.REQUESTS,  # OpenRouter's "free-models-per-day"
}
_WINDOWS = {
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "hour": 3600.0,
    "hourly": 3600.0,
    "day": 86400.0,
    "daily": 86400.0,
    "weekly": 7 * 86400.0,
}
_BY_CODE = (
    ("overloaded", LimitHint(kind=HintKind.CONCURRENCY)),  # TGI's and TEI's 429
    ("ramp_limit_exceeded", LimitHint(kind=HintKind.RAMP)),  # Anthropic's
    ("slow_down", LimitHint(kind=HintKind.RAMP)),  # OpenAI's
    (
        "dynamic_request_limited",  # Together's
        LimitHint(kind=HintKind.RATE, quantity=Quantity.REQUESTS, window=1.0),
    ),
    (
        "dynamic_token_limited",
        LimitHint(kind=HintKind.RATE, quantity=Quantity.TOKENS, window=1.0),
    ),
)
_BY_VAGUE_CODE = (
    ("requests", LimitHint(kind=HintKind.RATE, quantity=Quantity.REQUESTS)),  # OpenAI's types
    ("tokens", LimitHint(kind=HintKind.RATE, quantity=Quantity.TOKENS)),
)


def limit_hint(message: str, codes: Collection[str] = ()) -> LimitHint | None:
    """The limit by which a call was refused, or None where the refusal doesn't say.

    Args:
        message: of an answer that is known to refuse by a limit.
        codes: its codes and types, in lower case.
    """
    text = message[:_LONGEST].lower()
    return _by_code(_BY_CODE, codes) or _in_words(text) or _by_code(_BY_VAGUE_CODE, codes)


def spent_window(message: str) -> float | None:
    """Seconds of the window whose quota a message says is used up: ``Usage limit reached for 5
    hour``, ``weekly usage limit``. None where it names none, several, or one of uneven length."""
    text = message[:_LONGEST].lower()
    windows = {
        float(number) * _WINDOWS[unit] if number else _WINDOWS.get(word, 0.0)
        for number, unit, word in _SPENT_WINDOW.findall(text)
    }
    return (windows.pop() or None) if len(windows) == 1 else None


def _by_code(table: tuple[tuple[str, LimitHint], ...], codes: Collection[str]) -> LimitHint | None:
    return next((hint for code, hint in table if code in codes), None)


def _in_words(text: str) -> LimitHint | None:
    if _RAMP.search(text):
        return LimitHint(kind=HintKind.RAMP)
    rate = _PER_WINDOW.search(text)
    if rate is not None:
        limit = _number(rate[1]) if rate[1] else _first_number(_LIMIT, text)
        return _rate(text, rate[2], rate[3], limit)
    exceeded = _EXCEEDED.search(text)
    if exceeded is not None:
        return _rate(text, exceeded[1], exceeded[2], None)
    concurrency = _CONCURRENCY.search(text)
    if concurrency is not None:
        limit = _number(concurrency[1]) if concurrency[1] else None
        return LimitHint(kind=HintKind.CONCURRENCY, limit=limit or None)
    kind = _WHICH_RATE.search(text)
    return None if kind is None else LimitHint(kind=HintKind.RATE, quantity=_QUANTITIES[kind[1]])


def _rate(text: str, unit: str, window: str, limit: float | None) -> LimitHint:
    return LimitHint(
        kind=HintKind.RATE,
        quantity=_QUANTITIES.get(unit),
        limit=limit or None,
        window=_WINDOWS[window],
        used=_first_number(_USED, text),
        requested=_first_number(_REQUESTED, text),
    )


def _first_number(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return None if found is None else _number(found[1])


def _number(text: str) -> float:
    return float(text.replace(",", ""))
