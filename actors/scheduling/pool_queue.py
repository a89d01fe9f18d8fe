"""Who waits at a pool, and whose turn it is.

The flows that have jobs waiting stand in an order at each target that can serve them. Which of all
these first jobs is next follows from what their classes and clients were served. What may hold the
next one back, and what is granted, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from forebay.actors.scheduling.flows import Flow, TrafficClass
from forebay.actors.scheduling.gates import Gate
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.order import Candidate, Entry, FlowOrder
from forebay.actors.scheduling.shares import Share, ShareTable
from forebay.actors.scheduling.standing import Standing
from forebay.actors.scheduling.turnover import Turnover

if TYPE_CHECKING:
    from forebay.actors.scheduling.pool import Pool
    from forebay.actors.scheduling.targets import PoolTarget


@dataclass(slots=True, eq=False)
class Enrolment:
    """A flow with jobs waiting, at one pool."""

    flow: Flow
    lane: Lane
    targets: tuple[PoolTarget, ...]
    """Those of the lane that are this pool's."""
    standing: Standing
    clients: ShareTable[str]
    """Of its class."""
    class_share: Share[TrafficClass]
    entries: dict[PoolTarget, Entry] = field(default_factory=dict)


class _Class:
    """A class of traffic at one pool."""

    __slots__ = ("clients", "share", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.clients: ShareTable[str] = ShareTable()
        self.share: Share[TrafficClass] | None = None
        """None: nobody has asked yet."""


First: TypeAlias = "tuple[PoolTarget, FlowOrder, Candidate]"
"""The job that is next, and where."""


class PoolQueue:
    """All who wait at one pool."""

    def __init__(self, pool: Pool, batch_share: float) -> None:
        """
        Args:
            batch_share: as of :class:`~forebay.actors.scheduling.pool.Pool`.
        """
        self._pool = pool
        self._class_shares: ShareTable[TrafficClass] = ShareTable()
        weights = _class_weights(batch_share)
        self._classes = {each: _Class(weights[each]) for each in TrafficClass}
        self.enrolled: dict[Flow, Enrolment] = {}
        """Flows that have jobs waiting, or are about to be found without."""
        self.choices = 0
        """Flows of these whose jobs may go to more than one target."""
        self._standings: dict[Share[str], Standing] = {}
        self._active: dict[PoolTarget, None] = {}
        """Targets that somebody may wait for; ordered, so that the same always comes out."""
        self.turnover = Turnover()

    def change_batch_share(self, batch_share: float) -> None:
        """As of the constructor; for whoever comes from now on, and for those who wait."""
        weights = _class_weights(batch_share)
        for traffic_class, each in self._classes.items():
            each.weight = weights[traffic_class]
            if each.share is not None:
                self._class_shares.change_weight(each.share, each.weight)

    # Which flows have jobs waiting.

    def enrol(self, flow: Flow, lane: Lane) -> None:
        """``flow`` of ``lane`` begins to have jobs waiting."""
        key = flow.key
        of_class = self._classes[key.traffic_class]
        share = of_class.clients.enter(key.client, flow.weight)
        class_share = self._class_shares.enter(key.traffic_class, of_class.weight)
        of_class.share = class_share
        standing = self._standings.get(share)
        if standing is None:
            standing = self._standings[share] = Standing(share)
            late = share.counter - of_class.clients.virtual_time
            self.turnover.came(key.traffic_class, late / share.usual if share.usual else 0.0)
        targets = lane.targets
        if len(targets) > 1:
            self.choices += 1
            targets = tuple(target for target in targets if target.pool is self._pool)
        enrolment = self.enrolled[flow] = Enrolment(
            flow, lane, targets, standing, of_class.clients, class_share
        )
        if standing.enter(flow):
            self._push_all(standing)
        else:
            self._push(enrolment)

    def refresh(self, flow: Flow) -> None:
        """A job came back to the front of an enrolled flow."""
        enrolment = self.enrolled[flow]
        if enrolment.standing.note(flow):
            self._push_all(enrolment.standing)
        else:
            self._push(enrolment)

    def _push_all(self, standing: Standing) -> None:
        """The client's jobs go before where they stood. Entries are looked at lazily, which finds
        those that have fallen behind but not these."""
        for flow in standing.flows:
            self._push(self.enrolled[flow])

    def _push(self, enrolment: Enrolment) -> None:
        flow, entries = enrolment.flow, enrolment.entries
        for target in enrolment.targets:
            if target.out is not None:
                continue
            if (old := entries.get(target)) is not None:
                old.live = False
            entry = entries[target] = Entry(flow, enrolment.standing)
            order = target.orders.get(flow.key.traffic_class)
            if order is None:
                order = target.orders[flow.key.traffic_class] = FlowOrder(enrolment.clients)
            order.add(entry)
            self._active[target] = None

    def withdraw(self, flow: Flow) -> None:
        """``flow`` has no job waiting any more."""
        enrolment = self.enrolled.pop(flow)
        for entry in enrolment.entries.values():
            entry.live = False
        if len(enrolment.lane.targets) > 1:
            self.choices -= 1
        standing = enrolment.standing
        standing.leave(flow)
        if not standing.flows:
            del self._standings[standing.share]
            if not standing.taken:
                self.turnover.gave_up(flow.key.traffic_class)
        enrolment.clients.leave(standing.share)
        self._class_shares.leave(enrolment.class_share)
        if not self.enrolled:
            for target in self._active:
                for order in target.orders.values():
                    order.forget_all()
            self._active.clear()

    def forget_target(self, target: PoolTarget) -> None:
        """Nobody can wait for it any more."""
        target.orders.clear()
        self._active.pop(target, None)

    def bring_back(self, target: PoolTarget) -> None:
        """The target serves again, also those who wait already."""
        for enrolment in self.enrolled.values():
            if target in enrolment.targets:
                self._push(enrolment)

    # What they are served.

    def start(self, enrolment: Enrolment, tokens: float) -> None:
        """A job of the flow is granted that is thought to take so many tokens."""
        standing = enrolment.standing
        standing.taken += 1
        self.turnover.granted(enrolment.class_share.key)
        enrolment.clients.start(standing.share, tokens)
        self._class_shares.start(enrolment.class_share, tokens)

    def settle(
        self, share: Share[str], class_share: Share[TrafficClass], *, charged: float, used: float
    ) -> None:
        """What was started has ended: it was charged so many tokens and has used so many."""
        opened_at = share.opens_at
        self._classes[class_share.key].clients.settle(share, charged, used)
        self._class_shares.settle(class_share, charged, used)
        if used:
            self.turnover.settled(charged, used)
        if share.opens_at < opened_at and (standing := self._standings.get(share)) is not None:
            self._push_all(standing)

    # Whose turn it is.

    @property
    def only_target(self) -> PoolTarget | None:
        """The target that all wait for; None: they wait for several."""
        if len(self._active) != 1:
            return None
        (target,) = self._active
        return target

    def first(self, blocked: AbstractSet[Gate]) -> First | None:
        """The job that is next among the targets that are served and that none of ``blocked``
        bars."""
        only = self.only_target
        if only is not None:
            if (blocked or only.out is not None) and not only.is_open(blocked):
                return None
            if len(only.orders) == 1:
                return self._first_of_class((only,), *only.orders)
            targets = [only]
        else:
            targets = [target for target in self._active if target.is_open(blocked)]
            if not targets:
                return None
        best: First | None = None
        best_counter = inf
        for traffic_class, each in self._classes.items():
            if each.share is None or each.share.counter >= best_counter:
                continue
            found = self._first_of_class(targets, traffic_class)
            if found is not None:
                best, best_counter = found, each.share.counter
        return best

    def _first_of_class(
        self, targets: Sequence[PoolTarget], traffic_class: TrafficClass
    ) -> First | None:
        best: First | None = None
        for target in targets:
            order = target.orders.get(traffic_class)
            if order is None:
                continue
            first = order.first()
            while not (first is None or isinstance(first, Candidate)):
                self.enrolled[first].lane.emptied(first)
                first = order.first()
            if first is None:
                if all(order.is_empty for order in target.orders.values()):
                    self._active.pop(target, None)
            elif best is None or first.rank < best[2].rank:
                best = (target, order, first)
        return best

    def set_aside(self, first: First) -> None:
        """Take out what :meth:`first` has just given."""
        _, order, candidate = first
        order.set_aside(candidate.entry)

    def put_back(self, aside: Sequence[First]) -> None:
        """Undo :meth:`set_aside`."""
        for target, order, candidate in aside:
            order.bring_back(candidate.entry)
            self._active[target] = None

    # What forecasts ask.

    @property
    def standings(self) -> Mapping[Share[str], Standing]:
        """Of all clients with jobs waiting; one that has jobs of both classes is there twice."""
        return self._standings

    @property
    def remembered_clients(self) -> int:
        """Clients with a counter: with jobs that wait or are under way, or with a debt to those
        that have."""
        return sum(len(each.clients) for each in self._classes.values())

    def standing_of(self, flow: Flow) -> Standing | None:
        """None: no job waits in ``flow``."""
        enrolment = self.enrolled.get(flow)
        return None if enrolment is None else enrolment.standing

    def lane_of(self, flow: Flow) -> Lane:
        """Of a flow that has jobs waiting."""
        return self.enrolled[flow].lane

    def virtual_time(self, traffic_class: TrafficClass) -> float:
        """How far clients of the class have come that are served."""
        return self._classes[traffic_class].clients.virtual_time

    def class_share(self, traffic_class: TrafficClass) -> Share[TrafficClass] | None:
        """None: it was never asked for."""
        return self._classes[traffic_class].share


def _class_weights(batch_share: float) -> dict[TrafficClass, float]:
    return {TrafficClass.INTERACTIVE: 100 - batch_share, TrafficClass.BATCH: batch_share}
