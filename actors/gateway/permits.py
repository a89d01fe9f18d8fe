"""A job's permit: waiting for it, giving it back, waiting again at the same place.

How the call itself is made is not known here: :mod:`~forebay.actors.gateway.job_run` makes it over
HTTP, an embedding program as it likes, and a simulation not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, TypeAlias

import trio

from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.failures import JobFailure, JobHistory, RelayedError
from forebay.actors.gateway.jobs import Claim
from forebay.actors.gateway.permit_ends import (
    BROKEN,
    ENDINGS,
    UPSTREAM_TROUBLE,
    as_upstream_fault,
    nothing_can_serve,
    waited_in_vain,
)
from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.told_limits import refused_by
from forebay.actors.gateway.waiting import (
    NoTargetLeft,
    Place,
    ServedElsewhere,
    WaitExpired,
    WaitingLane,
)
from forebay.actors.scheduling.gates import Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.targets import PoolTarget, Route
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.providers.base import CallFailure, FailureKind

_MOST_FAILURES: Final = 3
"""Calls of one job that may break before its client is told; refusals, and calls of which nothing
was sent, don't count."""


_TOO_LONG: Final = frozenset({ErrorKind.TOO_LARGE, ErrorKind.CONTEXT_OVERFLOW})

Reroute: TypeAlias = Callable[[], Awaitable[tuple[Resolution, Iterable[Target]]]]
"""Finds anew what the name of a job's model stands for, and who can serve it."""


class Permit:
    """The right to make one call to :attr:`target` now, once :meth:`wait` has returned.

    A call that came to nothing is told to :meth:`wait_again`, after which the permit is for the
    target that has room then. It ends by :meth:`settle`, :meth:`abandon` or :meth:`return_unused`,
    whichever comes first; all of these are synchronous, so none can be cancelled.
    """

    def __init__(
        self,
        claim: Claim,
        resolution: Resolution,
        targets: Iterable[Target],
        *,
        reroute: Reroute | None = None,
    ) -> None:
        """
        Args:
            targets: those that can serve the job, in their order.
            reroute: asked when the configuration has changed. None: it never does.
        """
        self._claim = claim
        self._resolution = resolution
        self._targets = {target.pooled: target for target in targets}
        self._reroute = reroute
        self._place: Place | None = None
        self._grant: Grant | None = None
        self._target: Target | None = None
        self._started_at = claim.arrived_at
        self._attempts = 0
        self._failures = 0
        self._failed_at: set[Route] = set()
        self._left_out: set[PoolTarget] = set()
        """Not to be asked in this job any more, since others can be."""
        self._goes_on = False
        """It asks for the rest of an answer: who rejects that is not the judge of the request."""

    @property
    def grant(self) -> Grant:
        """What it holds of the provider's limits."""
        assert self._grant is not None, "nothing was granted yet"
        return self._grant

    @property
    def target(self) -> Target:
        """Who is to be asked."""
        assert self._target is not None, "nothing was granted yet"
        return self._target

    # Waiting.

    async def wait(self) -> None:
        """Wait for the permit.

        Raises:
            JobFailure: the claim's time is up (RATE_LIMITED), or no target is left (UNAVAILABLE).
        """
        while self._resolution.model.is_retired:
            await self._find_targets()
        lane = self._lane()
        claim = self._claim
        self._place = self._new_place()
        weight = claim.client.weight
        try:
            grant = await lane.wait(self._place, claim.flow_key, weight, claim.deadline)
        except ServedElsewhere:
            await self._wait_elsewhere()
            return
        except (WaitExpired, NoTargetLeft) as end:
            raise self._no_grant(end) from None
        self._begin(grant)

    async def wait_again(self, failure: CallFailure, relayed: RelayedError | None = None) -> None:
        """The call failed before its answer had any content: back to the job's own place.

        Args:
            relayed: the upstream's own words, for a client that may hear them.

        Raises:
            JobFailure: as :meth:`wait`; or the request itself was rejected, or broke too often.
        """
        assert self._place is not None, "nothing was waited for yet"
        grant = self.grant
        target = self.target
        if failure.kind in UPSTREAM_TROUBLE:
            target.last_failure.note(failure, trio.current_time())
        self._refuse_to_go_on(failure, relayed)
        # First take out what is of no use: what the permit frees is granted at once.
        target.provider.exclusions.react(failure, grant)
        try:
            lane = self._put_back(self._place)
        finally:
            self._finish(failure)
        await self._wait_in(lane)

    async def wait_to_go_on(
        self,
        failure: CallFailure,
        claim: Claim,
        targets: Iterable[Target],
        *,
        usage: Usage | None,
        output_estimate: int,
    ) -> None:
        """The call broke in the middle of its answer: wait for one that gets the rest, at the job's
        own place.

        All waiting of a job together is bounded, so it may wait for as long as it still could when
        the call that broke was started.

        Args:
            claim: for the rest.
            targets: those that can go on with the answer, in their order.
            usage, output_estimate: of the call, as of :meth:`settle`.

        Raises:
            JobFailure: as :meth:`wait`; or its calls broke too often.
        """
        assert self._place is not None, "nothing was waited for yet"
        began, self._place = self._place, None
        grant = self.grant
        provider = self.target.provider
        if usage is not None:
            # Told at the beginning, it may not know yet of what was said.
            usage = replace(usage, output=max(usage.output, output_estimate))
        spent = self.target.estimator.spent(self._claim.size, usage, output_estimate)
        self._failures += 1
        self._goes_on = True
        try:
            if self._failures >= _MOST_FAILURES:
                raise JobFailure(as_upstream_fault(failure.error), self._history_until_now())
            provider.exclusions.react(failure, grant)
            now = trio.current_time()
            left = max(0.0, self._claim.deadline - self._started_at)
            self._claim = replace(claim, deadline=now + left)
            able = {target.pooled: target for target in targets}
            self._left_out |= self._targets.keys() - able.keys()
            self._targets.update(able)
            if not self._able():
                raise JobFailure(as_upstream_fault(failure.error), self._history_until_now())
            self._place = place = self._new_place()
            place.arrival = began.arrival
            lane = self._put_back(place)
        finally:
            now = trio.current_time()
            outcome = Outcome(
                ending=self._as_news(Ending.FAILED),
                tokens=spent.tokens,
                output=spent.output,
                retry_after=failure.retry_after,
                patience=self._claim.deadline - now,
                hint=refused_by(failure.limit),
            )
            grant.finish(outcome, served=True, now=now)
        await self._wait_in(lane)

    def _put_back(self, place: Place) -> WaitingLane | None:
        """First the job goes back to its place, then the permit is given back: what that frees is
        the job's. None: its place is elsewhere by now."""
        if self._resolution.model.is_retired:
            return None
        claim = self._claim
        lane = self._lane()
        try:
            lane.put_back(place, claim.flow_key, claim.client.weight)
        except NoTargetLeft as end:
            raise self._no_grant(end) from None
        return lane

    async def _wait_in(self, lane: WaitingLane | None) -> None:
        """Wait where the job was put back."""
        assert self._place is not None
        claim = self._claim
        if lane is None:
            await self._wait_elsewhere()
            return
        try:
            grant = await lane.wait_again(self._place, claim.flow_key, claim.deadline)
        except ServedElsewhere:
            await self._wait_elsewhere()
            return
        except (WaitExpired, NoTargetLeft) as end:
            raise self._no_grant(end) from None
        self._begin(grant)

    async def _wait_elsewhere(self) -> None:
        """The configuration has changed: wait at the job's own place where it is served now."""
        assert self._place is not None
        claim = self._claim
        while True:
            while self._resolution.model.is_retired:
                await self._find_targets()
            before, self._place = self._place, self._new_place()
            self._place.goes_on_from(before)
            lane = self._lane()
            try:
                lane.take_in(self._place, claim.flow_key, claim.client.weight)
                grant = await lane.wait_again(
                    self._place, claim.flow_key, claim.deadline, at_once=False
                )
            except ServedElsewhere:
                continue
            except (WaitExpired, NoTargetLeft) as end:
                raise self._no_grant(end) from None
            self._begin(grant)
            return

    async def _find_targets(self) -> None:
        if self._reroute is None:
            raise self._unavailable("the configuration has changed")
        try:
            self._resolution, targets = await self._reroute()
        except JobFailure:
            raise
        except ApiFailure as failure:
            raise JobFailure(failure.error, self._history_until_now()) from None
        self._targets = {target.pooled: target for target in targets}
        if self._targets.keys() <= self._left_out:
            self._left_out.clear()

    def _lane(self) -> WaitingLane:
        targets = tuple(self._able().values())
        if all(target.pooled.out is not None for target in targets):
            raise self._unavailable("; ".join(f"{t.name}: {t.pooled.out}" for t in targets))
        # With those that are out: they may be back before the job has started.
        return self._resolution.model.lane(targets)

    def _able(self) -> dict[PoolTarget, Target]:
        return {
            pooled: target
            for pooled, target in self._targets.items()
            if pooled not in self._left_out
        }

    def _leave_out(self) -> bool:
        """Ask this target no more in this job, if there is another one; whether that is so."""
        this = self.grant.target
        if all(pooled is this or pooled.out is not None for pooled in self._able()):
            return False
        self._left_out.add(this)
        return True

    def _new_place(self) -> Place:
        claim = self._claim
        demands = {
            pooled: target.estimator.demand(claim.size, claim.most_output)
            for pooled, target in self._able().items()
        }
        place = Place(
            next(iter(demands.values())),
            demands=demands if len(set(demands.values())) > 1 else None,
            conversation=claim.conversation,
            streams=claim.streams,
        )
        claim.outlook.watch(place)
        return place

    def _begin(self, grant: Grant) -> None:
        self._grant = grant
        self._target = self._targets[grant.target]
        self._started_at = trio.current_time()
        self._attempts += 1

    # How a call ends.

    def accepted(self) -> None:
        """The upstream has taken the call on: its answer began, and has content."""
        now = trio.current_time()
        first_content = self.grant.target.first_contents.of(streams=self._claim.streams)
        first_content.note(now - self._started_at, now)
        self.grant.accepted(now)

    def settle(
        self, usage: Usage | None, *, output_estimate: int = 0, ending: Ending = Ending.SERVED
    ) -> None:
        """Return the permit with what the call really used. Again: does nothing.

        Args:
            usage: as the upstream reports it; None or not counted where it does not.
            output_estimate: tokens of output by length, for that case.
        """
        if self.grant.is_finished:
            return
        estimator, claim = self.target.estimator, self._claim
        spent = estimator.spent(claim.size, usage, output_estimate)
        if usage is not None:
            estimator.learn(claim.size, claim.most_output, usage)
        outcome = Outcome(ending=ending, tokens=spent.tokens, output=spent.output)
        self.grant.finish(outcome, served=True, now=trio.current_time())

    def abandon(self) -> None:
        """Return it in the middle of a call: the upstream may have read the request."""
        spent = self.target.estimator.spent(self._claim.size, None, 0)
        outcome = Outcome(ending=Ending.ABANDONED, tokens=spent.tokens, output=spent.output)
        self.grant.finish(outcome, served=True, now=trio.current_time())

    def return_unused(self) -> None:
        """Return it when nothing was sent."""
        self.grant.finish(Outcome(ending=Ending.UNUSED), served=False, now=trio.current_time())

    def _refuse_to_go_on(self, failure: CallFailure, relayed: RelayedError | None) -> None:
        """Return the permit and raise what the client is told, where no other try will help."""
        if failure.kind in BROKEN:
            self._failures += 1
        if failure.kind is FailureKind.TIMED_OUT:
            self._leave_out()
        if self._is_rejected_by_one(failure) and self._leave_out():
            return
        if failure.kind is FailureKind.REQUEST_REJECTED:
            self._finish(failure)
            raise JobFailure(failure.error, self._history_until_now(), relayed)
        if self._failures >= _MOST_FAILURES:
            self._finish(failure)
            raise JobFailure(as_upstream_fault(failure.error), self._history_until_now())

    def _is_rejected_by_one(self, failure: CallFailure) -> bool:
        """Whether the request is rejected for what another target may see otherwise: it is larger
        than a whole limit or the context of this one, or this one can't go on with an answer."""
        return failure.kind is FailureKind.REQUEST_REJECTED and (
            self._goes_on or failure.error.kind in _TOO_LONG
        )

    def _as_news(self, ending: Ending) -> Ending:
        """It may well be the request that breaks the upstream: its repeats must not open the
        circuit breaker for everybody."""
        if ending is not Ending.FAILED:
            return ending
        route = self.grant.route
        is_news = route not in self._failed_at
        self._failed_at.add(route)
        return ending if is_news else Ending.ABANDONED

    def _finish(self, failure: CallFailure) -> None:
        """Give the permit of a failed call back."""
        ending = self._as_news(ENDINGS[failure.kind])
        retry_after = None if ending is Ending.ABANDONED else failure.retry_after
        now = trio.current_time()
        outcome = Outcome(
            ending=ending,
            tokens=1.0,
            retry_after=retry_after,
            patience=self._claim.deadline - now,
        )
        self.grant.finish(outcome, served=False, now=now)

    # What the client is told.

    def history(self) -> JobHistory:
        """What the job went through until the call that runs was started."""
        return self._history(self._started_at)

    def failure_of_its_own(self, error: ApiError) -> JobFailure:
        """The request can't be put to the target at all; nothing was sent."""
        return JobFailure(error, self._history_until_now())

    def _no_grant(self, end: WaitExpired | NoTargetLeft) -> JobFailure:
        if isinstance(end, NoTargetLeft):
            return self._unavailable(str(end))
        now = trio.current_time()
        seconds = 1.0 if end.blocker is None else end.blocker.seconds
        waited = now - self._claim.arrived_at
        return JobFailure(
            waited_in_vain(self._resolution.name, waited, seconds),
            self._history(now, blocked=end),
        )

    def _unavailable(self, reason: str) -> JobFailure:
        return JobFailure(
            nothing_can_serve(self._resolution.name, reason), self._history_until_now()
        )

    def _history_until_now(self) -> JobHistory:
        return self._history(trio.current_time())

    def _history(self, until: float, *, blocked: WaitExpired | None = None) -> JobHistory:
        return JobHistory(
            waited=until - self._claim.arrived_at,
            attempts=self._attempts,
            target=None if self._grant is None else self.target.name,
            blocker=None if blocked is None else blocked.blocker,
            position=None if blocked is None else blocked.position,
        )
