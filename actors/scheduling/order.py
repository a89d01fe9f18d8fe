"""The order of flows at one target: first come, first served, among the least served.

Fair queueing by counters alone has no order among equals: clients with equal jobs would be served
in the order of the rounding errors in their counters, and one that was first in one round and
last in the next would wait for two. So flows are served in *windows*: open is a flow whose client
is at most half a job ahead of the virtual time, and of the open flows the one whose job came
first goes next. When none is open the virtual time advances to the next one. Whoever was served
is behind until all others of the window were; so fairness is as without windows, but for half a
job. What counts as a job is what the client's jobs have cost lately: windows as wide as estimates
that are too high, and not alike, would let some be served many times before others are.
"""

from __future__ import annotations

import heapq
import itertools

from forebay.actors.scheduling.flows import Flow, Ticket
from forebay.actors.scheduling.shares import Share, ShareTable

_serials = itertools.count()
_SMALL = 64
"""Entries that are not worth tidying."""


class Entry:
    """A flow's place in one order; out of date once a newer one was made or its job is gone."""

    __slots__ = ("arrival", "flow", "live", "share")

    def __init__(self, flow: Flow, share: Share[str]) -> None:
        self.flow = flow
        self.share = share
        self.live = True
        self.arrival = -1

    def look(self) -> Ticket | None:
        """The flow's first job; notes its arrival."""
        ticket = self.flow.head()
        if ticket is not None:
            self.arrival = ticket.arrival
        return ticket


class FlowOrder:
    """The flows of one traffic class that wait for one target."""

    def __init__(self, shares: ShareTable[str]) -> None:
        self._shares = shares
        self._open: list[tuple[int, int, Entry]] = []
        self._closed: list[tuple[float, int, Entry]] = []
        self._tidy_at = _SMALL

    def __len__(self) -> int:
        """Entries held, with those that are out of date."""
        return len(self._open) + len(self._closed)

    def add(self, entry: Entry) -> None:
        """An entry whose flow has, or is about to have, a job waiting."""
        entry.look()
        self._insert(entry)
        if len(self) > self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """While a target is closed nobody gets to what is out of date behind its first job."""
        self._open[:] = [item for item in self._open if item[2].live]
        self._closed[:] = [item for item in self._closed if item[2].live]
        heapq.heapify(self._open)
        heapq.heapify(self._closed)
        self._tidy_at = max(_SMALL, 2 * len(self))

    def _insert(self, entry: Entry) -> None:
        if entry.share.opens_at <= self._shares.virtual_time:
            heapq.heappush(self._open, (entry.arrival, next(_serials), entry))
        else:
            heapq.heappush(self._closed, (entry.share.opens_at, next(_serials), entry))

    def first(self) -> tuple[Entry, Ticket] | Flow | None:
        """The next job of the open window, and its entry. A flow where one turned out to be
        empty: it was dropped; tell its lane and ask again. None: no open flow."""
        closed = self._closed
        virtual_time = self._shares.virtual_time
        while closed and closed[0][0] <= virtual_time:
            entry = heapq.heappop(closed)[2]
            if entry.live:
                heapq.heappush(self._open, (entry.arrival, next(_serials), entry))
        while self._open:
            arrival, _, entry = self._open[0]
            if not entry.live:
                heapq.heappop(self._open)
                continue
            ticket = entry.look()
            if ticket is None:
                heapq.heappop(self._open)
                return entry.flow
            if entry.arrival == arrival and entry.share.opens_at <= virtual_time:
                return entry, ticket
            heapq.heappop(self._open)
            self._insert(entry)
        return None

    def next_window(self) -> tuple[float, float] | None:
        """Where no flow is open: the tag of the closed flow that is next, and the virtual time
        that opens it. None: no flow waits."""
        while self._closed:
            tag, _, entry = self._closed[0]
            if entry.live and tag == entry.share.opens_at:
                return tag, entry.share.counter
            heapq.heappop(self._closed)
            if entry.live:
                heapq.heappush(self._closed, (entry.share.opens_at, next(_serials), entry))
        return None

    def set_aside(self, entry: Entry) -> None:
        """Take out the entry that ``first`` has just given."""
        assert self._open[0][2] is entry
        heapq.heappop(self._open)

    def bring_back(self, entry: Entry) -> None:
        """Undo :meth:`set_aside`, unless the entry is out of date."""
        if entry.live:
            self._insert(entry)

    @property
    def is_empty(self) -> bool:
        return not len(self)
