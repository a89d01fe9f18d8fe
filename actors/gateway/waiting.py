"""Where jobs wait: the task of each session is parked in the channel of its own flow.

A :class:`Place` is a job's place in that order. The first job of a flow stands in front of the
channel, where pools see what it needs; those behind it are blocked in ``send``. So a client that
leaves is gone from the queue at once, nothing is stored twice, and the order between clients is
decided where they wait. A job that an upstream refused returns to the front, to its own place.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import trio

from forebay.actors.scheduling.flows import Flow, FlowKey, Ticket, TicketState
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Lane, Strategy
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import PoolTarget


@dataclass(frozen=True, slots=True)
class Blocker:
    """What a job was waiting for."""

    target: str
    gate: str
    seconds: float
    """Until the job would be expected to start."""


class WaitExpired(Exception):
    """The job's time to wait is up and it did not start."""

    def __init__(self, blocker: Blocker | None, position: int) -> None:
        super().__init__("the job could not start in the time it was given")
        self.blocker = blocker
        self.position = position
        """1: the next of its lane."""


class NoTargetLeft(Exception):
    """All targets of the lane are taken out; the message says why."""


class Place(Ticket):
    """One job's place, and the slot in which its grant arrives."""

    __slots__ = ("answered", "grant")

    def __init__(self, demand: Demand) -> None:
        super().__init__(demand)
        self.answered = trio.Event()
        self.grant: Grant | None = None

    def granted(self, grant: Grant) -> None:
        self.grant = grant
        self.answered.set()

    def reopen(self) -> None:
        """Wait again."""
        self.state = TicketState.WAITING
        self.grant = None
        self.answered = trio.Event()

    def abandon(self) -> None:
        """Nobody will use the grant that came in the moment of leaving, if one did."""
        if self.grant is not None:
            self.grant.finish(Outcome(ending=Ending.UNUSED), served=False, now=trio.current_time())


class ChannelFlow(Flow):
    """A flow whose waiting jobs are the blocked senders of a channel without a buffer."""

    def __init__(self, key: FlowKey, weight: float) -> None:
        super().__init__(key, weight)
        self.sender, self._receiver = trio.open_memory_channel[Place](0)
        self._front: list[tuple[int, Place]] = []
        self.members = 0
        """Sessions that wait here, wherever they stand."""
        self.enrolled = False
        """Whether pools look at this flow."""

    def head(self) -> Place | None:
        while self._front:
            place = self._front[0][1]
            if place.state is TicketState.WAITING:
                return place
            heapq.heappop(self._front)
        try:
            place = self._receiver.receive_nowait()
        except trio.WouldBlock:
            return None
        self.put_in_front(place)
        return place

    def take_head(self) -> Place:
        return heapq.heappop(self._front)[1]

    def put_in_front(self, place: Place) -> None:
        heapq.heappush(self._front, (place.arrival, place))

    def close(self) -> list[Place]:
        """Break the blocked senders; return the places in front."""
        self._receiver.close()
        self.sender.close()
        front = [place for _, place in self._front if place.state is TicketState.WAITING]
        self._front.clear()
        return front


class WaitingLane(Lane):
    """The waiting jobs of a model that the same targets can serve."""

    def __init__(
        self,
        targets: tuple[PoolTarget, ...],
        strategy: Strategy,
        on_idle: Callable[[], None],
    ) -> None:
        super().__init__(targets, strategy)
        self.pools: tuple[Pool, ...] = tuple(dict.fromkeys(target.pool for target in targets))
        self.flows: dict[FlowKey, ChannelFlow] = {}
        self._on_idle = on_idle
        self._closed: str | None = None

    # The life of a wait, in the session's own task.

    async def wait(self, place: Place, key: FlowKey, weight: float, deadline: float) -> Grant:
        """Wait for a grant; the caller owns it and must finish it.

        Raises:
            WaitExpired: ``deadline`` (trio's clock) has passed.
            NoTargetLeft: no target of the lane is left to serve the job.
        """
        flow = self._enter(place, key, weight)
        try:
            with trio.move_on_at(deadline):
                if not self._stand_in_front(flow, place):
                    await flow.sender.send(place)
                await place.answered.wait()
            return self._answer(place, flow)
        except trio.BrokenResourceError:
            raise NoTargetLeft(self._closed or "") from None
        except trio.Cancelled:
            place.abandon()
            raise
        finally:
            self._leave(flow, place)

    def put_back(self, place: Place, key: FlowKey, weight: float) -> None:
        """Return a job whose grant came to nothing to its own place. ``wait_again`` follows,
        in the same step of the task."""
        place.reopen()
        flow = self._enter(place, key, weight)
        flow.put_in_front(place)
        self._show(flow)

    async def wait_again(self, place: Place, key: FlowKey, deadline: float) -> Grant:
        """Like :meth:`wait`, after :meth:`put_back`."""
        flow = self.flows[key]
        try:
            if self._closed is not None:
                raise NoTargetLeft(self._closed)
            self.ring()
            with trio.move_on_at(deadline):
                await place.answered.wait()
            return self._answer(place, flow)
        except trio.Cancelled:
            place.abandon()
            raise
        finally:
            self._leave(flow, place)

    def _answer(self, place: Place, flow: ChannelFlow) -> Grant:
        if place.grant is not None:
            return place.grant
        if self._closed is not None:
            raise NoTargetLeft(self._closed)
        raise WaitExpired(self.blocker(place.demand), self._position(place, flow))

    def _enter(self, place: Place, key: FlowKey, weight: float) -> ChannelFlow:
        if self._closed is not None:
            raise NoTargetLeft(self._closed)
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = ChannelFlow(key, weight)
        if not self.waiting:
            for target in self.targets:
                target.lanes.add(self)
        flow.members += 1
        self.waiting += 1
        self.waiting_tokens += place.demand.tokens
        return flow

    def _stand_in_front(self, flow: ChannelFlow, place: Place) -> bool:
        """Where nobody of the flow is before it: let the pools look at the job at once."""
        if flow.enrolled:
            self.ring()
            return False
        flow.put_in_front(place)
        self._show(flow)
        now = trio.current_time()
        for pool in self.pools:
            pool.pump_at_once(now)
            if place.grant is not None:
                break
        return True

    def _show(self, flow: ChannelFlow) -> None:
        for pool in self.pools:
            if flow.enrolled:
                pool.refresh(flow)
            else:
                pool.enrol(flow, self)
        flow.enrolled = True

    def _leave(self, flow: ChannelFlow, place: Place) -> None:
        was_waiting = place.state is TicketState.WAITING
        if was_waiting:
            place.state = TicketState.GONE
        flow.members -= 1
        self.waiting -= 1
        self.waiting_tokens -= place.demand.tokens
        if not flow.members:
            if flow.enrolled:
                self.emptied(flow)
            flow.close()
            if self.flows.get(flow.key) is flow:
                del self.flows[flow.key]
        if not self.waiting:
            self.waiting_tokens = 0.0
            for target in self.targets:
                target.lanes.discard(self)
            self._on_idle()
        if was_waiting:
            # It may have been the first, with others behind it that need less.
            self.ring()

    # What pools and operators ask.

    def ring(self) -> None:
        for pool in self.pools:
            pool.ring()

    def emptied(self, flow: Flow) -> None:
        assert isinstance(flow, ChannelFlow)
        flow.enrolled = False
        for pool in self.pools:
            pool.withdraw(flow)

    def target_out(self) -> None:
        reasons = [f"{t.pool.name}/{t.name}: {t.out}" for t in self.targets if t.out is not None]
        if len(reasons) == len(self.targets):
            self.close("; ".join(reasons))

    def close(self, reason: str) -> None:
        """Nobody can be served here any more: everybody who waits is told so."""
        if self._closed is not None:
            return
        self._closed = reason
        for flow in list(self.flows.values()):
            if flow.enrolled:
                self.emptied(flow)
            for place in flow.close():
                place.answered.set()

    def blocker(self, demand: Demand) -> Blocker | None:
        """What a job that needs ``demand`` waits for, at the target that is free first."""
        now = trio.current_time()
        best: Blocker | None = None
        for target in self.targets:
            if target.out is not None:
                continue
            found = target.blocking_gate(demand, now)
            if found is not None and (best is None or found[1] < best.seconds):
                best = Blocker(f"{target.pool.name}/{target.name}", found[0].name, found[1])
        return best

    def _position(self, place: Place, flow: ChannelFlow) -> int:
        """By fair turns: one job of every other flow for each job before it in its own."""
        return min(self.waiting, len(self.flows)) if flow.head() is place else self.waiting
