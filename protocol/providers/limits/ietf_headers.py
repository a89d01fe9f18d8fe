"""``RateLimit`` and ``RateLimit-Policy`` of the IETF's draft "RateLimit header fields for HTTP".

The present form names its policies: ``RateLimit: "api";r=499;t=30`` (remaining, seconds) beside
``RateLimit-Policy: "api";q=500;w=300`` (quota, window). Hugging Face puts the kind of window in
front of the name. Two earlier forms are in use as well: ``RateLimit: limit=100, remaining=50,
reset=30``, and three headers ``RateLimit-Limit``, ``-Remaining`` and ``-Reset``, with the windows
in ``100, 100;w=60`` or ``RateLimit-Policy: 100;w=60``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from forebay.protocol.providers.limits.header_values import amount, reading_of, seconds
from forebay.protocol.providers.limits.readings import (
    AnswerHead,
    LimitReading,
    Quantity,
    Refill,
    Scope,
)

_LONGEST = 2000
_MOST_POLICIES = 8
_PIECE = re.compile(r'"[^"]*"|[^",;]+|[,;]')
_QUANTITIES = {"requests": Quantity.REQUESTS, "tokens": Quantity.TOKENS}
"""By the unit of a quota; limits on bytes or on calls at the same time are not read."""


@dataclass(slots=True)
class _Member:
    """One member of a list: ``bare;bare;key=value``."""

    bare: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)


def read_ietf(head: AnswerHead) -> tuple[LimitReading, ...]:
    policies = _members(head.headers.get("ratelimit-policy"))
    members = _members(head.headers.get("ratelimit"))
    readings: tuple[LimitReading, ...] = ()
    if members:
        flat = {key: text for member in members for key, text in member.parameters.items()}
        if "remaining" in flat:
            return _whole_service(
                head, flat.get("limit"), flat["remaining"], flat.get("reset"), policies
            )
        for member in members[:_MOST_POLICIES]:
            readings += _named(head, member, policies)
        names: dict[str, LimitReading] = {}
        for reading in readings:
            names.setdefault(reading.name, reading)
        return tuple(names.values())
    limits = _members(head.headers.get("ratelimit-limit"))
    return _whole_service(
        head,
        limits[0].bare[0] if limits and limits[0].bare else None,
        head.headers.get("ratelimit-remaining"),
        head.headers.get("ratelimit-reset"),
        limits + policies,
    )


def _named(head: AnswerHead, member: _Member, policies: list[_Member]) -> tuple[LimitReading, ...]:
    name = _name(member)
    told: Mapping[str, str] = next(
        (policy.parameters for policy in policies if _name(policy) == name), {}
    )
    quantity = _QUANTITIES.get(told.get("qu", "requests"))
    if name is None or quantity is None:
        return ()
    return reading_of(
        f"policy-{name}",
        quantity,
        limit=told.get("q"),
        remaining=member.parameters.get("r"),
        resets_in=seconds(member.parameters.get("t"), head),
        scope=Scope.ACCOUNT,
        refill=Refill.AT_RESET,
        window=_window(told),
    )


def _name(member: _Member) -> str | None:
    """Hugging Face's policies have ``"fixed window"`` in front of it."""
    return member.bare[-1] if member.bare else None


def _whole_service(
    head: AnswerHead,
    limit: str | None,
    remaining: str | None,
    reset: str | None,
    policies: list[_Member],
) -> tuple[LimitReading, ...]:
    window = next(
        (
            length
            for policy in policies
            if limit is not None and policy.bare[:1] == [limit.strip()]
            if (length := _window(policy.parameters)) is not None
        ),
        None,
    )
    return reading_of(
        "policy",
        Quantity.REQUESTS,
        limit=limit,
        remaining=remaining,
        resets_in=seconds(reset, head),
        scope=Scope.ACCOUNT,
        refill=Refill.AT_RESET,
        window=window,
    )


def _window(parameters: Mapping[str, str]) -> float | None:
    return amount(parameters.get("w")) or None


def _members(text: str | None) -> list[_Member]:
    members: list[_Member] = []
    member = _Member()
    key = ""
    """Of a parameter whose value is a quoted text, which is a piece of its own."""
    for piece in _PIECE.findall((text or "")[:_LONGEST] + ","):
        if piece == ",":
            if member.bare or member.parameters:
                members.append(member)
            member, key = _Member(), ""
        elif piece[0] == '"':
            if key:
                member.parameters[key] = piece[1:-1].strip()
            else:
                member.bare.append(piece[1:-1].strip())
        elif piece == ";":
            key = ""
        elif piece.strip():
            key, equals, told = piece.strip().partition("=")
            if equals:
                member.parameters[key] = told
            else:
                member.bare.append(key)
                key = ""
    return members
