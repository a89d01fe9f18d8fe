"""``x-ratelimit-{limit,remaining,reset}-*``: OpenAI's headers, which many servers imitate.

``reset`` is the time until the bucket is full, not until one more call fits. Siblings that are not
named here are not read. Servers that name the window as well (Cerebras, Mistral:
``x-ratelimit-limit-tokens-minute``) count in fixed windows and tell when the window ends.
"""

from __future__ import annotations

from forebay.protocol.providers.limits.header_values import LimitNames, read_named
from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReader,
    LimitReading,
    Quantity,
    Refill,
)


def _names(name: str, quantity: Quantity, refill: Refill, window: float | None) -> LimitNames:
    return LimitNames(
        name=name,
        quantity=quantity,
        limit=f"x-ratelimit-limit-{name}",
        remaining=f"x-ratelimit-remaining-{name}",
        reset=f"x-ratelimit-reset-{name}",
        refill=refill,
        window=window,
    )


_UNITS = {
    "requests": Quantity.REQUESTS,
    "tokens": Quantity.TOKENS,
    "project-requests": Quantity.REQUESTS,
    "project-tokens": Quantity.TOKENS,
}
_WINDOWED = tuple(
    _names(f"{unit}-{window}", quantity, Refill.AT_RESET, length)
    for unit, quantity in (
        ("requests", Quantity.REQUESTS),
        ("req", Quantity.REQUESTS),
        ("tokens", Quantity.TOKENS),
    )
    for window, length in (("second", 1.0), ("minute", 60.0), ("hour", 3600.0), ("day", 86400.0))
)


def openai_reader(
    *, requests_window: float | None = None, tokens_window: float | None = None
) -> LimitReader:
    """A reader for servers whose windows are these, in seconds; None where it can't be known."""
    windows = {Quantity.REQUESTS: requests_window, Quantity.TOKENS: tokens_window}
    smooth = tuple(
        _names(unit, quantity, Refill.SMOOTH, windows[quantity])
        for unit, quantity in _UNITS.items()
    )

    def read(head: AnswerHead) -> tuple[LimitReading, ...]:
        return read_named(head, smooth) or read_named(head, _WINDOWED)

    return read


read_openai = openai_reader(tokens_window=60.0)
"""OpenAI itself: tokens per minute; requests per minute or, for accounts of low tiers, per day."""
read_groq = openai_reader(requests_window=86400.0, tokens_window=60.0)
"""Groq: requests per day, tokens per minute."""
