"""Public models: the lanes in which their jobs wait.

:class:`Model` outlives restarts of its actor, so that a crash loses nobody's place.
"""

from __future__ import annotations

from dataclasses import dataclass

from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.waiting import WaitingLane
from forebay.actors.kernel import Actor, Message
from forebay.actors.scheduling.lanes import Strategy


class Model:
    """What a client can ask for: an ordered list of targets, with a strategy."""

    def __init__(self, name: str, strategy: Strategy = Strategy.ORDERED) -> None:
        self.name = name
        self._strategy = strategy
        self._lanes: dict[tuple[Target, ...], WaitingLane] = {}
        self._closed: str | None = None

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
        if lane is None:
            lane = WaitingLane(
                tuple(target.pooled for target in targets),
                self._strategy,
                on_idle=lambda: self._forget(targets),
            )
            self._lanes[targets] = lane
            if self._closed is not None:
                lane.close(self._closed)
        return lane

    def _forget(self, targets: tuple[Target, ...]) -> None:
        del self._lanes[targets]

    def close(self, reason: str) -> None:
        """Tell everybody who waits, and everybody who comes, that nobody will be served."""
        self._closed = reason
        for lane in self.lanes:
            lane.close(reason)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    targets: tuple[str, ...]
    waiting: int
    clients: dict[str, int]
    """Waiting jobs by client; ``name (batch)`` for those of the batch class."""


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

    def __init__(self, model: Model) -> None:
        self._model = model

    async def handle(self, message: DescribeModel | CloseModel) -> ModelStatus | None:
        match message:
            case DescribeModel():
                return describe_model(self._model)
            case CloseModel(reason=reason):
                self._model.close(reason)
                return None


def describe_model(model: Model) -> ModelStatus:
    """What operators see of a model."""
    return ModelStatus(
        name=model.name,
        waiting=model.waiting,
        lanes=tuple(
            LaneStatus(
                targets=tuple(f"{target.pool.name}/{target.name}" for target in lane.targets),
                waiting=lane.waiting,
                clients={
                    key.client
                    if key.traffic_class == "interactive"
                    else f"{key.client} ({key.traffic_class})": flow.members
                    for key, flow in lane.flows.items()
                },
            )
            for lane in model.lanes
        ),
    )
