"""The calls under way at a limit that is being learned, in the order in which they were sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from forebay.actors.scheduling.gates import Call
from forebay.actors.scheduling.learned_units import Sums


class Sent(NamedTuple):
    """A call under way."""

    serial: int
    """Calls of one instant have an order, too."""
    level: int
    """How many were in flight, with it."""
    before: Sums
    """What had been sent before it."""


class CallsUnderWay:
    """From the oldest to the latest."""

    def __init__(self) -> None:
        self._sent: dict[Call, Sent] = {}
        self.serial = 0
        """Of the call that was sent last."""

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._sent)

    def get(self, call: Call) -> Sent | None:
        return self._sent.get(call)

    def add(self, call: Call, before: Sums) -> int:
        """``call`` is sent, and is so many-th in flight."""
        self.serial += 1
        level = len(self._sent) + 1
        self._sent[call] = Sent(self.serial, level, before)
        return level

    def remove(self, call: Call) -> None:
        del self._sent[call]

    def remove_refused(self, refused: Call) -> Sent:
        """A refused call never held a slot: those that were sent after it were fewer by one."""
        sent = self._sent
        is_later = False
        for call, (serial, level, before) in sent.items():
            if call is refused:
                is_later = True
            elif is_later:
                sent[call] = Sent(serial, level - 1, before)
        return sent.pop(refused)

    def older_than(self, seconds: float, now: float) -> int:
        """How many were sent longer ago than that."""
        young = 0
        for call in reversed(self._sent):
            if now - call.started_at > seconds:
                break
            young += 1
        return len(self._sent) - young
