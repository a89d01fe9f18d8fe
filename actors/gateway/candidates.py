"""Who may be asked for one job: the targets that can serve it, and of them those that still may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeAlias

from forebay.actors.jobs.job import Claim
from forebay.actors.jobs.places import Place
from forebay.actors.jobs.waiting import NoTargetLeft, WaitingLane
from forebay.actors.providers.provider import Target
from forebay.actors.routing.catalog import Resolution
from forebay.actors.scheduling.targets import PoolTarget

Reroute: TypeAlias = Callable[[], Awaitable[tuple[Resolution, Iterable[Target]]]]
"""Finds anew what the name of a job's model stands for, and who can serve it."""


_NONE: Final[frozenset[PoolTarget]] = frozenset()


class Candidates:
    """Of one job."""

    __slots__ = ("_able", "_left_out", "_reroute", "_resolution", "_targets")

    def __init__(
        self, resolution: Resolution, targets: Iterable[Target], reroute: Reroute | None
    ) -> None:
        """
        Args:
            targets: those that can serve the job, in their order.
            reroute: asked when the configuration has changed. None: it never does.
        """
        self._resolution = resolution
        self._targets = {target.pooled: target for target in targets}
        self._able: Mapping[PoolTarget, Target] = self._targets
        """Without those that are left out."""
        self._left_out: frozenset[PoolTarget] = _NONE
        self._reroute = reroute

    def __getitem__(self, pooled: PoolTarget) -> Target:
        return self._targets[pooled]

    @property
    def model(self) -> str:
        """The name by which they were asked for."""
        return self._resolution.shown_name

    @property
    def are_outdated(self) -> bool:
        """The configuration has changed: they must be found anew."""
        return self._resolution.model.is_retired

    async def find_anew(self) -> None:
        """
        Raises:
            NoTargetLeft: there is nobody to ask who serves the job now.
            ApiFailure: it can't be served any more.
        """
        if self._reroute is None:
            raise NoTargetLeft("the configuration has changed")
        self._resolution, targets = await self._reroute()
        self._targets = {target.pooled: target for target in targets}
        if self._targets.keys() <= self._left_out:
            self._left_out = _NONE
        self._see_who_is_able()

    def leave_out(self, pooled: PoolTarget) -> bool:
        """Ask this one no more, if another one can be asked; whether that is so."""
        if all(each is pooled or each.out is not None for each in self._able):
            return False
        self._left_out |= {pooled}
        self._see_who_is_able()
        return True

    def keep_only(self, targets: Iterable[Target]) -> bool:
        """Ask no others than ``targets``, of which some may be new; whether any is left."""
        able = {target.pooled: target for target in targets}
        self._left_out |= self._targets.keys() - able.keys()
        self._targets.update(able)
        self._see_who_is_able()
        return bool(self._able)

    def _see_who_is_able(self) -> None:
        self._able = {
            pooled: target
            for pooled, target in self._targets.items()
            if pooled not in self._left_out
        }

    # Where the job waits for them.

    def lane(self) -> WaitingLane:
        """
        Raises:
            NoTargetLeft: all are taken out.
        """
        targets = tuple(self._able.values())
        for target in targets:
            if target.pooled.out is None:
                # With those that are out: they may be back before the job has started.
                return self._resolution.model.lane(targets)
        raise NoTargetLeft("; ".join(f"{each.name}: {each.pooled.out}" for each in targets))

    def place(self, claim: Claim) -> Place:
        """A new place, with what the job is thought to take at each of them."""
        demands = {
            pooled: target.estimator.demand(claim.size, claim.most_output)
            for pooled, target in self._able.items()
        }
        place = Place(
            next(iter(demands.values())),
            demands=demands if len(demands) > 1 and len(set(demands.values())) > 1 else None,
            conversation=claim.conversation,
            streams=claim.streams,
            deadline=claim.deadline,
        )
        claim.outlook.watch(place)
        return place
