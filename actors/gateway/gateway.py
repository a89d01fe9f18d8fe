"""The gateway: everything between a session and its answer.

Routing and waiting happen in the session's own task; the actors decide and look after
themselves. :class:`Gateway` is what sessions and embedding programs hold.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic

import trio

from forebay.actors.config import ConfigError, Settings, parse_settings
from forebay.actors.gateway.chat import ChatStream
from forebay.actors.gateway.continued_answers import outlasting
from forebay.actors.gateway.job_run import JobRun
from forebay.actors.gateway.permits import Permit
from forebay.actors.gateway.reloads import Reload, with_fixed
from forebay.actors.gateway.roster import Roster
from forebay.actors.gateway.supervision import (
    ApplySettings,
    CloseModels,
    DescribeGateway,
    GatewayStatus,
)
from forebay.actors.gateway.token_counting import TokenCounter
from forebay.actors.jobs.byte_budget import ByteBudget
from forebay.actors.jobs.failures import JobFailure, JobHistory, shutting_down
from forebay.actors.jobs.job import ANONYMOUS, Claim, Client, Job
from forebay.actors.jobs.linked_images import LinkedImages
from forebay.actors.jobs.operations import ContentT, Operation
from forebay.actors.jobs.parts import serve_parts
from forebay.actors.kernel import ActorSystem, Ref
from forebay.actors.providers.provider import Provider, Target
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.routing.job_routing import Routing, serving
from forebay.actors.stores import MemoryResponseStore, ResponseStore, StoreLimits
from forebay.actors.upstream import ImageFetcher
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.requests import ChatRequest, Dialect

_NO_DIALECT: Final = Dialect("")


@dataclass(frozen=True, slots=True)
class Answer(Generic[ContentT]):
    """An answer that has begun, and how it came about."""

    content: ContentT
    history: JobHistory


class Gateway:
    """Takes jobs, holds them fairly behind the limits of providers, and gets their answers."""

    def __init__(
        self,
        system: ActorSystem,
        roster: Roster,
        control: Ref[DescribeGateway | CloseModels | ApplySettings],
        image_fetcher: ImageFetcher,
    ) -> None:
        settings = roster.settings
        self.system = system
        self._roster = roster
        self._control = control
        self.waiting_bytes = ByteBudget(settings.server.waiting_bytes)
        self.linked_images = LinkedImages(
            settings.images, image_fetcher, settings.server.waiting_bytes // 4
        )
        self.responses: ResponseStore = MemoryResponseStore(StoreLimits.of(settings.state))
        self.token_counter = TokenCounter(self.linked_images)
        self.draining = False
        self.last_reload: Reload | None = None
        """What became of the last change of the configuration; None: there was none yet."""
        self._session_numbers = itertools.count(1)
        roster.listeners.append(self._take_on)

    # What is configured now.

    @property
    def settings(self) -> Settings:
        return self._roster.settings

    @property
    def catalog(self) -> Catalog:
        return self._roster.catalog

    @property
    def providers(self) -> dict[str, Provider]:
        return self._roster.providers

    async def apply(self, config: Settings | Mapping[str, object]) -> Reload:
        """Go on with another configuration.

        Jobs that wait go on waiting, at their own places, for whatever serves the name of their
        model now; where nothing does, they end with MODEL_NOT_FOUND. Calls under way come to their
        ends. What has not changed of a provider is not touched; where its limits have changed, what
        was taken of them stays taken. A few settings hold until the next start: the answer names
        those that are another.

        Args:
            config: as of :func:`~forebay.actors.gateway.open_gateway`, all of it.

        Raises:
            ConfigError: it is not valid; nothing was changed.
            JobFailure: UNAVAILABLE, the gateway ends.
        """
        if self.draining:
            raise shutting_down()
        now = time.time()
        try:
            settings = config if isinstance(config, Settings) else parse_settings(config)
            wanted, kept = with_fixed(settings, self.settings)
            await self._control.ask(ApplySettings(wanted))
        except ConfigError as fault:
            self.note_failed_reload(fault)
            raise
        self.last_reload = Reload(at=now, kept=kept)
        return self.last_reload

    def note_failed_reload(self, fault: ConfigError) -> None:
        """A configuration that was to be applied could not be."""
        problems = tuple(str(fault).splitlines())
        self.last_reload = Reload(at=time.time(), problems=problems)

    def when_changed(self, listener: Callable[[Settings], None]) -> None:
        """Have ``listener`` called in the same step in which the configuration changes. It must
        not fail."""
        self._roster.listeners.append(listener)

    def _take_on(self, settings: Settings) -> None:
        self.waiting_bytes.change_total(settings.server.waiting_bytes)
        self.linked_images.change(settings.images, settings.server.waiting_bytes // 4)
        if isinstance(self.responses, MemoryResponseStore):
            self.responses.change_limits(StoreLimits.of(settings.state))

    def next_session_name(self) -> str:
        return f"session-{next(self._session_numbers)}"

    @property
    def waiting(self) -> int:
        """Jobs that wait now."""
        return sum(model.waiting for model in self.catalog.all_models)

    @property
    def in_flight(self) -> int:
        """Calls that are under way now."""
        providers = (*self.providers.values(), *self._roster.retiring)
        return sum(provider.pool.in_flight for provider in providers)

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
            request: ``model`` is a configured name or an alias, a listed model,
                ``provider/model-id``, or ``auto``.
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
        async with Routing(job, resolution, lambda: self.catalog, self.linked_images) as routing:
            try:
                attempt = await JobRun(routing).run()
            except JobFailure as failure:
                raise self._in_drain(failure) from None
            try:
                content = attempt.content
                if routing.resolution.model.continues_broken:
                    content = outlasting(attempt, routing.job)
                yield Answer(content, attempt.history)
            finally:
                await attempt.aclose()

    @asynccontextmanager
    async def permit(
        self,
        model: str,
        *,
        size: RequestSize,
        most_output: int | None = None,
        client: Client = ANONYMOUS,
        max_wait: float | None = None,
    ) -> AsyncIterator[Permit]:
        """Wait for the right to make one call, for programs that make their calls themselves::

            async with gateway.permit("fast", size=RequestSize(text_bytes=len(prompt))) as permit:
                answer = await ask(permit.target, prompt)
                permit.settle(Usage(input_uncached=answer.read, output=answer.written))

        A call that is refused is told to :meth:`Permit.wait_again`. Leaving the block returns the
        permit; what was not settled counts as abandoned in the middle.

        Args:
            model: as of :meth:`chat`.
            size: what there is to read.
            most_output: tokens, where the call bounds them.
            client: whose turn it takes.
            max_wait: seconds that it may wait; None: as configured.

        Raises:
            ApiFailure: there is no such model.
            JobFailure: the time was up (RATE_LIMITED), or no target is left (UNAVAILABLE).
        """
        if self.draining:
            raise shutting_down()
        now = trio.current_time()
        resolution = await self.catalog.resolve(model, _NO_DIALECT, client)
        if max_wait is None:
            own = self.settings.max_wait_ms_for(model=resolution.name, client=client.name)
            max_wait = own / 1000
        claim = Claim(
            client=client,
            arrived_at=now,
            deadline=now + max_wait,
            size=size,
            most_output=most_output,
        )

        async def reroute() -> tuple[Resolution, Sequence[Target]]:
            found = await self.catalog.resolve(model, _NO_DIALECT, client)
            return found, found.targets

        permit = Permit(claim, resolution, resolution.targets, reroute=reroute)
        try:
            await permit.wait()
        except JobFailure as failure:
            raise self._in_drain(failure) from None
        try:
            yield permit
        finally:
            permit.abandon()

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
        return serving(operation, resolution)
