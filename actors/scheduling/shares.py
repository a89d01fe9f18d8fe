"""Who was served how much: the counters of weighted fair queueing.

Each share (a client, or a class of traffic) has a virtual counter that its service advances by
cost over weight; those with small counters go next (Goyal, Vin, Cheng: Start-time Fair Queueing,
IEEE/ACM ToN 5(5), 1997; with token counts as cost: Sheng et al., Fairness in Serving Large
Language Models, OSDI 2024). A share that comes back from idle is lifted to the virtual time:
idling earns no credit. A share that used more than its part keeps that debt until the virtual
time has passed it, or nobody is left to whom it matters; idle shares without debt cost no memory.

Costs are estimates until calls end. The virtual time rises by estimates, so it falls again where
those who wait turn out to have used less; else a share that comes would wait until they have
caught up with all that was never used.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

_MOST_CREDIT = 4.0
"""Calls by which a share may be behind; more than what estimates that were too high leave."""

_SMOOTHING = 0.2

KeyT = TypeVar("KeyT", bound=Hashable)


class Share(Generic[KeyT]):
    """One holder of a counter."""

    __slots__ = (
        "counter", "in_flight", "key", "largest", "listed", "usual", "waiting", "weight",
    )  # fmt: skip

    def __init__(self, key: KeyT, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.counter = 0.0
        """Tokens served over weight, on the virtual time's scale."""
        self.waiting = 0
        """Flows of this share that have jobs waiting."""
        self.in_flight = 0
        """Calls whose cost is not settled yet."""
        self.largest = 0.0
        """The largest step that its counter has made."""
        self.usual = 0.0
        """How far its jobs usually move the counter once they are settled; 0: none was yet."""
        self.listed = False
        """Whether its table has it on the list of idle shares in debt."""

    @property
    def busy(self) -> bool:
        return self.waiting > 0 or self.in_flight > 0

    @property
    def opens_at(self) -> float:
        """The virtual time from which on it may be served: half a usual job before its own."""
        return self.counter - self.usual / 2

    def learn(self, cost: float) -> None:
        """A job turned out to have cost ``cost`` tokens."""
        step = cost / self.weight
        self.usual += (_SMOOTHING if self.usual else 1.0) * (step - self.usual)


class ShareTable(Generic[KeyT]):
    """The counters of all shares that matter now."""

    def __init__(self) -> None:
        self._shares: dict[KeyT, Share[KeyT]] = {}
        self._idle: list[tuple[float, int, Share[KeyT]]] = []
        self._serial = 0
        self._busy = 0
        self.virtual_time = 0.0

    def __len__(self) -> int:
        return len(self._shares)

    def enter(self, key: KeyT, weight: float) -> Share[KeyT]:
        """One more flow of ``key`` has jobs waiting."""
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share(key, weight)
        if not share.busy:
            self._busy += 1
        if not share.waiting:
            share.counter = max(share.counter, self.virtual_time)
        share.weight = weight
        share.waiting += 1
        return share

    def leave(self, share: Share[KeyT]) -> None:
        """One flow less has jobs waiting."""
        share.waiting -= 1
        self._retire(share)

    def start(self, share: Share[KeyT], cost: float) -> None:
        """The share is served next; ``cost`` (tokens) is an estimate until settled."""
        step = cost / share.weight
        share.largest = max(share.largest, step)
        # Waiting for a target that is closed for hours earns no credit at the others.
        share.counter = max(share.counter, self.virtual_time - _MOST_CREDIT * share.largest) + step
        share.in_flight += 1

    def advance(self, virtual_time: float) -> None:
        """Raise the virtual time; what is behind already lets it be."""
        if virtual_time > self.virtual_time:
            self.virtual_time = virtual_time
            self._forget_idle()

    def settle(self, share: Share[KeyT], charged: float, used: float) -> None:
        """A call that was started with a cost of ``charged`` tokens ended and has used ``used``;
        0: it comes to nothing."""
        correction = used - charged
        if used:
            share.learn(used)
        if share.waiting and correction < 0:
            self._fall_back(share, -correction / share.weight)
        share.counter += correction / share.weight
        share.in_flight -= 1
        self._retire(share)

    def _fall_back(self, share: Share[KeyT], refund: float) -> None:
        ahead = self.virtual_time - share.counter
        # Only to the counter before the refund: one more or less is no matter, and in a steady
        # flow of them the virtual time would fall and rise with every call. And not to a share
        # that is far behind for another reason, that it was waiting for a closed target.
        if 0 < ahead <= 2 * refund:
            self.virtual_time = share.counter

    def _retire(self, share: Share[KeyT]) -> None:
        if share.busy:
            return
        self._busy -= 1
        if not self._busy:
            self._shares.clear()
            self._idle.clear()
        elif share.counter <= self.virtual_time:
            del self._shares[share.key]
        else:
            self._list(share)

    def _list(self, share: Share[KeyT]) -> None:
        # A counter never falls below where it stood when nothing was in flight, so that one
        # entry, once it is due, tells of the share again.
        if not share.listed:
            share.listed = True
            self._serial += 1
            heapq.heappush(self._idle, (share.counter, self._serial, share))

    def _forget_idle(self) -> None:
        while self._idle and self._idle[0][0] <= self.virtual_time:
            _, _, share = heapq.heappop(self._idle)
            share.listed = False
            if share.busy or self._shares.get(share.key) is not share:
                continue
            if share.counter <= self.virtual_time:
                del self._shares[share.key]
            else:
                self._list(share)
