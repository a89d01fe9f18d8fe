"""What is kept of a call under way, and of a place in the queue that an upstream refuses."""

from __future__ import annotations

from typing import NamedTuple

from forebay.actors.scheduling.gates import Call
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_units import Sums


class Sent(NamedTuple):
    """A call under way."""

    level: int
    """How many were in flight, with it."""
    before: Sums
    """What had been sent before it."""


class Episode:
    """A place that is refused, until it is let through."""

    __slots__ = (
        "asked_wait", "candidate", "created", "crossed", "heard_at", "last_at", "pace", "since",
        "sums", "times",
    )  # fmt: skip

    def __init__(self, since: float, pace: Pace | None) -> None:
        self.since = since
        """When the call was sent that was refused first."""
        self.pace = pace
        """The one whose bucket is believed to have refused."""
        self.last_at = since
        self.heard_at = since
        self.times = 0
        self.asked_wait = 0.0
        self.candidate: Call | None = None
        """The call that is sent again at this place."""
        self.sums = Sums(0.0, 0.0, 0.0)
        self.created: Pace | None = None
        self.crossed = False
