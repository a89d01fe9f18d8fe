"""What is kept of a place in the queue that an upstream refuses, until it is let through."""

from __future__ import annotations

from forebay.actors.scheduling.gates import Call, Unit
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_units import NOTHING, Sums
from forebay.actors.scheduling.learned_window import LearnedWindow
from forebay.actors.scheduling.learned_window_search import Doubt


class Episode:
    """A place that is refused, until it is let through."""

    __slots__ = (
        "asked_wait", "began", "candidate", "candidate_serial", "counts", "created", "crossed",
        "doubt", "ends_silence", "heard_serial", "last_at", "pace", "refused_until", "since",
        "sums", "supposed", "times",
    )  # fmt: skip

    def __init__(self, since: float, pace: Pace | None, began: tuple[float, Sums]) -> None:
        self.since = since
        """When the call was sent that was refused first."""
        self.began = began
        """When calls were let through at first before it, and what had been sent by then."""
        self.pace = pace
        """The one whose bucket is believed to have refused."""
        self.last_at = since
        self.heard_serial = 0
        """The call that had been sent last when the last refusal was heard."""
        self.refused_until = since
        """When it would have been refused still, as far as is known."""
        self.times = 0
        self.asked_wait = 0.0
        """Seconds that the last refusal has asked for, where that says anything."""
        self.counts: dict[Unit, float] = {}
        """What had been sent before it within a usual window."""
        self.doubt: Doubt | None = None
        """Of the window that is known."""
        self.candidate: Call | None = None
        """The call that is sent again at this place."""
        self.candidate_serial = 0
        self.sums = NOTHING
        """What had been sent with it."""
        # What is learned if the candidate is let through:
        self.created: Pace | None = None
        self.crossed = False
        self.ends_silence = False
        """Whether it comes after seconds of refusals."""
        self.supposed: LearnedWindow | None = None

    @property
    def silence(self) -> float:
        """Seconds for which it was refused, as far as is known."""
        return self.refused_until - self.since

    def forget_candidate(self) -> None:
        """It was refused once more."""
        self.candidate = None
        self.created = None
        self.crossed = False
        self.ends_silence = False
        self.supposed = None
