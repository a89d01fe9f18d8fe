"""Where jobs wait: the task of each session is parked in the channel of its own flow.

A :class:`~forebay.actors.jobs.places.Place` is a job's place in that order. The first job of a
flow stands in front of the channel, where pools see what it needs; those behind it are blocked in
``send``. So a client that leaves is gone from the queue at once, nothing is stored twice, and the
order between clients is decided where they wait. A job that an upstream refused returns to the
front, to its own place.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, TypeAlias

import trio

from forebay.actors.jobs.places import Place, Prospect, prospect_of
from forebay.actors.scheduling.flows import Flow, FlowKey, TicketState
from forebay.actors.scheduling.forecasts import forecast
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Lane
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.preferences import Preference
from forebay.actors.scheduling.targets import PoolTarget

_WAITING: Final = TicketState.WAITING


class WaitExpired(Exception):
    """The job's time to wait is up and it did not start."""

    def __init__(self, prospect: Prospect | None) -> None:
        """
        Args:
            prospect: had it gone on waiting; None: nothing can be said.
        """
        super().__init__("the job could not start in the time it was given")
        self.blocker = None if prospect is None else prospect.blocker
        self.position = 1 if prospect is None else prospect.position


class NoTargetLeft(Exception):
    """All targets of the lane are taken out; the message says why."""


class ServedElsewhere(Exception):
    """The configuration has changed: whoever may serve the job now must be found anew."""


_Channel: TypeAlias = tuple[trio.MemorySendChannel["Place"], trio.MemoryReceiveChannel["Place"]]


class ChannelFlow(Flow):
    """A flow whose waiting jobs are the blocked senders of a channel without a buffer."""

    def __init__(self, key: FlowKey, weight: float) -> None:
        super().__init__(key, weight)
        self._channel: _Channel | None = None
        """Made when the first job must stand behind another."""
        self._front: list[tuple[int, Place]] = []
        self.enrolled = False
        """Whether pools look at this flow."""

    def head(self) -> Place | None:
        while self._front:
            place = self._front[0][1]
            if place.state is _WAITING:
                return place
            heapq.heappop(self._front)
        if self._channel is None:
            return None
        try:
            place = self._channel[1].receive_nowait()
        except trio.WouldBlock:
            return None
        self.put_in_front(place)
        return place

    async def stand_behind(self, place: Place) -> None:
        """Wait for a place in front.

        Raises:
            trio.BrokenResourceError: the flow was closed.
        """
        if self._channel is None:
            self._channel = trio.open_memory_channel[Place](0)
        await self._channel[0].send(place)

    def take_head(self) -> Place:
        return heapq.heappop(self._front)[1]

    def put_in_front(self, place: Place) -> None:
        heapq.heappush(self._front, (place.arrival, place))

    def close(self) -> list[Place]:
        """Break the blocked senders; return the places in front."""
        if self._channel is not None:
            sender, receiver = self._channel
            # In this order, so that senders are told that nobody receives any more.
            receiver.close()
            sender.close()
        front = [place for _, place in self._front if place.state is _WAITING]
        self._front.clear()
        return front


class WaitingLane(Lane):
    """The waiting jobs of a model that the same targets can serve."""

    def __init__(
        self,
        targets: tuple[PoolTarget, ...],
        preference: Preference,
        on_idle: Callable[[], None],
    ) -> None:
        super().__init__(targets, preference)
        self.pools: tuple[Pool, ...] = tuple(dict.fromkeys(target.pool for target in targets))
        self.flows: dict[FlowKey, ChannelFlow] = {}
        self._on_idle = on_idle
        self._closed: str | None = None
        self._is_left = False

    @property
    def is_closed(self) -> bool:
        """Nobody can wait here any more."""
        return self._closed is not None

    # The life of a wait, in the session's own task.

    async def wait(self, place: Place, key: FlowKey, weight: float, deadline: float) -> Grant:
        """Wait for a grant; the caller owns it and must finish it.

        Raises:
            WaitExpired: ``deadline`` (trio's clock) has passed.
            NoTargetLeft: no target of the lane is left to serve the job.
        """
        flow = self._enter(place, key, weight)
        try:
            in_front = self._stand_in_front(flow, place)
            if place.grant is not None:
                await trio.lowlevel.checkpoint()
                return place.grant
            if deadline <= trio.current_time():
                # Who does not wait at all stands in nobody's way, not for a moment.
                return self._answer(place, flow)
            with trio.CancelScope(deadline=deadline):
                if not in_front:
                    await flow.stand_behind(place)
                if not place.is_granted:
                    await place.answered.wait()
                else:
                    await trio.lowlevel.checkpoint_if_cancelled()
            return self._answer(place, flow)
        except trio.BrokenResourceError:
            raise self._end() from None
        except trio.Cancelled:
            place.abandon()
            raise
        finally:
            self._leave(flow, place)

    def put_back(self, place: Place, key: FlowKey, weight: float) -> None:
        """Return a job whose grant came to nothing to its own place. ``wait_again`` follows,
        in the same step of the task."""
        place.reopen()
        flow = self._enter(place, key, weight, returns=True)
        flow.put_in_front(place)
        self._show(flow)

    def take_in(self, place: Place, key: FlowKey, weight: float) -> None:
        """Let a job that has waited elsewhere stand where it would stand had it waited here.
        ``wait_again`` follows, in the same step of the task."""
        flow = self._enter(place, key, weight, arrived_before=True)
        flow.put_in_front(place)
        self._show(flow)

    async def wait_again(
        self, place: Place, key: FlowKey, deadline: float, *, at_once: bool = True
    ) -> Grant:
        """Like :meth:`wait`, after :meth:`put_back` or :meth:`take_in`.

        Args:
            at_once: let pools look at it now; else once all have come who come at the same time.
        """
        flow = self.flows[key]
        try:
            if self._closed is not None:
                raise self._end()
            if at_once:
                # Whoever can't wait at all may still start where there is room.
                self._let_pools_look_at(place)
            else:
                self.ring()
            with trio.CancelScope(deadline=deadline):
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
            raise self._end()
        raise WaitExpired(prospect_of(forecast(self, flow, place, trio.current_time())))

    def _end(self) -> NoTargetLeft | ServedElsewhere:
        """What those hear who wait in a lane that is closed."""
        return ServedElsewhere() if self._is_left else NoTargetLeft(self._closed or "")

    def _enter(
        self,
        place: Place,
        key: FlowKey,
        weight: float,
        *,
        returns: bool = False,
        arrived_before: bool = False,
    ) -> ChannelFlow:
        if self._closed is not None:
            raise self._end()
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = ChannelFlow(key, weight)
        place.stands_in(self, flow)
        self.count_in(flow, place, returns=returns, arrived_before=arrived_before)
        return flow

    def _stand_in_front(self, flow: ChannelFlow, place: Place) -> bool:
        """Where nobody of the flow is before it: let the pools look at the job at once."""
        if flow.head() is not None:
            return False
        flow.put_in_front(place)
        self._show(flow)
        self._let_pools_look_at(place)
        return True

    def _let_pools_look_at(self, place: Place) -> None:
        now = trio.current_time()
        for pool in self.pools:
            if place.grant is not None:
                return
            pool.pump_for(self, now)

    def _show(self, flow: ChannelFlow) -> None:
        for pool in self.pools:
            if flow.enrolled:
                pool.refresh(flow)
            else:
                pool.enrol(flow, self)
        flow.enrolled = True

    def _leave(self, flow: ChannelFlow, place: Place) -> None:
        was_waiting = place.state is _WAITING
        if was_waiting:
            place.state = TicketState.GONE
        self.count_out(flow, place)
        if not flow.waiting:
            if flow.enrolled:
                self.emptied(flow)
            flow.close()
            if self.flows.get(flow.key) is flow:
                del self.flows[flow.key]
        if not self.waiting:
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

    def leave(self) -> None:
        """Nobody waits here any more: everybody finds out anew who may serve the job."""
        self._is_left = self._closed is None
        self.close("the configuration has changed")

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
