"""Who was served how much: the counters of weighted fair queueing.

Each share (a client, or a class of traffic) has a virtual counter that its service advances by
cost over weight; those with small counters go next (Goyal, Vin, Cheng: Start-time Fair Queueing,
IEEE/ACM ToN 5(5), 1997; with token counts as cost: Sheng et al., Fairness in Serving Large
Language Models, OSDI 2024). A share that comes back from idle is lifted to the virtual time:
idling earns no credit. A share that used more than its part keeps that debt until the virtual
time has passed it; idle shares without debt cost no memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class Share(Generic[KeyT]):
    """One holder of a counter."""

    __slots__ = ("counter", "in_flight", "key", "waiting", "weight")

    def __init__(self, key: KeyT, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.counter = 0.0
        """Tokens served over weight, on the virtual time's scale."""
        self.waiting = 0
        """Flows of this share that have jobs waiting."""
        self.in_flight = 0
        """Calls whose cost is not settled yet."""


class ShareTable(Generic[KeyT]):
    """The counters of all shares that matter now."""

    def __init__(self) -> None:
        self._shares: dict[KeyT, Share[KeyT]] = {}
        self._idle: list[tuple[float, int, Share[KeyT]]] = []
        self._serial = 0
        self.virtual_time = 0.0

    def __len__(self) -> int:
        return len(self._shares)

    def enter(self, key: KeyT, weight: float, *, lift: bool = True) -> Share[KeyT]:
        """One more flow of ``key`` has jobs waiting.

        Args:
            lift: False where a job comes back to its own place: its cost was taken back, and a
                lift would cost it that place.
        """
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share(key, weight)
            share.counter = self.virtual_time
        elif lift and share.waiting == 0:
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
        share.counter += cost / share.weight
        share.in_flight += 1

    def advance(self, virtual_time: float) -> None:
        """Raise the virtual time; it never falls."""
        if virtual_time > self.virtual_time:
            self.virtual_time = virtual_time
            self._forget_idle()

    def settle(self, share: Share[KeyT], correction: float) -> None:
        """A started call ended: add ``correction`` tokens (mostly negative) to its cost."""
        share.counter += correction / share.weight
        share.in_flight -= 1
        self._retire(share)

    def _retire(self, share: Share[KeyT]) -> None:
        if share.waiting or share.in_flight:
            return
        if share.counter <= self.virtual_time:
            self._shares.pop(share.key, None)
        else:
            self._serial += 1
            heapq.heappush(self._idle, (share.counter, self._serial, share))

    def _forget_idle(self) -> None:
        while self._idle and self._idle[0][0] <= self.virtual_time:
            _, _, share = heapq.heappop(self._idle)
            if not (share.waiting or share.in_flight) and (
                self._shares.get(share.key) is share and share.counter <= self.virtual_time
            ):
                del self._shares[share.key]
