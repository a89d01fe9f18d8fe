"""Faults on demand: the words for them, and which of them one call gets.

A directive is a comma list of ``name`` or ``name=value``, in the last user message
(``[[fault: 429=1, times=2]]``) or in the header ``x-sandbox-fault``; options add standing faults
for every n-th call. What a fault does to an answer is in ``_fault_play``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

_DIRECTIVE = re.compile(r"\[\[fault:([^\]]*)\]\]")
_REMEMBERED_TEXTS = 10_000


class Refusal(Enum):
    """A call refused with a status of its own, before it starts."""

    RATE_LIMIT = "429"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    SERVER_ERROR = "500"
    NO_CREDIT = "402"
    QUOTA = "quota"
    UNAUTHORIZED = "401"
    BAD_REQUEST = "400"
    CONTEXT = "context"


class Break(Enum):
    """A call that starts and then goes wrong."""

    RESET = "reset"
    HANG = "hang"
    GARBAGE = "garbage"
    ERROR_FIRST = "error-first"
    RESET_MIDSTREAM = "reset-midstream"
    END_MIDSTREAM = "end-midstream"
    CUT_MIDSTREAM = "cut-midstream"
    HANG_MIDSTREAM = "hang-midstream"
    GARBAGE_MIDSTREAM = "garbage-midstream"
    ERROR_MIDSTREAM = "error-midstream"


_REFUSALS = {refusal.value: refusal for refusal in Refusal}
_BREAKS = {one.value: one for one in Break}
FAULT_NAMES = (*_REFUSALS, *_BREAKS, "slow-head", "times")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong with one call. Of several refusals or breaks the first one counts."""

    refusal: Refusal | None = None
    retry_after: float | None = None
    """Seconds that a 429 was told to name."""
    breaks: Break | None = None
    after_pieces: int = 0
    """Pieces of content that a midstream break lets through first."""
    slow_head: float = 0
    """Seconds added before the head."""
    times: int | None = None
    """Only the first so many calls with the same text get it; None: all."""

    def merged(self, other: FaultPlan) -> FaultPlan:
        """This plan, with what it leaves open filled from another."""
        plan = self
        if plan.refusal is None:
            plan = replace(plan, refusal=other.refusal, retry_after=other.retry_after)
        if plan.breaks is None:
            plan = replace(plan, breaks=other.breaks, after_pieces=other.after_pieces)
        return replace(plan, slow_head=plan.slow_head + other.slow_head)


NO_FAULT = FaultPlan()


class UnknownFault(ValueError):
    """A directive that does not parse; the message names the fault and what there is."""


def parse_directive(text: str) -> FaultPlan:
    """Read a comma list of faults.

    Raises:
        UnknownFault: a name is unknown, or its value is missing, needless or no number.
    """
    plan = NO_FAULT
    times: int | None = None
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not name and not equals:
            continue
        if name == "times":
            times = int(_number(name, value))
        else:
            plan = plan.merged(_parse_fault(name, value))
    return replace(plan, times=times)


def parse_standing_fault(text: str) -> FaultPlan:
    """Read one fault of ``fault_every``.

    Raises:
        UnknownFault: like :func:`parse_directive`; or it is more than one, or ``times``.
    """
    if "," in text or text.strip().startswith("times"):
        raise UnknownFault(f"fault_every: {text!r} must be a single fault, such as '429'")
    return parse_directive(text)


def _parse_fault(name: str, value: str) -> FaultPlan:
    if name == "slow-head":
        return FaultPlan(slow_head=_number(name, value) / 1000)
    refusal = _REFUSALS.get(name)
    if refusal is not None:
        if not value:
            return FaultPlan(refusal=refusal)
        if refusal is Refusal.RATE_LIMIT:
            return FaultPlan(refusal=refusal, retry_after=_number(name, value))
        raise UnknownFault(f"the fault {name!r} takes no value")
    breaks = _BREAKS.get(name)
    if breaks is None:
        raise UnknownFault(f"no such fault: {name!r}. Faults: {', '.join(FAULT_NAMES)}")
    if name.endswith("-midstream"):
        return FaultPlan(breaks=breaks, after_pieces=int(_number(name, value)) if value else 1)
    if value:
        raise UnknownFault(f"the fault {name!r} takes no value")
    return FaultPlan(breaks=breaks)


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise UnknownFault(f"the fault {name!r} needs a number, such as '{name}=2'")
    return number


class FaultDesk:
    """Says which faults a call gets, and remembers how often each text has had its own."""

    def __init__(self) -> None:
        self._calls = 0
        self._had: dict[str, int] = {}

    def plan(self, *, user_text: str, header: str, fault_every: Mapping[str, int]) -> FaultPlan:
        """The faults of the next call.

        Raises:
            UnknownFault: the call's own directive does not parse.
        """
        self._calls += 1
        plan = NO_FAULT
        if header or "[[fault:" in user_text:
            plan = self._asked_for(user_text, header)
        for fault, every in fault_every.items():
            if self._calls % every == 0:
                plan = plan.merged(parse_standing_fault(fault))
        return plan

    def _asked_for(self, user_text: str, header: str) -> FaultPlan:
        asked = ",".join((*_DIRECTIVE.findall(user_text), header))
        plan = parse_directive(asked)
        if plan.times is None:
            return plan
        key = f"{header}\0{user_text}"
        had = self._had.get(key, 0)
        if had >= plan.times:
            return NO_FAULT
        if len(self._had) >= _REMEMBERED_TEXTS:
            del self._had[next(iter(self._had))]
        self._had[key] = had + 1
        return plan
