"""A client's standing at one pool: its flows with jobs that wait there, and where its turn is.

A client may order its own jobs by priority. That is nobody else's business: its turn comes where
the job stands that has waited longest, whichever job it then spends it on. So a job of high
priority passes its own client's jobs and no other's, and one of low priority costs its client
no turn.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection
from math import inf

from forebay.actors.scheduling.flows import Flow, TrafficClass
from forebay.actors.scheduling.shares import Share

_serials = itertools.count()
_SMALL = 16
"""Notes that are not worth tidying."""


class Standing:
    """Of one client and class, while it has jobs waiting."""

    __slots__ = ("_by_age", "_flows", "is_mixed", "share", "taken")

    def __init__(self, share: Share[str]) -> None:
        self.share = share
        self.taken = 0
        """Jobs that were granted since it began to have some waiting."""
        self.is_mixed = False
        """Whether its flows differ in priority. While they don't, each stands by its own age."""
        self._flows: dict[Flow, None] = {}
        self._by_age: list[tuple[float, int, Flow]] = []
        """Arrivals of first jobs as they were noted, which may have gone since; only while the
        priorities are mixed."""

    @property
    def traffic_class(self) -> TrafficClass:
        return next(iter(self._flows)).key.traffic_class

    @property
    def flows(self) -> Collection[Flow]:
        return self._flows.keys()

    @property
    def noted(self) -> int:
        """How much it remembers of its flows, with what is out of date."""
        return len(self._by_age)

    def enter(self, flow: Flow) -> bool:
        """``flow`` begins to have jobs waiting; whether that brings the others forward."""
        flows = self._flows
        flows[flow] = None
        if len(flows) == 1:
            return False
        if self.is_mixed:
            return self.note(flow)
        if next(iter(flows)).precedence == flow.precedence:
            return False
        self.is_mixed = True
        self._tidy()
        return True

    def leave(self, flow: Flow) -> None:
        """``flow`` has no job waiting any more."""
        del self._flows[flow]
        if self.is_mixed and len({each.precedence for each in self._flows}) <= 1:
            self.is_mixed = False
            self._by_age.clear()

    def note(self, flow: Flow) -> bool:
        """A job came back to the front of ``flow``; whether that brings the others forward."""
        if not self.is_mixed:
            return False
        before = self.oldest()
        self._push(flow)
        if len(self._by_age) > _SMALL + 2 * len(self._flows):
            self._tidy()
        return self.oldest() < before

    def _push(self, flow: Flow) -> None:
        head = flow.head()
        arrival = inf if head is None else head.arrival
        heapq.heappush(self._by_age, (arrival, next(_serials), flow))

    def _tidy(self) -> None:
        self._by_age.clear()
        for flow in self._flows:
            self._push(flow)

    def oldest(self) -> float:
        """The arrival of the job that has waited longest; to be asked while mixed."""
        while True:
            noted, _, flow = self._by_age[0]
            if flow not in self._flows:
                heapq.heappop(self._by_age)
                continue
            head = flow.head()
            arrival = inf if head is None else head.arrival
            if arrival == noted:
                return arrival
            # A flow whose jobs have gone may get others, which are younger than all that wait.
            heapq.heapreplace(self._by_age, (arrival, next(_serials), flow))
