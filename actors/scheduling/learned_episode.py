"""What is kept of a place in the queue that an upstream refuses, until it is let through."""

from __future__ import annotations

from forebay.actors.scheduling.gates import Call
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_units import Sums


class Episode:
    """A place that is refused, until it is let through."""

    __slots__ = (
        "asked_wait", "candidate", "candidate_serial", "created", "crossed", "heard_serial",
        "last_at", "pace", "since", "sums", "times",
    )  # fmt: skip

    def __init__(self, since: float, pace: Pace | None) -> None:
        self.since = since
        """When the call was sent that was refused first."""
        self.pace = pace
        """The one whose bucket is believed to have refused."""
        self.last_at = since
        self.heard_serial = 0
        """The call that had been sent last when the last refusal was heard."""
        self.times = 0
        self.asked_wait = 0.0
        self.candidate: Call | None = None
        """The call that is sent again at this place."""
        self.candidate_serial = 0
        self.sums = Sums(0.0, 0.0, 0.0)
        self.created: Pace | None = None
        self.crossed = False
