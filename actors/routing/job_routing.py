"""Who can serve one job, and how each is to be asked; found anew when the configuration changes.

Three questions, each with a module of its own: who has an API for it (the operation says), whose
model is able (``ability.py``), and who can be told what it means (``eligibility.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Final, Generic, Self

import trio

from forebay.actors.jobs.failures import JobFailure, JobHistory
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.linked_images import LinkedImages
from forebay.actors.jobs.operations import ContentT, Operation, Wording
from forebay.actors.providers.provider import Target
from forebay.actors.routing.ability import able_targets
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.routing.eligibility import eligible_targets
from forebay.protocol.canonical.errors import ApiError, ErrorKind

_CLOSE_SECONDS: Final = 1.0


class Routing(Generic[ContentT]):
    """Of one job. What is fetched for it is held until the block is left::

    async with Routing(job, resolution, catalog, images) as routing: ...
    """

    def __init__(
        self,
        job: Job[ContentT],
        resolution: Resolution,
        catalog: Callable[[], Catalog],
        linked_images: LinkedImages,
    ) -> None:
        """
        Args:
            catalog: of the configuration now.
        """
        self.job = job
        """With the images in it that its targets need so."""
        self.resolution = resolution
        self.wordings: dict[Target, Wording] = {}
        """The targets that can be told what the job asks, and how each of them is."""
        self._bare = job
        self._catalog = catalog
        self._linked_images = linked_images
        self._images = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._prepare()
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
                await self._images.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await self._images.__aexit__(exc_type, exc_value, traceback)

    def go_on_with(self, operation: Operation[ContentT]) -> None:
        """It is for the rest of the answer now, which ``operation`` asks for.

        Raises:
            JobFailure: BAD_REQUEST, nobody can be told that.
        """
        job = replace(self.job, operation=operation)
        able = tuple(filter(operation.served_by, self.resolution.targets))
        self.wordings = eligible_targets(job, self._able(job, able), self.resolution.shown_name)
        self.job = self._bare = job

    async def again(self) -> None:
        """The configuration has changed: find out by the name that the client wrote.

        Raises:
            ApiFailure: there is no such model any more; or as of the block.
        """
        before = self.resolution
        self.resolution = await self._catalog().resolve(
            before.asked or before.name,
            before.dialect,
            self._bare.client,
            self._bare.operation,
            self._bare.needs,
        )
        # Whoever holds bytes must not wait for more of them.
        await self._images.aclose()
        self._images = AsyncExitStack()
        await self._prepare()

    async def _prepare(self) -> None:
        able = serving(self._bare.operation, self.resolution)
        if not self.resolution.is_any:  # those were chosen by what they are able to do
            able = self._able(self._bare, able)
        self.job = await self._images.enter_async_context(
            self._linked_images.brought_in(self._bare, able)
        )
        self.wordings = eligible_targets(self.job, able, self.resolution.shown_name)

    def _able(self, job: Job[ContentT], targets: tuple[Target, ...]) -> tuple[Target, ...]:
        job = replace(job, needs=job.needs.also(self.resolution.needs))
        return able_targets(job, targets, self.resolution.asked or self.resolution.name)


def serving(operation: Operation[ContentT], resolution: Resolution) -> tuple[Target, ...]:
    """The targets that have an API for ``operation``.

    Raises:
        JobFailure: BAD_REQUEST, none has.
    """
    targets = tuple(filter(operation.served_by, resolution.targets))
    if not targets:
        raise JobFailure(
            ApiError(
                kind=ErrorKind.BAD_REQUEST,
                message=f"model '{resolution.shown_name}' has no target that {operation.verb}",
                param="model",
            ),
            JobHistory(),
        )
    return targets
