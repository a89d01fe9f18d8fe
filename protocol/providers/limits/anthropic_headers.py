"""Anthropic's headers: one triple for each dimension, and the windows of subscriptions.

``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`` tell of
buckets that fill up steadily within a minute; ``reset`` is when one is full (RFC 3339), and tokens
are rounded to thousands. ``tokens`` is whichever limit on tokens is the tightest at the time.

``anthropic-ratelimit-unified-*`` tell how much of the windows of 5 hours and 7 days is used, as a
share without a unit. A share can't be counted down by calls, so only what there is to wait for is
read: a window that refuses, as a number of requests of which none is left until the reset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from forebay.protocol.providers.limits.header_values import (
    LimitNames,
    amount,
    read_named,
    seconds,
)
from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReading,
    Quantity,
    Refill,
    Scope,
)

_DIMENSIONS = {
    "requests": Quantity.REQUESTS,
    "tokens": Quantity.TOKENS,
    "input-tokens": Quantity.INPUT_TOKENS,
    "output-tokens": Quantity.OUTPUT_TOKENS,
}


def _names(name: str, prefix: str, quantity: Quantity, *, binds: bool) -> LimitNames:
    return LimitNames(
        name=name,
        quantity=quantity,
        limit=f"{prefix}-limit",
        remaining=f"{prefix}-remaining",
        reset=f"{prefix}-reset",
        window=60.0,
        binds=binds,
    )


_LIMITS = tuple(
    _names(dimension, f"anthropic-ratelimit-{dimension}", quantity, binds=True)
    for dimension, quantity in _DIMENSIONS.items()
)
# Beyond the priority tier's limits, calls are served in the standard tier; those of the fast mode
# only count calls that ask for it.
_LIMITS_OF_TIERS = tuple(
    _names(f"{tier}-{dimension}", f"anthropic-{tier}-{dimension}", quantity, binds=False)
    for tier in ("priority", "fast")
    for dimension, quantity in _DIMENSIONS.items()
    if quantity in (Quantity.INPUT_TOKENS, Quantity.OUTPUT_TOKENS)
)
_UNIFIED = "anthropic-ratelimit-unified-"
_UNIFIED_WINDOW = re.compile(
    _UNIFIED + r"(([1-9]\d?)([mhd])([-_][a-z0-9_-]{1,40})?)-(?:status|reset|utilization)"
)
_UNIT_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_REJECTED = "rejected"
_CLAIM_ON_ALL_MODELS = frozenset({"five_hour", "seven_day", ""})


def read_anthropic(head: AnswerHead) -> tuple[LimitReading, ...]:
    return read_named(head, _LIMITS) + read_named(head, _LIMITS_OF_TIERS) + _unified(head)


def _unified(head: AnswerHead) -> tuple[LimitReading, ...]:
    """Nothing where the call was allowed: a window that is used up may have been extended."""
    status = head.headers.get(_UNIFIED + "status", "").strip()
    if status != _REJECTED and (status or head.status != 429):
        return ()
    spent: dict[str, LimitReading] = {}
    for header in head.headers:
        found = _UNIFIED_WINDOW.fullmatch(header)
        if found is None or not _is_spent(head.headers, found[1]):
            continue
        spent[found[1]] = _refusing(
            f"unified-{found[1]}",
            resets_in=seconds(head.headers.get(f"{_UNIFIED}{found[1]}-reset"), head),
            scope=Scope.TARGET if found[4] else Scope.ACCOUNT,
            window=float(found[2]) * _UNIT_SECONDS[found[3]],
        )
    # Windows of single models are listed whichever model was asked: this one was refused by its own
    # only where nothing else explains it.
    of_account = [reading for reading in spent.values() if reading.scope is Scope.ACCOUNT]
    if spent or status != _REJECTED:
        return tuple(of_account or spent.values())
    claim = head.headers.get(_UNIFIED + "representative-claim", "").strip()
    return (
        _refusing(
            "unified",
            resets_in=seconds(head.headers.get(_UNIFIED + "reset"), head),
            scope=Scope.ACCOUNT if claim in _CLAIM_ON_ALL_MODELS else Scope.TARGET,
            window=None,
        ),
    )


def _is_spent(headers: Mapping[str, str], window: str) -> bool:
    used = amount(headers.get(f"{_UNIFIED}{window}-utilization"))
    status = headers.get(f"{_UNIFIED}{window}-status", "").strip()
    return status == _REJECTED or (used is not None and used >= 1)


def _refusing(
    name: str, *, resets_in: float | None, scope: Scope, window: float | None
) -> LimitReading:
    return LimitReading(
        name=name,
        quantity=Quantity.REQUESTS,
        scope=scope,
        refill=Refill.AT_RESET,
        remaining=0.0,
        resets_in=resets_in,
        window=window,
    )
