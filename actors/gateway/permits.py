"""A job's permit: waiting for it, giving it back, waiting again at the same place.

How the call itself is made is not known here: :mod:`~forebay.actors.gateway.job_run` makes it over
HTTP, an embedding program as it likes, and a simulation not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import replace
from typing import Final

import trio

from forebay.actors.gateway.candidates import Candidates, Reroute
from forebay.actors.gateway.permit_ends import (
    BROKEN,
    ENDINGS,
    ENDINGS_OF_BEGUN,
    UPSTREAM_TROUBLE,
    as_upstream_fault,
    nothing_can_serve,
    waited_in_vain,
)
from forebay.actors.jobs.failures import JobFailure, JobHistory, RelayedError
from forebay.actors.jobs.job import Claim
from forebay.actors.jobs.places import Place
from forebay.actors.jobs.waiting import NoTargetLeft, ServedElsewhere, WaitExpired, WaitingLane
from forebay.actors.providers.estimates import Spent
from forebay.actors.providers.provider import Target
from forebay.actors.providers.told_limits import refused_by
from forebay.actors.routing.catalog import Resolution
from forebay.actors.scheduling.gates import Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.targets import Route
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.providers.base import CallFailure, FailureKind

_MOST_FAILURES: Final = 3
"""Calls of one job that may break before its client is told; refusals, and calls of which nothing
was sent, don't count."""

_NOWHERE: Final[frozenset[Route]] = frozenset()
_TOO_LONG: Final = frozenset({ErrorKind.TOO_LARGE, ErrorKind.CONTEXT_OVERFLOW})


class Permit:
    """The right to make one call to :attr:`target` now, once :meth:`wait` has returned.

    A call that came to nothing is told to :meth:`wait_again`, after which the permit is for the
    target that has room then. It ends by :meth:`settle`, :meth:`abandon` or :meth:`return_unused`,
    whichever comes first; all of these are synchronous, so none can be cancelled.
    """

    __slots__ = (
        "_attempts", "_candidates", "_claim", "_failed_at", "_failures", "_goes_on", "_grant",
        "_place", "_started_at", "_target",
    )  # fmt: skip

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
            targets, reroute: as of :class:`Candidates`.
        """
        self._claim = claim
        self._candidates = Candidates(resolution, targets, reroute)
        self._place: Place | None = None
        self._grant: Grant | None = None
        self._target: Target | None = None
        self._started_at = claim.arrived_at
        self._attempts = 0
        self._failures = 0
        self._failed_at: frozenset[Route] = _NOWHERE
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
        candidates, claim = self._candidates, self._claim
        while candidates.are_outdated:
            await self._find_candidates()
        lane = self._lane()
        self._place = place = candidates.place(claim)
        weight = claim.client.weight
        if not await self._got(lane.wait(place, claim.flow_key, weight, claim.deadline)):
            await self._wait_elsewhere()

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
        spent = self._spent_until_break(usage, output_estimate)
        self._failures += 1
        self._goes_on = True
        try:
            if self._failures >= _MOST_FAILURES:
                raise JobFailure(as_upstream_fault(failure.error), self._history_until_now())
            self.target.provider.exclusions.react(failure, grant)
            left = max(0.0, self._claim.deadline - self._started_at)
            self._claim = replace(claim, deadline=trio.current_time() + left)
            if not self._candidates.keep_only(targets):
                raise JobFailure(as_upstream_fault(failure.error), self._history_until_now())
            self._place = place = self._candidates.place(self._claim)
            place.arrival = began.arrival
            lane = self._put_back(place)
        finally:
            self._finish(failure, spent)
        await self._wait_in(lane)

    def _put_back(self, place: Place) -> WaitingLane | None:
        """First the job goes back to its place, then the permit is given back: what that frees is
        the job's. None: its place is elsewhere by now."""
        if self._candidates.are_outdated:
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
        if lane is None or not await self._got(
            lane.wait_again(self._place, claim.flow_key, claim.deadline)
        ):
            await self._wait_elsewhere()

    async def _wait_elsewhere(self) -> None:
        """The configuration has changed: wait at the job's own place where it is served now."""
        assert self._place is not None
        while True:
            while self._candidates.are_outdated:
                await self._find_candidates()
            before, self._place = self._place, self._candidates.place(self._claim)
            self._place.goes_on_from(before)
            if await self._got(self._taken_in(self._lane(), self._place)):
                return

    async def _taken_in(self, lane: WaitingLane, place: Place) -> Grant:
        claim = self._claim
        lane.take_in(place, claim.flow_key, claim.client.weight)
        return await lane.wait_again(place, claim.flow_key, claim.deadline, at_once=False)

    async def _got(self, waiting: Awaitable[Grant]) -> bool:
        """Wait for a grant, and begin with it. False: the job is served elsewhere by now.

        Raises:
            JobFailure: as :meth:`wait`.
        """
        try:
            grant = await waiting
        except ServedElsewhere:
            return False
        except (WaitExpired, NoTargetLeft) as end:
            raise self._no_grant(end) from None
        self._begin(grant)
        return True

    async def _find_candidates(self) -> None:
        try:
            await self._candidates.find_anew()
        except NoTargetLeft as end:
            raise self._no_grant(end) from None
        except JobFailure:
            raise
        except ApiFailure as failure:
            raise JobFailure(failure.error, self._history_until_now()) from None

    def _lane(self) -> WaitingLane:
        try:
            return self._candidates.lane()
        except NoTargetLeft as end:
            raise self._no_grant(end) from None

    def _begin(self, grant: Grant) -> None:
        self._grant = grant
        self._target = self._candidates[grant.target]
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

    def settle_broken(
        self, failure: CallFailure, usage: Usage | None, *, output_estimate: int = 0
    ) -> None:
        """The same where the answer broke off with ``failure`` after it had begun, and nobody goes
        on with it."""
        if self.grant.is_finished:
            return
        self.target.provider.exclusions.react(failure, self.grant)
        self._finish(failure, self._spent_until_break(usage, output_estimate))

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
            self._candidates.leave_out(self.grant.target)
        if self._is_rejected_by_one(failure) and self._candidates.leave_out(self.grant.target):
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
        self._failed_at |= {route}
        return ending if is_news else Ending.ABANDONED

    def _finish(self, failure: CallFailure, begun: Spent | None = None) -> None:
        """Give the permit of a failed call back.

        Args:
            begun: what it took, if its answer had begun.
        """
        endings = ENDINGS if begun is None else ENDINGS_OF_BEGUN
        ending = self._as_news(endings[failure.kind])
        now = trio.current_time()
        outcome = Outcome(
            ending=ending,
            tokens=1.0 if begun is None else begun.tokens,
            output=0.0 if begun is None else begun.output,
            has_begun=begun is not None,
            retry_after=None if ending is Ending.ABANDONED else failure.retry_after,
            patience=self._claim.deadline - now,
            hint=refused_by(failure.limit),
        )
        self.grant.finish(outcome, served=begun is not None, now=now)

    def _spent_until_break(self, usage: Usage | None, output_estimate: int) -> Spent:
        if usage is not None:
            # Told at the beginning, it may not know yet of what was said.
            usage = replace(usage, output=max(usage.output, output_estimate))
        return self.target.estimator.spent(self._claim.size, usage, output_estimate)

    # What the client is told.

    def history(self) -> JobHistory:
        """What the job went through until the call that runs was started."""
        return self._history(self._started_at)

    def failure_of_its_own(self, error: ApiError) -> JobFailure:
        """The request can't be put to the target at all; nothing was sent."""
        return JobFailure(error, self._history_until_now())

    def _no_grant(self, end: WaitExpired | NoTargetLeft) -> JobFailure:
        if isinstance(end, NoTargetLeft):
            error = nothing_can_serve(self._candidates.model, str(end))
            return JobFailure(error, self._history_until_now())
        now = trio.current_time()
        seconds = 1.0 if end.blocker is None else end.blocker.seconds
        waited = now - self._claim.arrived_at
        return JobFailure(
            waited_in_vain(self._candidates.model, waited, seconds),
            self._history(now, blocked=end),
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
