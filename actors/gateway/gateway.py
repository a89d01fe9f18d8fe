"""The gateway: everything between a session and its answer.

Routing and waiting happen in the session's own task; the actors decide and look after
themselves. :class:`Gateway` is what sessions and embedding programs hold.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic

from forebay.actors.config import Settings
from forebay.actors.gateway.byte_budget import ByteBudget
from forebay.actors.gateway.catalog import Catalog, Resolution
from forebay.actors.gateway.chat import ChatStream
from forebay.actors.gateway.eligibility import eligible_targets
from forebay.actors.gateway.failures import JobFailure, JobHistory, shutting_down
from forebay.actors.gateway.job_run import JobRun
from forebay.actors.gateway.jobs import ANONYMOUS, Client, Job
from forebay.actors.gateway.linked_images import LinkedImages
from forebay.actors.gateway.operations import ContentT, Operation
from forebay.actors.gateway.parts import serve_parts
from forebay.actors.gateway.provider import Provider, Target
from forebay.actors.gateway.supervision import CloseModels, DescribeGateway, GatewayStatus
from forebay.actors.kernel import ActorSystem, Ref
from forebay.actors.stores import MemoryResponseStore, ResponseStore
from forebay.actors.upstream import ImageFetcher
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.requests import ChatRequest


@dataclass(frozen=True, slots=True)
class Answer(Generic[ContentT]):
    """An answer that has begun, and how it came about."""

    content: ContentT
    history: JobHistory


class Gateway:
    """Takes jobs, holds them fairly behind the limits of providers, and gets their answers."""

    def __init__(
        self,
        settings: Settings,
        system: ActorSystem,
        catalog: Catalog,
        providers: dict[str, Provider],
        control: Ref[DescribeGateway | CloseModels],
        image_fetcher: ImageFetcher,
    ) -> None:
        self.settings = settings
        self.system = system
        self.catalog = catalog
        self.providers = providers
        self._control = control
        self.waiting_bytes = ByteBudget(settings.server.waiting_bytes)
        self.linked_images = LinkedImages(
            settings.images, image_fetcher, settings.server.waiting_bytes // 4
        )
        self.responses: ResponseStore = MemoryResponseStore()
        self.draining = False
        self._session_numbers = itertools.count(1)

    def next_session_name(self) -> str:
        return f"session-{next(self._session_numbers)}"

    @property
    def waiting(self) -> int:
        """Jobs that wait now."""
        models = (*self.catalog.models.values(), *self.catalog.outright.values())
        return sum(model.waiting for model in models)

    @property
    def in_flight(self) -> int:
        """Calls that are under way now."""
        return sum(
            target.pooled.in_flight
            for provider in self.providers.values()
            for target in provider.targets.values()
        )

    def begin_drain(self) -> None:
        """Take no new jobs; those that wait or run go on."""
        self.draining = True

    async def give_up_waiting(self) -> None:
        """Tell all who still wait that they will not be served."""
        await self._control.ask(CloseModels("the gateway is shutting down"))

    async def status(self) -> GatewayStatus:
        """Queues, budgets and cooldowns of all models and providers."""
        return await self._control.ask(DescribeGateway())

    def chat(
        self, request: ChatRequest, *, client: Client = ANONYMOUS, max_wait: float | None = None
    ) -> ChatStream:
        """Ask for one answer, as a stream of canonical events.

        Args:
            request: ``model`` is a configured name, a listed model, or ``provider/model-id``.
            client: whose turn it takes.
            max_wait: seconds that it may wait; None: as configured.
        """
        return ChatStream(self, request, client=client, max_wait=max_wait)

    @asynccontextmanager
    async def open_answer(
        self, job: Job[ContentT], resolution: Resolution
    ) -> AsyncIterator[Answer[ContentT]]:
        """Wait for a permit, make the call, and hand out its answer once it has content.

        A refused or broken call before any content sends the job back to its own place, where
        any of its targets may serve it. Leaving the block ends the call, whatever state it is in,
        and returns what it did not use.

        Raises:
            JobFailure: the job has no answer: no target can be told what it asks (BAD_REQUEST),
                its time was up (RATE_LIMITED), no target is left (UNAVAILABLE), the request was
                rejected, or the upstream broke.
        """
        if self.draining:
            raise shutting_down()
        able = self.serving(job.operation, resolution)
        async with self.linked_images.brought_in(job, able) as ready:
            targets = eligible_targets(ready, able, resolution.name)
            try:
                attempt = await JobRun(ready, resolution, targets).run()
            except JobFailure as failure:
                raise self._in_drain(failure) from None
            try:
                yield Answer(attempt.content, attempt.history)
            finally:
                await attempt.aclose()

    def _in_drain(self, failure: JobFailure) -> JobFailure:
        """What a client is told whose job has failed: that the gateway ends, if it is that."""
        ends = self.draining and failure.error.kind is ErrorKind.UNAVAILABLE
        return shutting_down(failure.history) if ends else failure

    async def answers(
        self, jobs: Sequence[Job[ContentT]], resolution: Resolution
    ) -> list[Answer[ContentT]]:
        """The whole answers to the jobs that one request was split into, in their order.

        Raises:
            JobFailure: one of them has none; the others are given up.
        """
        answers: dict[int, Answer[ContentT]] = {}

        async def get(index: int, job: Job[ContentT]) -> JobHistory:
            async with self.open_answer(job, resolution) as answer:
                answers[index] = answer
            return answer.history

        await serve_parts(jobs, get)
        return [answers[index] for index in range(len(jobs))]

    def serving(self, operation: Operation[ContentT], resolution: Resolution) -> tuple[Target, ...]:
        """The targets that have an API for ``operation``.

        Raises:
            JobFailure: BAD_REQUEST, none has.
        """
        targets = tuple(filter(operation.served_by, resolution.targets))
        if not targets:
            raise JobFailure(
                ApiError(
                    kind=ErrorKind.BAD_REQUEST,
                    message=f"model '{resolution.name}' has no target that {operation.verb}",
                    param="model",
                ),
                JobHistory(),
            )
        return targets
