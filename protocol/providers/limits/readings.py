"""What one answer tells of one limit: the form in which every provider's header is read.

A reading is what the provider said and when; it holds nothing learned and keeps no history. What a
reading lacks, the answer did not say: that erases nothing that an earlier one said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from forebay.protocol.providers.waits import answered_at


class Quantity(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output of an answer together."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


class Scope(StrEnum):
    """Whose budget it is."""

    ACCOUNT = "account"
    """One for all models of the account."""
    TARGET = "target"
    """The one model's that was asked."""


class Refill(StrEnum):
    """How what was taken comes back."""

    SMOOTH = "smooth"
    """Steadily, up to the limit: ``resets_in`` is the time until all of it is there."""
    AT_RESET = "at_reset"
    """All at once, when the window ends: nothing comes back before ``resets_in``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReading:
    """One limit, as one answer told it. None: not told. Numbers are finite and never negative."""

    name: str
    """Keeps several limits on one quantity apart: ``requests``, ``project-tokens``,
    ``requests-5h``. The same limit has the same name in every answer."""
    quantity: Quantity
    scope: Scope
    refill: Refill
    limit: float | None = None
    """Units per window."""
    remaining: float | None = None
    """Units, when the answer was written."""
    resets_in: float | None = None
    """Seconds from when the answer was written."""
    window: float | None = None
    """Seconds. Where it was not told, `inferred_window` may know."""
    binds: bool = True
    """False: nothing is refused for it alone. Calls above it are served in another tier, or only
    calls of a special sort are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What limits are read from: an answer without its body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case. A ``date`` among them is what absolute times are measured against."""
    now: float
    """Unix seconds, when the answer came."""

    @property
    def answered_at(self) -> float:
        """Unix seconds on the provider's own clock where it told them."""
        return answered_at(self.headers, self.now)


LimitReader = Callable[[AnswerHead], tuple[LimitReading, ...]]
"""Never raises, whatever the headers hold: what can't be read is left out. At most one reading of
a name in one answer."""


def reads_nothing(head: AnswerHead) -> tuple[LimitReading, ...]:
    """The reader for servers that tell nothing of their limits."""
    return ()


_USUAL_WINDOWS = (1.0, 10.0, 60.0, 300.0, 3600.0, 5 * 3600.0, 86400.0, 7 * 86400.0)
"""Seconds."""
_RESOLUTION = 1e-3
"""Seconds, of the times until a reset."""
_WHOLE_SECONDS_UNTIL = 10.0
"""Below so many whole seconds, a time may as well have been rounded to seconds."""
_NEAR = 0.1


def inferred_window(reading: LimitReading) -> float | None:
    """Seconds of the window of a smooth limit, from how long what was taken needs to come back.

    Taken units come back in ``window * taken / limit``, so ``10000 / 9999 / 8.64 s`` is a limit
    per day and ``10000 / 9999 / 6 ms`` is one per minute. Counts are told in whole units and
    times in whole milliseconds: the answer is the one usual window that these leave possible.

    A server that counts in fixed windows and tells it like a smooth limit misleads this: take the
    answer for known when readings with different ``remaining`` agree.

    Returns:
        None where the numbers fit several usual windows, or none, or are not told.
    """
    limit, remaining, resets_in = reading.limit, reading.remaining, reading.resets_in
    if reading.refill is not Refill.SMOOTH or limit is None or remaining is None or not resets_in:
        return None
    taken = limit - remaining
    if taken <= 0:
        return None
    shortest = limit * max(0.0, resets_in - _RESOLUTION) / (taken + 1)
    longest = limit * (resets_in + _RESOLUTION) / max(taken - 1, taken / 2)
    possible = [window for window in _USUAL_WINDOWS if shortest <= window <= longest]
    if len(possible) != 1:
        return None
    [window] = possible
    # Of a single unit, any part may have come back already.
    is_rough = taken <= 1 or (resets_in <= _WHOLE_SECONDS_UNTIL and resets_in.is_integer())
    if is_rough and abs(limit * resets_in / taken - window) > _NEAR * window:
        return None
    return window
