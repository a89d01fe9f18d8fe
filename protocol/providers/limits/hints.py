"""What a refusal says of the limit that it was refused by, in words or codes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from forebay.protocol.providers.limits.readings import Quantity


class HintKind(StrEnum):
    """Which sort of limit was met."""

    CONCURRENCY = "concurrency"
    """Too many calls at the same time: one may start as soon as one of ours has ended."""
    RATE = "rate"
    """Too much within a window."""
    RAMP = "ramp"
    """Within the limit, but rising too fast: go on at a lower rate and raise it slowly."""
    SPENT_UNTIL = "spent_until"
    """The quota of a window of hours or days is used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHint:
    """The limit that refused a call, as far as the refusal tells. None: not told."""

    kind: HintKind
    quantity: Quantity | None = None
    limit: float | None = None
    """Units per window; of CONCURRENCY, calls at the same time."""
    window: float | None = None
    """Seconds."""
    used: float | None = None
    """Units, when the call came."""
    requested: float | None = None
    """Units that the call would have taken."""
