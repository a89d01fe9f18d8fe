"""Single values of limit headers, and a reading made of those that could be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReading,
    Quantity,
    Refill,
    Scope,
)
from forebay.protocol.providers.waits import parse_duration, parse_wait


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitNames:
    """A limit that has three headers of its own, and what is known of it beforehand."""

    name: str
    quantity: Quantity
    limit: str
    remaining: str
    reset: str
    refill: Refill = Refill.SMOOTH
    window: float | None = None
    binds: bool = True


_AMOUNT = re.compile(r"\d{1,15}(?:\.\d{1,9})?")


def amount(text: str | None) -> float | None:
    """A number of units; None for what is no plain number, and for the -1 of "not known"."""
    if text is None or _AMOUNT.fullmatch(text := text.strip()) is None:
        return None
    return float(text)


def seconds(text: str | None, head: AnswerHead) -> float | None:
    """Seconds from when the answer was written until a reset, in any notation."""
    if text is None:
        return None
    duration = parse_duration(text)
    return parse_wait(text, now=head.answered_at) if duration is None else duration


def read_named(head: AnswerHead, limits: tuple[LimitNames, ...]) -> tuple[LimitReading, ...]:
    """Of the target, each limit that the answer tells of."""
    headers = head.headers
    readings: tuple[LimitReading, ...] = ()
    for names in limits:
        if names.limit in headers or names.remaining in headers:
            readings += reading_of(
                names.name,
                names.quantity,
                limit=headers.get(names.limit),
                remaining=headers.get(names.remaining),
                resets_in=seconds(headers.get(names.reset), head),
                refill=names.refill,
                window=names.window,
                binds=names.binds,
            )
    return readings


def reading_of(
    name: str,
    quantity: Quantity,
    *,
    limit: str | None,
    remaining: str | None,
    resets_in: float | None,
    scope: Scope = Scope.TARGET,
    refill: Refill = Refill.SMOOTH,
    window: float | None = None,
    binds: bool = True,
) -> tuple[LimitReading, ...]:
    """The reading that these texts make, or none.

    None where neither limit nor remaining can be read, and where the limit is 0 or less: that is
    how servers say that they don't count this (Azure's -1 and 0).
    """
    most, left = amount(limit), amount(remaining)
    if most == 0 or (most is None and left is None) or _is_negative(limit):
        return ()
    return (
        LimitReading(
            name=name,
            quantity=quantity,
            scope=scope,
            refill=refill,
            limit=most,
            remaining=left,
            resets_in=resets_in,
            window=window,
            binds=binds,
        ),
    )


def _is_negative(text: str | None) -> bool:
    return text is not None and text.lstrip().startswith("-")
