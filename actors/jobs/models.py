"""Public models: the lanes in which their jobs wait.

:class:`Model` outlives restarts of its actor, so that a crash loses nobody's place.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import trio

from forebay.actors.jobs.waiting import WaitingLane
from forebay.actors.kernel import Actor, Message
from forebay.actors.providers.provider import Target
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.forecasts import Forecast, first_forecast, last_forecast
from forebay.actors.scheduling.preferences import Ordered, Preference, Sticky

_MOST_FLOWS = 16
"""Of one lane: each costs about a millisecond to describe."""


class Model:
    """What a client can ask for: an ordered list of targets, and a preference among them."""

    def __init__(
        self, name: str, preference: Preference | None = None, *, continues_broken: bool = False
    ) -> None:
        """
        Args:
            preference: of all its lanes; None: the earlier target is the better.
            continues_broken: a stream that breaks off is gone on with.
        """
        self.name = name
        self.continues_broken = continues_broken
        self._preference = Ordered() if preference is None else preference
        self.is_sticky = isinstance(preference, Sticky)
        """Conversations stay at their targets while they can."""
        self._lanes: dict[tuple[Target, ...], WaitingLane] = {}
        self._idle: tuple[tuple[Target, ...], WaitingLane] | None = None
        """The lane that was emptied last: where jobs rarely wait it is made only once."""
        self._closed: str | None = None
        self.is_retired = False
        """The configuration has changed: another one stands in its place, or none."""

    @property
    def waiting(self) -> int:
        """Jobs that wait for this model."""
        return sum(lane.waiting for lane in self._lanes.values())

    @property
    def lanes(self) -> tuple[WaitingLane, ...]:
        return tuple(self._lanes.values())

    def lane(self, targets: tuple[Target, ...]) -> WaitingLane:
        """The lane of the jobs that ``targets`` can serve; it lasts while jobs wait in it."""
        lane = self._lanes.get(targets)
        if lane is None and self._idle is not None and self._idle[0] == targets:
            lane = self._lanes[targets] = self._idle[1]
            self._idle = None
        if lane is None:
            lane = WaitingLane(
                tuple(target.pooled for target in targets),
                self._preference,
                on_idle=lambda: self._forget(targets),
            )
            self._lanes[targets] = lane
            if self.is_retired:
                lane.leave()
            elif self._closed is not None:
                lane.close(self._closed)
        return lane

    def _forget(self, targets: tuple[Target, ...]) -> None:
        lane = self._lanes.pop(targets)
        self._idle = None if lane.is_closed else (targets, lane)

    @property
    def preference(self) -> Preference:
        """What it remembers of conversations and turns."""
        return self._preference

    def retire(self) -> None:
        """Send everybody who waits, and everybody who comes, to find out anew who serves."""
        self.is_retired = True
        self._idle = None
        for lane in self.lanes:
            lane.leave()

    def close(self, reason: str) -> None:
        """Tell everybody who waits, and everybody who comes, that nobody will be served."""
        self._closed = reason
        self._idle = None
        for lane in self.lanes:
            lane.close(reason)


@dataclass(frozen=True, slots=True)
class ExpectedStart:
    """What one waiting job has to expect."""

    position: int
    """1: the next of all that wait for what it waits for, whatever they ask for."""
    in_seconds: float
    target: str
    blocked_by: str


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """The waiting jobs of one client, class and priority."""

    client: str
    traffic_class: str
    priority: str
    waiting: int
    first: ExpectedStart | None
    """Of its first job."""
    last: ExpectedStart | None
    """Of its last job; those between are expected evenly in between."""


@dataclass(frozen=True, slots=True)
class LaneStatus:
    targets: tuple[str, ...]
    waiting: int
    clients: dict[str, int]
    """Waiting jobs by client; ``name (batch)`` for those of the batch class."""
    flows: tuple[FlowStatus, ...]
    """The largest of them, the most waiting jobs first."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    name: str
    waiting: int
    lanes: tuple[LaneStatus, ...]


@dataclass(frozen=True, slots=True)
class DescribeModel(Message[ModelStatus]):
    """Ask for the model's queues."""


@dataclass(frozen=True, slots=True)
class CloseModel(Message[None]):
    """Send everybody away who waits."""

    reason: str


class ModelActor(Actor[DescribeModel | CloseModel]):
    """Answers for a model's queues, and closes them. The waiting itself is done by the tasks of
    the sessions, in the model's channels."""

    def __init__(self, model: Callable[[], Model]) -> None:
        """
        Args:
            model: the one that is configured now.
        """
        self._model = model

    async def handle(self, message: DescribeModel | CloseModel) -> ModelStatus | None:
        match message:
            case DescribeModel():
                return describe_model(self._model())
            case CloseModel(reason=reason):
                self._model().close(reason)
                return None


def describe_model(model: Model) -> ModelStatus:
    """What operators see of a model."""
    now = trio.current_time()
    return ModelStatus(
        name=model.name,
        waiting=model.waiting,
        lanes=tuple(
            LaneStatus(
                targets=tuple(target.full_name for target in lane.targets),
                waiting=lane.waiting,
                clients=_waiting_by_client(lane),
                flows=_largest_flows(lane, now),
            )
            for lane in model.lanes
        ),
    )


def _largest_flows(lane: WaitingLane, now: float) -> tuple[FlowStatus, ...]:
    flows = [flow for flow in lane.flows.values() if flow.head() is not None]
    return tuple(
        FlowStatus(
            client=flow.key.client,
            traffic_class=flow.key.traffic_class.value,
            priority=flow.key.priority.value,
            waiting=flow.waiting,
            first=_expected_start(first_forecast(lane, flow, now)),
            last=_expected_start(last_forecast(lane, flow, now)) if flow.waiting > 1 else None,
        )
        for flow in heapq.nlargest(_MOST_FLOWS, flows, key=lambda flow: flow.waiting)
    )


def _expected_start(expected: Forecast | None) -> ExpectedStart | None:
    if expected is None:
        return None
    seconds = round(expected.seconds, 3)
    name = expected.target.full_name
    return ExpectedStart(expected.position, seconds, name, expected.gate.name)


def _waiting_by_client(lane: WaitingLane) -> dict[str, int]:
    waiting: Counter[str] = Counter()
    for key, flow in lane.flows.items():
        is_usual = key.traffic_class is TrafficClass.INTERACTIVE
        waiting[key.client if is_usual else f"{key.client} ({key.traffic_class})"] += flow.waiting
    return dict(waiting)
