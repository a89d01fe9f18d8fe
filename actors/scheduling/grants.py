"""A granted call: what it holds of each gate until it ends, and what it is charged."""

from __future__ import annotations

from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.gates import Call, Outcome
from forebay.actors.scheduling.shares import Share
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.actors.scheduling.ways import Way


class Grant:
    """The right to make one call to one target now. Ends exactly once, by ``finish``."""

    __slots__ = (
        "_charged", "_class_share", "_finished", "_share", "_way", "call", "route", "target",
    )  # fmt: skip

    def __init__(
        self,
        target: PoolTarget,
        route: Route,
        way: Way,
        call: Call,
        share: Share[str],
        class_share: Share[TrafficClass],
    ) -> None:
        """
        Args:
            way: that the call has passed; the target may get more gates while it is under way.
        """
        self.target = target
        self.route = route
        self.call = call
        self._way = way
        self._share = share
        self._class_share = class_share
        self._charged = call.demand.tokens
        self._finished = False

    @property
    def is_finished(self) -> bool:
        return self._finished

    def accepted(self, now: float) -> None:
        """The upstream has taken the call on, which may open gates (a probe has gone well)."""
        if self._finished:
            return
        pool = self.target.pool
        for gate in self._way.hearing():
            gate.accepted(self.call, now)
            if gate in pool.blocked:
                pool.look_again()

    def finish(self, outcome: Outcome, *, served: bool, now: float) -> None:
        """Give the permit back. What comes after the first time does nothing.

        Args:
            served: the client got something for it: its share is charged what was used. Else
                its share gets the cost back, and with it its place.
        """
        if self._finished:
            return
        self._finished = True
        self.target.in_flight -= 1
        self.route.load.calls -= 1
        call = self.call
        for gate in self._way.settling() if outcome.is_good else self._way.gates:
            gate.finish(call, outcome, now)
        used = self._charged if outcome.tokens is None else outcome.tokens
        self.target.pool.settle(
            self._share,
            self._class_share,
            charged=self._charged,
            used=used if served else 0.0,
            now=now,
        )
