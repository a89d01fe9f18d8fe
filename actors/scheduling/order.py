"""The order of flows at one target: first come, first served, among the least served.

Fair queueing by counters alone has no order among equals: clients with equal jobs would be served
in the order of the rounding errors in their counters, and one that was first in one round and
last in the next would wait for two. So flows are served in *windows*: open are the flows whose
clients are at most half a job from the one whose turn it is, and of the open flows the one whose
job came first goes next. When none is open the window moves on. Whoever was served is behind
until all others of the window were; so fairness is as without windows, but for half a job. What
counts as a job is what the client's jobs have cost lately: windows as wide as estimates that are
too high, and not alike, would let some be served many times before others are.

Before all that are open come those that are *late*: their clients were charged too much for calls
that have ended since, or are new, while all others have calls under way.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

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


class Turn(IntEnum):
    """Where a flow stands to the window."""

    LATE = 0
    OPEN = 1
    CLOSED = 2


Rank: TypeAlias = tuple[Turn, float, int]
"""Whose turn, where clients differ; among equals who came first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The job that is next at one target."""

    rank: Rank
    entry: Entry
    ticket: Ticket


class FlowOrder:
    """The flows of one traffic class that wait for one target."""

    def __init__(self, shares: ShareTable[str]) -> None:
        self._shares = shares
        self._heaps: dict[Turn, list[tuple[Rank, int, Entry]]] = {turn: [] for turn in Turn}
        self._tidy_at = _SMALL

    def __len__(self) -> int:
        """Entries held, with those that are out of date."""
        return sum(map(len, self._heaps.values()))

    @property
    def is_empty(self) -> bool:
        return not len(self)

    def add(self, entry: Entry) -> None:
        """An entry whose flow has, or is about to have, a job waiting."""
        entry.look()
        self._insert(entry)
        if len(self) > self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """While a target is closed nobody gets to what is out of date behind its first job."""
        for heap in self._heaps.values():
            heap[:] = [item for item in heap if item[2].live]
            heapq.heapify(heap)
        self._tidy_at = max(_SMALL, 2 * len(self))

    def _rank(self, entry: Entry) -> Rank:
        opens_at = entry.share.opens_at
        if opens_at < self._shares.window_start:
            return Turn.LATE, opens_at, entry.arrival
        if opens_at <= self._shares.window_end:
            return Turn.OPEN, 0.0, entry.arrival
        return Turn.CLOSED, opens_at, entry.arrival

    def _insert(self, entry: Entry) -> None:
        rank = self._rank(entry)
        heapq.heappush(self._heaps[rank[0]], (rank, next(_serials), entry))

    def first(self) -> Candidate | Flow | None:
        """The job that is next here. A flow where one turned out to be empty: it was dropped;
        tell its lane and ask again. None: nobody waits."""
        while (heap := self._first_heap()) is not None:
            rank, _, entry = heap[0]
            ticket = entry.look() if entry.live else None
            if ticket is not None and self._rank(entry) == rank:
                return Candidate(rank, entry, ticket)
            heapq.heappop(heap)
            if ticket is not None:
                self._insert(entry)
            elif entry.live:
                return entry.flow
        return None

    def _first_heap(self) -> list[tuple[Rank, int, Entry]] | None:
        closed = self._heaps[Turn.CLOSED]
        while closed and closed[0][0][1] <= self._shares.window_end:
            entry = heapq.heappop(closed)[2]
            if entry.live:
                self._insert(entry)
        return next(filter(None, self._heaps.values()), None)

    def open_window(self, candidate: Candidate) -> bool:
        """It is the turn of the candidate's client; whether others may be before it now."""
        turn = candidate.rank[0]
        if turn is Turn.CLOSED or (turn is Turn.LATE and not self._heaps[Turn.OPEN]):
            self._shares.open_window(candidate.entry.share)
        return turn is Turn.CLOSED

    def set_aside(self, entry: Entry) -> None:
        """Take out the entry of the candidate that ``first`` has just given."""
        heap = self._heaps[self._rank(entry)[0]]
        assert heap[0][2] is entry
        heapq.heappop(heap)

    def bring_back(self, entry: Entry) -> None:
        """Undo :meth:`set_aside`, unless the entry is out of date."""
        if entry.live:
            self._insert(entry)
