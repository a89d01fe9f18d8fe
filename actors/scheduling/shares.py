"""Who was served how much: the counters of weighted fair queueing.

Each share (a client, or a class of traffic) has a virtual counter that its service advances by
cost over weight; those with small counters go next (Goyal, Vin, Cheng: Start-time Fair Queueing,
IEEE/ACM ToN 5(5), 1997; with token counts as cost: Sheng et al., Fairness in Serving Large
Language Models, OSDI 2024). A share that comes back from idle is lifted to the virtual time:
idling earns no credit. A share that used more than its part keeps that debt until the virtual
time has passed it, or nobody is left to whom it matters; idle shares without debt cost no memory.

What calls cost is an estimate until they end, and often far too high. It counts for whose turn it
is, so that nobody gets many turns before the first of them is settled. But the virtual time goes
by what was really used: a share that comes would else be lifted over all that was never used.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

_MOST_CREDIT = 4.0
"""Of the largest calls of late: by so many a share may be behind."""
_FORGETTING = 0.9995
_SMOOTHING = 0.2

KeyT = TypeVar("KeyT", bound=Hashable)


class Share(Generic[KeyT]):
    """One holder of a counter."""

    __slots__ = (
        "counter", "in_flight", "key", "listed", "pending", "round", "settled", "usual", "waiting",
        "weight",
    )  # fmt: skip

    def __init__(self, key: KeyT, weight: float, usual: float) -> None:
        self.key = key
        self.weight = weight
        self.counter = 0.0
        """Tokens charged over weight, on the virtual time's scale."""
        self.pending = 0.0
        """The part of it that is not settled."""
        self.waiting = 0
        """Flows of this share that have jobs waiting."""
        self.in_flight = 0
        """Calls whose cost is not settled yet."""
        self.usual = usual
        """How far its jobs usually move the counter once they are settled."""
        self.settled = False
        """Whether any of its calls was, so that ``usual`` is its own and not that of others."""
        self.round = 0
        """Before this round of its table it has had its job of each."""
        self.listed = False
        """Whether its table has it on the list of idle shares in debt."""

    @property
    def busy(self) -> bool:
        return self.waiting > 0 or self.in_flight > 0

    @property
    def is_new(self) -> bool:
        """It has waited for its first job since it came."""
        return not self.settled and not self.in_flight

    @property
    def served(self) -> float:
        """The counter without estimates."""
        return self.counter - self.pending

    @property
    def opens_at(self) -> float:
        """Half a usual job before the counter: so much does not decide whose turn it is."""
        return self.counter - self.usual / 2


class ShareTable(Generic[KeyT]):
    """The counters of all shares that matter now."""

    def __init__(self) -> None:
        self._shares: dict[KeyT, Share[KeyT]] = {}
        self._idle: list[tuple[float, int, Share[KeyT]]] = []
        self._serial = 0
        self._busy = 0
        self._largest_step = 0.0
        """How far the largest call of late has moved a counter."""
        self._usual_cost = 0.0
        self.virtual_time = 0.0
        """What the share that was served last had really used until then; it never falls."""
        self.window_start = 0.0
        self.window_end = 0.0
        """Shares that open in this span take turns in the order in which their jobs came."""
        self.round = 0
        """Of the turns that shares take: the round of the job that was started last."""

    def __len__(self) -> int:
        return len(self._shares)

    def enter(self, key: KeyT, weight: float) -> Share[KeyT]:
        """One more flow of ``key`` has jobs waiting."""
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share(key, weight, self._usual_cost / weight)
        if not share.waiting:
            if not share.in_flight:
                self._busy += 1
            if share.counter < self.virtual_time:
                share.counter = self.virtual_time
        share.weight = weight
        share.waiting += 1
        return share

    def change_weight(self, share: Share[KeyT], weight: float) -> None:
        """Another weight from now on. What is not settled stays what it is in tokens."""
        share.counter -= share.pending
        share.pending *= share.weight / weight
        share.counter += share.pending
        share.usual *= share.weight / weight
        share.weight = weight

    def leave(self, share: Share[KeyT]) -> None:
        """One flow less has jobs waiting."""
        share.waiting -= 1
        if not share.waiting and not share.in_flight:
            self._retire(share)

    def round_of(self, share: Share[KeyT]) -> int:
        """In which round the next job of ``share`` starts: it makes up for none that it missed."""
        own = share.round
        if own < self.round:
            own = self.round
        return own

    def open_window(self, share: Share[KeyT]) -> None:
        """It is the turn of ``share``, and of all that are no more than half a job from it."""
        self.window_start, self.window_end = share.opens_at, share.counter

    def start(self, share: Share[KeyT], cost: float) -> None:
        """A job of ``share``, that has some waiting, is served next; ``cost`` (tokens) is an
        estimate until settled."""
        counter = share.counter
        served = counter - share.pending
        if served > self.virtual_time:
            self.virtual_time = served
            if self._idle:
                self._forget_idle()
        step = cost / share.weight
        largest = self._largest_step * _FORGETTING
        if largest < step:
            largest = step
        self._largest_step = largest
        # Waiting for a target that is closed for hours earns no credit at the others.
        least = self.virtual_time - _MOST_CREDIT * largest
        if counter < least:
            counter = least
        share.counter = counter + step
        share.pending += step
        share.in_flight += 1
        if share.round > self.round:
            self.round = share.round
        share.round = self.round + 1

    def settle(self, share: Share[KeyT], charged: float, used: float) -> None:
        """A call that was started with a cost of ``charged`` tokens ended and has used ``used``;
        0: it comes to nothing."""
        weight = share.weight
        share.counter += (used - charged) / weight
        share.in_flight -= 1
        share.pending = share.pending - charged / weight if share.in_flight else 0.0
        if used:
            step = used / weight
            if share.settled:
                share.usual += _SMOOTHING * (step - share.usual)
            else:
                share.usual = step
                share.settled = True
            self._largest_step *= _FORGETTING
            if self._largest_step < step:
                self._largest_step = step
            self._usual_cost += _SMOOTHING * (used - self._usual_cost)
        else:
            share.round -= 1
        if not share.in_flight and not share.waiting:
            self._retire(share)

    def _retire(self, share: Share[KeyT]) -> None:
        """It is not busy any more."""
        self._busy -= 1
        if not self._busy:
            self._shares.clear()
            self._idle.clear()
            self.window_start = self.window_end = self.virtual_time
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
