"""The order of flows at one target: first come, first served, among the least served.

Fair queueing by counters alone has no order among equals: clients with equal jobs would be served
in the order of the rounding errors in their counters, and one that was first in one round and
last in the next would wait for two. So flows are served in *windows*: open are the flows whose
clients are at most half a job from the one whose turn it is, and of the open flows the one whose
job came first goes next. When none is open the window moves on. Whoever was served is behind
until all others of the window were; so fairness is as without windows, but for half a job. What
counts as a job is what the client's jobs have cost lately: windows as wide as estimates that are
too high, and not alike, would let some be served many times before others are.

Clients of small jobs stay in a window for many of them. So turns come in *rounds*: nobody gets the
second job of a window before all that are open have had a first, and a client that comes has its
first job as soon as each of the others has had one.

In each round, before all that are open, come those that are *late*: their clients were charged too
much for calls that have ended since, or are new, while all others have calls under way.
"""

from __future__ import annotations

import heapq
import itertools
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from forebay.actors.scheduling.flows import Flow, Ticket
from forebay.actors.scheduling.shares import ShareTable
from forebay.actors.scheduling.standing import Standing

_serials = itertools.count()
_SMALL = 64
"""Entries that are not worth tidying."""


class Entry:
    """A flow's place in one order; out of date once a newer one was made or its job is gone."""

    __slots__ = ("arrival", "flow", "live", "precedence", "standing")

    def __init__(self, flow: Flow, standing: Standing) -> None:
        self.flow = flow
        self.standing = standing
        self.precedence = flow.precedence
        self.live = True
        self.arrival = -1


class Turn(IntEnum):
    """Where a flow stands to the window."""

    LATE = 0
    OPEN = 1
    CLOSED = 2


_LATE: Final = Turn.LATE
_OPEN: Final = Turn.OPEN
_CLOSED: Final = Turn.CLOSED

Rank: TypeAlias = tuple[bool, int, Turn, float, float, int, int]
"""Whether it has to wait for another window, its round, where it stands to the window and, unless
it is open, how far from it. Among equal clients, whose job has waited longest; among one client's
jobs, which is of the highest priority; and of these which came first."""


class Candidate(NamedTuple):
    """The job that is next at one target."""

    rank: Rank
    entry: Entry
    ticket: Ticket


_Item: TypeAlias = tuple[Rank, int, Entry]


class FlowOrder:
    """The flows of one traffic class that wait for one target."""

    def __init__(self, shares: ShareTable[str]) -> None:
        self._shares = shares
        self._late: list[_Item] = []
        self._open: list[_Item] = []
        self._closed: list[_Item] = []
        self._heaps = self._late, self._open, self._closed
        """By turn."""
        self._tidy_at = _SMALL
        self._moved = False
        """An entry was found to stand elsewhere, maybe before one that was looked at already."""

    def __len__(self) -> int:
        """Entries held, with those that are out of date."""
        return len(self._late) + len(self._open) + len(self._closed)

    @property
    def is_empty(self) -> bool:
        return not (self._late or self._open or self._closed)

    def forget_all(self) -> None:
        """All entries are out of date."""
        for heap in self._heaps:
            heap.clear()
        self._tidy_at = _SMALL

    def add(self, entry: Entry) -> None:
        """An entry whose flow has, or is about to have, a job waiting."""
        ticket = entry.flow.head()
        if ticket is not None:
            entry.arrival = ticket.arrival
        self._insert(entry)
        if len(self) > self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """While a target is closed nobody gets to what is out of date behind its first job."""
        for heap in self._heaps:
            heap[:] = [item for item in heap if item[2].live]
            heapq.heapify(heap)
        self._tidy_at = max(_SMALL, 2 * len(self))

    def _rank(self, entry: Entry) -> Rank:
        standing, arrival = entry.standing, entry.arrival
        share, shares = standing.share, self._shares
        is_new = share.is_new
        # What others use tells nothing of whose turn it is among those who are new.
        opens_at = share.counter if is_new else share.counter - share.usual / 2
        age = standing.oldest() if standing.is_mixed else arrival
        if is_new or opens_at <= shares.window_end:
            turn = share.round
            if turn < shares.round:
                turn = shares.round
            if opens_at < shares.window_start:
                return False, turn, _LATE, opens_at, age, entry.precedence, arrival
            return False, turn, _OPEN, 0.0, age, entry.precedence, arrival
        return True, 0, _CLOSED, opens_at, age, entry.precedence, arrival

    def _insert(self, entry: Entry) -> None:
        rank = self._rank(entry)
        heapq.heappush(self._heaps[rank[2]], (rank, next(_serials), entry))

    def first(self) -> Candidate | Flow | None:
        """The job that is next here. A flow where one turned out to be empty: it was dropped;
        tell its lane and ask again. None: nobody waits."""
        late, is_open, closed = self._heaps
        while closed and closed[0][0][3] <= self._shares.window_end:
            # The window has moved on: more may be open.
            entry = heapq.heappop(closed)[2]
            if entry.live:
                self._insert(entry)
        while True:
            self._moved = False
            first = self._look(late) if late else None
            if is_open and (first is None or isinstance(first, Candidate)):
                first = _better(first, self._look(is_open))
            if first is None and closed:
                first = self._look(closed)
            if not self._moved or not (first is None or isinstance(first, Candidate)):
                return first

    def _look(self, heap: list[_Item]) -> Candidate | Flow | None:
        """The first of those who stand alike to the window."""
        while heap:
            rank, _, entry = heap[0]
            if not entry.live:
                heapq.heappop(heap)
                continue
            ticket = entry.flow.head()
            if ticket is None:
                heapq.heappop(heap)
                return entry.flow
            entry.arrival = ticket.arrival
            if self._rank(entry) == rank:
                return Candidate(rank, entry, ticket)
            heapq.heappop(heap)
            self._insert(entry)
            self._moved = True
        return None

    def open_window(self, candidate: Candidate) -> bool:
        """It is the turn of the candidate's client; whether others may be before it now."""
        turn = candidate.rank[2]
        if turn is _CLOSED or (turn is _LATE and not self._open):
            self._shares.open_window(candidate.entry.standing.share)
        return turn is _CLOSED

    def set_aside(self, entry: Entry) -> None:
        """Take out the entry of the candidate that ``first`` has just given."""
        heap = self._heaps[self._rank(entry)[2]]
        assert heap[0][2] is entry
        heapq.heappop(heap)

    def bring_back(self, entry: Entry) -> None:
        """Undo :meth:`set_aside`, unless the entry is out of date."""
        if entry.live:
            self._insert(entry)


def _better(first: Candidate | None, second: Candidate | Flow | None) -> Candidate | Flow | None:
    if first is None or second is None:
        return second if first is None else first
    if not isinstance(second, Candidate):
        return second
    return first if first.rank < second.rank else second
