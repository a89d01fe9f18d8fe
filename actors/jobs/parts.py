"""Serving the jobs that one request was split into: some at once, the others after them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic

import trio

from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.operations import ContentT
from forebay.protocol.canonical.errors import ErrorKind

_MOST_AT_ONCE = 16
"""Jobs of one request."""


async def serve_parts(
    jobs: Sequence[Job[ContentT]],
    serve: Callable[[int, Job[ContentT]], Awaitable[JobHistory | None]],
) -> None:
    """Have ``serve`` serve all of ``jobs``, beginning with the first.

    To be answered is not to wait: whoever stands behind its siblings has all its time to wait when
    one of them is done, so the request only fails for its time when none of it is under way.

    Args:
        serve: takes a job's number and the job with its times; gives what it went through, or None
            where no more is wanted of any.

    Raises:
        JobFailure: as ``serve``, the first; the other jobs are given up.
    """
    await _Parts(jobs, serve).run()


class _Parts(Generic[ContentT]):
    def __init__(
        self,
        jobs: Sequence[Job[ContentT]],
        serve: Callable[[int, Job[ContentT]], Awaitable[JobHistory | None]],
    ) -> None:
        self._waiting = iter(enumerate(jobs))
        self._serve = serve
        self._workers = min(len(jobs), _MOST_AT_ONCE)
        self._stalled = 0
        """Workers whose job's time is up, and who wait for another's answer."""
        self._progress = trio.Event()
        self._failure: JobFailure | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for _ in range(self._workers):
                    nursery.start_soon(self._work)
        if self._failure is not None:
            raise self._failure

    async def _work(self) -> None:
        is_first = True
        for index, job in self._waiting:
            history = await self._serve_one(index, job if is_first else _from_now(job))
            if history is None:
                self._scope.cancel()
                return
            is_first = False
            self._stalled = 0
            self._progress.set()
            self._progress = trio.Event()
        self._workers -= 1

    async def _serve_one(self, index: int, job: Job[ContentT]) -> JobHistory | None:
        while True:
            try:
                return await self._serve(index, job)
            except JobFailure as failure:
                if not _is_out_of_time(failure) or self._stalled + 1 >= self._workers:
                    self._failure = self._failure or failure
                    return None
            self._stalled += 1
            await self._progress.wait()
            job = _from_now(job)


def _from_now(job: Job[ContentT]) -> Job[ContentT]:
    """``job`` with all its time to wait before it."""
    now = trio.current_time()
    return replace(job, arrived_at=now, deadline=now + job.deadline - job.arrived_at)


def _is_out_of_time(failure: JobFailure) -> bool:
    """Nobody refused it: there was no room for it in its time."""
    return failure.error.kind is ErrorKind.RATE_LIMITED and failure.history.position is not None
