"""Streams that outlast the calls that they came by.

Where a model's settings want it, a stream that breaks after it has begun is gone on with: the rest
is asked for as one more call of the same job, of whichever target can go on with a text, and its
client hears one answer. Such a stream is always put into the client's dialect anew, since what two
servers say can't be passed on as the bytes of one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias, cast

from forebay.actors.gateway.job_run import Attempt
from forebay.actors.jobs.answers import AnswerStream, Piece
from forebay.actors.jobs.calls import said_in_answer
from forebay.actors.jobs.chat_operation import ChatContent, ChatOperation
from forebay.actors.jobs.failures import JobFailure
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.operations import ContentT
from forebay.actors.scheduling.gates import Ending
from forebay.protocol.canonical.continuations import SplicedAnswer
from forebay.protocol.canonical.events import StreamError, StreamEvent, Usage
from forebay.protocol.dialects.base import Prefill
from forebay.protocol.providers.base import CallFailure, FailureKind

GoOn: TypeAlias = Callable[[ChatOperation, CallFailure], Awaitable[ChatContent]]


def outlasting(attempt: Attempt[ContentT], job: Job[ContentT]) -> ContentT:
    """The content of ``attempt``; gone on with if it breaks, where that is safe."""
    operation, content = job.operation, attempt.content
    if not (
        isinstance(operation, ChatOperation)
        and isinstance(content, AnswerStream)
        and operation.can_be_continued
    ):
        return content
    # Who asks for chats takes any stream of one.
    go_on = cast("Attempt[ChatContent]", attempt).go_on
    return cast("ContentT", ContinuedAnswer(operation, content, go_on))


class ContinuedAnswer(AnswerStream):
    """One stream, by as many calls as it takes."""

    def __init__(self, operation: ChatOperation, first: AnswerStream, go_on: GoOn) -> None:
        """
        Args:
            operation: what ``first`` answers.
            go_on: ends the call that broke, and makes the next one.
        """
        self.request = replace(first.request, passes_through=False)
        self.content_type = first.content_type
        self.failed = False
        self._operation = operation
        self._current = first
        self._go_on = go_on
        self._answer = SplicedAnswer()
        self._broken: StreamError | None = None

    # Of the call that runs: each is paid for by itself.

    @property
    def usage(self) -> Usage | None:
        return self._current.usage

    @property
    def output_estimate(self) -> int:
        return self._current.output_estimate

    @property
    def ending(self) -> Ending:
        return self._current.ending

    @property
    def failure(self) -> CallFailure | None:
        return self._current.failure

    async def __anext__(self) -> Piece:
        """The next piece. A break that nobody goes on after ends it with a :class:`StreamError`."""
        if self.failed:
            raise StopAsyncIteration
        while True:
            if self._broken is not None:
                error, self._broken = self._broken, None
                if not await self._mend(error):
                    self.failed = True
                    return Piece(b"", [error])
            events: list[StreamEvent] = []
            for event in (await anext(self._current)).events:
                if isinstance(event, StreamError):
                    # First the client gets what came before.
                    self._broken = event
                    break
                events += self._answer.add(event)
            if events:
                return Piece(b"", events)

    async def _mend(self, error: StreamError) -> bool:
        """Whether somebody goes on after ``error``."""
        failure = said_in_answer(self._current.request.target, error)
        if failure.kind is FailureKind.REQUEST_REJECTED:
            return False
        rest = self._operation.for_rest_of(self._answer)
        if rest is None:
            return False
        try:
            content = await self._go_on(rest, failure)
        except JobFailure:
            return False
        assert isinstance(content, AnswerStream)  # the request asks for a stream
        target = content.request.target
        prefill = target.provider.traits_of(target.model_id).prefill
        self._answer.break_off(repeats=prefill is Prefill.PREFIX)
        self._current = content
        return True
