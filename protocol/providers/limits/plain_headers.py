"""``x-ratelimit-{limit,remaining,reset}`` without a unit in the name: OpenRouter's and Together's.

OpenRouter sends them with refusals of its free models only: a window of a minute or a day, which
the header doesn't tell, and the Unix milliseconds of its end. Together sends them with every
answer: requests per second, beside ``x-tokenlimit-*`` for tokens per second and ``*-dynamic`` for
the rate that it grants just now by what was used of late.
"""

from __future__ import annotations

from forebay.protocol.providers.limits.header_values import reading_of, seconds
from forebay.protocol.providers.limits.readings import AnswerHead, LimitReading, Quantity, Refill

_TOGETHERS = {"x-ratelimit": Quantity.REQUESTS, "x-tokenlimit": Quantity.TOKENS}
_ONLY_TOGETHERS = (
    "x-tokenlimit-limit",
    "x-tokenlimit-remaining",
    "x-ratelimit-limit-dynamic",
    "x-ratelimit-remaining-dynamic",
)


def read_openrouter(head: AnswerHead) -> tuple[LimitReading, ...]:
    """Of the target: other models of the account may have no limit."""
    return reading_of(
        "window",
        Quantity.REQUESTS,
        limit=head.headers.get("x-ratelimit-limit"),
        remaining=head.headers.get("x-ratelimit-remaining"),
        resets_in=seconds(head.headers.get("x-ratelimit-reset"), head),
        refill=Refill.AT_RESET,
    )


def read_together(head: AnswerHead) -> tuple[LimitReading, ...]:
    readings: tuple[LimitReading, ...] = ()
    for prefix, quantity in _TOGETHERS.items():
        resets_in = seconds(head.headers.get(f"{prefix}-reset"), head)
        for suffix in ("", "-dynamic"):
            readings += reading_of(
                f"{quantity}{suffix}",
                quantity,
                limit=head.headers.get(f"{prefix}-limit{suffix}"),
                remaining=head.headers.get(f"{prefix}-remaining{suffix}"),
                resets_in=None if suffix else resets_in,
                window=1.0,
            )
    return readings


def read_plain(head: AnswerHead) -> tuple[LimitReading, ...]:
    """Together's headers where they are recognized, else those of a window."""
    is_together = any(name in head.headers for name in _ONLY_TOGETHERS)
    return read_together(head) if is_together else read_openrouter(head)
