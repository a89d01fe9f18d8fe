"""The places of jobs that wait, and what they have to expect there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from forebay.actors.scheduling.flows import Ticket, TicketState
from forebay.actors.scheduling.forecasts import Forecast, forecast
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.targets import PoolTarget

if TYPE_CHECKING:
    from forebay.actors.jobs.waiting import ChannelFlow, WaitingLane

_WAITING: Final = TicketState.WAITING


@dataclass(frozen=True, slots=True)
class Blocker:
    """What a job waits for."""

    target: str
    gate: str
    seconds: float
    """Until the job is expected to start; for one that has given up, until it would have started,
    had it gone on waiting."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a job that waits has to expect."""

    blocker: Blocker
    position: int
    """1: the next of all that wait for what holds it back."""


def prospect_of(expected: Forecast | None) -> Prospect | None:
    if expected is None:
        return None
    blocker = Blocker(expected.target.full_name, expected.gate.name, expected.seconds)
    return Prospect(blocker, expected.position)


class Place(Ticket):
    """One job's place, and the slot in which its grant arrives."""

    __slots__ = ("_answered", "_flow", "_lane", "grant")

    def __init__(
        self,
        demand: Demand,
        *,
        demands: Mapping[PoolTarget, Demand] | None = None,
        conversation: int | None = None,
        streams: bool = False,
        deadline: float = inf,
    ) -> None:
        super().__init__(
            demand,
            demands=demands,
            conversation=conversation,
            streams=streams,
            deadline=deadline,
        )
        self._answered: trio.Event | None = None
        """Only if somebody waits for it, or it was set."""
        self.grant: Grant | None = None
        self._lane: WaitingLane | None = None
        self._flow: ChannelFlow | None = None

    @property
    def answered(self) -> trio.Event:
        """Set when a grant is there, or none will come here."""
        event = self._answered
        if event is None:
            event = self._answered = trio.Event()
            if self.grant is not None:
                event.set()
        return event

    def stands_in(self, lane: WaitingLane, flow: ChannelFlow) -> None:
        """It begins to wait there."""
        self._lane, self._flow = lane, flow

    def prospect(self) -> Prospect | None:
        """What it has to expect now. None: it does not wait, or nothing can be said."""
        lane, flow = self._lane, self._flow
        if lane is None or flow is None or self.state is not _WAITING:
            return None
        return prospect_of(forecast(lane, flow, self, trio.current_time()))

    def goes_on_from(self, before: Place) -> None:
        """It is the place of the same job, which was waiting at ``before``."""
        self.arrival = before.arrival
        self.calls_before, self.tokens_before = before.calls_before, before.tokens_before

    def granted(self, grant: Grant) -> None:
        self.grant = grant
        if self._answered is not None:
            self._answered.set()

    @property
    def is_granted(self) -> bool:
        return self.grant is not None

    def reopen(self) -> None:
        """Wait again."""
        self.state = _WAITING
        self.grant = None
        self._answered = None

    def abandon(self) -> None:
        """Nobody will use the grant that came in the moment of leaving, if one did."""
        if self.grant is not None:
            self.grant.finish(Outcome(ending=Ending.UNUSED), served=False, now=trio.current_time())


class Outlook:
    """What the jobs of one request have to expect while they wait, for whoever holds its answer."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: tuple[Place, ...] = ()

    def watch(self, place: Place) -> None:
        """One of the jobs has this place."""
        if self._places:
            still_there = (each for each in self._places if each.state is not TicketState.GONE)
            self._places = (*still_there, place)
        else:
            self._places = (place,)

    def prospect(self) -> Prospect | None:
        """Of the job that is expected to start last. None: none waits."""
        prospects = [each for place in self._places if (each := place.prospect()) is not None]
        return max(prospects, key=lambda each: each.blocker.seconds, default=None)
