"""One job on its way to an answer: places, permits, calls, and what becomes of failures."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Generic

import trio

from forebay.actors.gateway.calls import open_answer
from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.failures import CallFailed, JobFailure, JobHistory
from forebay.actors.gateway.jobs import Job
from forebay.actors.gateway.operations import ContentT
from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.sizes import RequestSize
from forebay.actors.gateway.waiting import NoTargetLeft, Place, WaitExpired, WaitingLane
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.targets import Route
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.providers.base import CallFailure, FailureKind

_MOST_FAILURES = 3
"""Calls of one job that may break before its client is told. Refusals don't count."""
_CLOSE_SECONDS = 1.0
_STEPS_TO_SEND = 2
"""Of the scheduler, from a grant until the request is on its way."""


class Attempt(Generic[ContentT]):
    """A call whose answer has begun."""

    def __init__(
        self,
        content: ContentT,
        stack: AsyncExitStack,
        history: JobHistory,
        target: Target,
        grant: Grant,
        size: RequestSize,
    ) -> None:
        self.content = content
        self.stack = stack
        self.history = history
        self._target = target
        self._grant = grant
        self._size = size

    def settle(self) -> None:
        """Return the permit with what the call really used. Again: does nothing."""
        usage = self.content.usage
        if usage is not None and usage.counted:
            self._target.estimator.learn(self._size, usage)
            tokens = float(usage.total)
            if not self._target.provider.profile.charges_cache_reads:
                tokens -= usage.cache_read
        else:
            read = usage or Usage(
                input_uncached=round(self._target.estimator.estimate(self._size, 0)),
                counted=False,
            )
            tokens = float(read.input_total + self.content.output_estimate)
        self._grant.finish(
            Outcome(ending=self.content.ending, tokens=max(1.0, tokens)),
            served=True,
            now=trio.current_time(),
        )

    async def aclose(self) -> None:
        """End the call, whatever state it is in, and return what it did not use."""
        self.settle()
        await _close(self.stack)


class JobRun(Generic[ContentT]):
    """One job on its way: places, permits and attempts, until an answer begins."""

    def __init__(
        self, job: Job[ContentT], resolution: Resolution, targets: tuple[Target, ...]
    ) -> None:
        """
        Args:
            targets: those that have an API for what the job asks.
        """
        self._job = job
        self._resolution = resolution
        self._targets = {target.pooled: target for target in targets}
        self._place: Place | None = None
        self._attempts = 0
        self._failures = 0
        self._failed_at: set[Route] = set()
        self._last_target: Target | None = None

    async def run(self) -> Attempt[ContentT]:
        """Wait for a permit, and call, as often as it takes.

        Raises:
            JobFailure: the job has no answer.
        """
        grant = await self._first_grant()
        while True:
            outcome = await self._attempt(grant)
            if isinstance(outcome, Attempt):
                return outcome
            grant = await self._next_grant(grant, outcome)

    def _lane(self) -> WaitingLane:
        targets = tuple(self._targets.values())
        if all(target.pooled.out is not None for target in targets):
            raise self._unavailable("; ".join(f"{t.name}: {t.pooled.out}" for t in targets))
        # With those that are out: they may be back before the job has started.
        return self._resolution.model.lane(targets)

    async def _first_grant(self) -> Grant:
        lane = self._lane()
        operation = self._job.operation
        first = next(iter(self._targets.values()))
        tokens = first.estimator.estimate(
            operation.size,
            operation.most_output,
            reserve_most=first.provider.profile.reserves_most_output,
        )
        self._place = Place(Demand(tokens))
        client = self._job.client
        try:
            return await lane.wait(self._place, client.flow_key, client.weight, self._job.deadline)
        except (WaitExpired, NoTargetLeft) as end:
            raise self._no_grant(end) from None

    async def _next_grant(self, grant: Grant, failed: CallFailed) -> Grant:
        """Back to the job's own place, and wait again."""
        assert self._place is not None
        client = self._job.client
        # First take out what is of no use: what the permit frees is granted at once.
        self._targets[grant.target].provider.exclusions.react(failed.failure, grant)
        try:
            lane = self._lane()
            # First back to its place, then give the permit back: what that frees is the job's.
            lane.put_back(self._place, client.flow_key, client.weight)
        except NoTargetLeft as end:
            raise self._no_grant(end) from None
        finally:
            self._finish(grant, failed.failure)
        try:
            return await lane.wait_again(self._place, client.flow_key, self._job.deadline)
        except (WaitExpired, NoTargetLeft) as end:
            raise self._no_grant(end) from None

    async def _attempt(self, grant: Grant) -> Attempt[ContentT] | CallFailed:
        """One call; what failed but may be tried again is returned."""
        target = self._targets[grant.target]
        self._attempts += 1
        self._last_target = target
        started_at = trio.current_time()
        stack = AsyncExitStack()
        try:
            content = await open_answer(self._job.operation, target, grant, stack)
        except CallFailed as failed:
            if failed.failure.kind in _UPSTREAM_TROUBLE:
                target.last_failure.note(failed.failure, trio.current_time())
            await _close(stack)
            return self._failed(failed, grant)
        except ApiFailure as failure:
            grant.finish(Outcome(ending=Ending.UNUSED), served=False, now=trio.current_time())
            raise JobFailure(failure.error, self._history()) from None
        except BaseException:
            read = target.estimator.estimate(self._job.operation.size, 0)
            grant.finish(
                Outcome(ending=Ending.ABANDONED, tokens=read), served=True, now=trio.current_time()
            )
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
                await stack.aclose()
            raise
        grant.accepted(trio.current_time())
        history = self._history(started_at)
        attempt = Attempt(content, stack, history, target, grant, self._job.operation.size)
        if content.is_whole:
            # Nothing more is asked of the upstream: the slot is free while the client reads.
            attempt.settle()
            await _close(stack)
            # Whoever was granted the slot sends its request before this one's answer is written:
            # an upstream that stands idle is dearer than a fraction of a millisecond here.
            for _ in range(_STEPS_TO_SEND):
                await trio.lowlevel.checkpoint()
        return attempt

    def _failed(self, failed: CallFailed, grant: Grant) -> CallFailed:
        """``failed`` if the job may go on; else raise what its client is told."""
        failure = failed.failure
        if failure.kind is FailureKind.SERVER_FAILED:
            self._failures += 1
        if failure.kind is FailureKind.REQUEST_REJECTED or self._is_refused_apart(failure):
            self._finish(grant, failure)
            raise JobFailure(failure.error, self._history(), failed.relayed)
        if self._failures >= _MOST_FAILURES:
            self._finish(grant, failure)
            raise JobFailure(_as_upstream_fault(failure.error), self._history())
        return failed

    def _finish(self, grant: Grant, failure: CallFailure) -> None:
        """Give the permit of a failed call back."""
        ending = Ending.ABANDONED if self._is_refused_apart(failure) else _ENDINGS[failure.kind]
        if ending is Ending.FAILED:
            if grant.route in self._failed_at:
                # It may well be the request that breaks the upstream: its repeats must not open
                # the circuit breaker for everybody.
                ending = Ending.ABANDONED
            self._failed_at.add(grant.route)
        retry_after = None if ending is Ending.ABANDONED else failure.retry_after
        outcome = Outcome(ending=ending, tokens=1.0, retry_after=retry_after)
        grant.finish(outcome, served=False, now=trio.current_time())

    def _is_refused_apart(self, failure: CallFailure) -> bool:
        """By a limit that no gate here stands for: there is nothing to wait for."""
        return failure.kind is FailureKind.RATE_LIMITED and self._job.operation.has_own_limits

    def _no_grant(self, end: WaitExpired | NoTargetLeft) -> JobFailure:
        if isinstance(end, NoTargetLeft):
            return self._unavailable(str(end))
        seconds = end.blocker.seconds if end.blocker is not None else 1.0
        waited = trio.current_time() - self._job.arrived_at
        return JobFailure(
            ApiError(
                kind=ErrorKind.RATE_LIMITED,
                message=(
                    f"waited {waited:.1f} s for a free place at model '{self._resolution.name}' "
                    f"and none came up; try again in {_whole_seconds(seconds)} s"
                ),
                code="rate_limit_exceeded",
                retry_after=_whole_seconds(seconds),
            ),
            self._history(blocked=end),
        )

    def _unavailable(self, reason: str) -> JobFailure:
        return JobFailure(
            ApiError(
                kind=ErrorKind.UNAVAILABLE,
                message=f"nothing can serve model '{self._resolution.name}' now: {reason}",
            ),
            self._history(),
        )

    def _history(
        self, started_at: float | None = None, *, blocked: WaitExpired | None = None
    ) -> JobHistory:
        until = trio.current_time() if started_at is None else started_at
        return JobHistory(
            waited=until - self._job.arrived_at,
            attempts=self._attempts,
            target=None if self._last_target is None else self._last_target.name,
            blocker=None if blocked is None else blocked.blocker,
            position=None if blocked is None else blocked.position,
        )


async def _close(stack: AsyncExitStack) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        await stack.aclose()


def _as_upstream_fault(error: ApiError) -> ApiError:
    """What the client is told of a provider's own failure, whatever words that came in."""
    if error.kind in (ErrorKind.UPSTREAM_ERROR, ErrorKind.UPSTREAM_TIMEOUT):
        return error
    return ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=error.message)


def _whole_seconds(seconds: float) -> float:
    """As ``retry-after`` says it: whole, at least 1 (clients hammer at 0)."""
    return float(max(1, -int(-seconds // 1)))


_UPSTREAM_TROUBLE = frozenset({FailureKind.UNREACHABLE, FailureKind.SERVER_FAILED})

_ENDINGS = {
    FailureKind.RATE_LIMITED: Ending.REFUSED,
    FailureKind.OVERLOADED: Ending.OVERLOADED,
    FailureKind.UNREACHABLE: Ending.UNREACHABLE,
    FailureKind.SERVER_FAILED: Ending.FAILED,
    FailureKind.REQUEST_REJECTED: Ending.SERVED,
    FailureKind.QUOTA_SPENT: Ending.ABANDONED,
    FailureKind.KEY_REJECTED: Ending.ABANDONED,
    FailureKind.TARGET_FORBIDDEN: Ending.ABANDONED,
}
