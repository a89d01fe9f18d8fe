"""One job on its way to an answer: its permit, and the calls that it takes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Final, Generic

import trio

from forebay.actors.gateway.permits import Permit
from forebay.actors.jobs.calls import open_answer
from forebay.actors.jobs.failures import CallFailed, JobHistory
from forebay.actors.jobs.operations import Content, ContentT, Operation
from forebay.actors.providers.provider import Target
from forebay.actors.routing.catalog import Resolution
from forebay.actors.routing.job_routing import Routing
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.providers.base import CallFailure

_CLOSE_SECONDS: Final = 1.0
_STEPS_TO_SEND: Final = 2
"""Of the scheduler, from a grant until the request is on its way."""


class Attempt(Generic[ContentT]):
    """A call whose answer has begun."""

    def __init__(
        self,
        content: ContentT,
        stack: AsyncExitStack,
        history: JobHistory,
        permit: Permit,
        run: JobRun[ContentT],
    ) -> None:
        self.content = content
        self.stack = stack
        self.history = history
        self._permit = permit
        self._run = run

    async def go_on(self, operation: Operation[ContentT], failure: CallFailure) -> ContentT:
        """The answer broke off: end its call, and wait for another one that gets the rest.

        Args:
            operation: asks for the rest.

        Raises:
            JobFailure: nobody can be asked for it, in the time that the job has left to wait.
        """
        await _close(self.stack)
        rest = await self._run.go_on(operation, failure, self.content)
        self.content, self.stack = rest.content, rest.stack
        return rest.content

    def settle(self) -> None:
        """Return the permit with what the call really used. Again: does nothing."""
        content, permit = self.content, self._permit
        usage, output_estimate = content.usage, content.output_estimate
        if content.failure is not None:
            permit.settle_broken(content.failure, usage, output_estimate=output_estimate)
        else:
            permit.settle(usage, output_estimate=output_estimate, ending=content.ending)

    async def aclose(self) -> None:
        """End the call, whatever state it is in, and return what it did not use."""
        self.settle()
        await _close(self.stack)


class JobRun(Generic[ContentT]):
    """One job on its way: permits and attempts, until an answer begins."""

    def __init__(self, routing: Routing[ContentT]) -> None:
        self._routing = routing
        self._permit = Permit(
            routing.job.claim, routing.resolution, routing.wordings, reroute=self._reroute
        )

    async def _reroute(self) -> tuple[Resolution, Iterable[Target]]:
        await self._routing.again()
        return self._routing.resolution, self._routing.wordings

    async def run(self) -> Attempt[ContentT]:
        """Wait for a permit, and call, as often as it takes.

        Raises:
            JobFailure: the job has no answer.
        """
        await self._permit.wait()
        return await self._call()

    async def go_on(
        self, operation: Operation[ContentT], failure: CallFailure, broken: Content
    ) -> Attempt[ContentT]:
        """Wait for a permit for the rest of an answer, and call for it.

        Args:
            operation: asks for the rest.
            failure: by which its call broke.
            broken: what there is of the answer.

        Raises:
            JobFailure: there is no rest.
        """
        self._routing.go_on_with(operation)
        await self._permit.wait_to_go_on(
            failure,
            self._routing.job.claim,
            self._routing.wordings,
            usage=broken.usage,
            output_estimate=broken.output_estimate,
        )
        return await self._call()

    async def _call(self) -> Attempt[ContentT]:
        """Call with the permit that there is, and wait for others, as often as it takes."""
        while True:
            outcome = await self._attempt()
            if isinstance(outcome, Attempt):
                return outcome
            await self._permit.wait_again(outcome.failure, outcome.relayed)

    async def _attempt(self) -> Attempt[ContentT] | CallFailed:
        """One call; what failed before any content is returned."""
        permit, routing = self._permit, self._routing
        target = permit.target
        stack = AsyncExitStack()
        try:
            content = await open_answer(
                routing.job.operation, target, routing.wordings[target], permit.grant, stack
            )
        except CallFailed as failed:
            await _close(stack)
            return failed
        except ApiFailure as failure:
            permit.return_unused()
            raise permit.failure_of_its_own(failure.error) from None
        except BaseException:
            permit.abandon()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
                await stack.aclose()
            raise
        permit.accepted()
        attempt = Attempt(content, stack, permit.history(), permit, self)
        if content.is_whole:
            # Nothing more is asked of the upstream: the slot is free while the client reads.
            attempt.settle()
            await _close(stack)
            # Whoever was granted the slot sends its request before this one's answer is written:
            # an upstream that stands idle is dearer than a fraction of a millisecond here.
            for _ in range(_STEPS_TO_SEND):
                await trio.lowlevel.checkpoint()
        return attempt


async def _close(stack: AsyncExitStack) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        await stack.aclose()
