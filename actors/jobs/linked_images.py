"""Images that a request only links to, for targets that can't follow a link themselves.

They are brought in before the request waits, so that no permit is held meanwhile, and only those
that a target needs: Ollama's servers follow no link, Anthropic's none without TLS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import trio

from forebay.actors.config import ImageLinks, ImageSettings
from forebay.actors.jobs.byte_budget import ByteBudget
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.operations import ContentT
from forebay.actors.providers.provider import Target
from forebay.actors.upstream import Allowance, ImageFetcher, LinkRefused
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.canonical.requests import InlineData

_MOST_LINKS: Final = 32
"""Of one request."""
_AT_ONCE: Final = 4
_LONGEST_SHOWN: Final = 200


class LinkedImages:
    """Brings images in, within a budget of bytes of its own."""

    def __init__(self, settings: ImageSettings, fetcher: ImageFetcher, largest: int) -> None:
        """
        Args:
            largest: bytes of all images that are held at once.
        """
        self._settings = settings
        self._fetcher = fetcher
        self._amount = _amount(settings)
        # Not the budget of bodies: a session that holds bytes of one must not wait for more of it.
        self.budget = ByteBudget(max(largest, self._amount))

    def change(self, settings: ImageSettings, largest: int) -> None:
        """Go on with others; arguments as of the constructor."""
        self._settings = settings
        self._amount = _amount(settings)
        self.budget.change_total(max(largest, self._amount))

    @asynccontextmanager
    async def brought_in(
        self, job: Job[ContentT], targets: Sequence[Target]
    ) -> AsyncIterator[Job[ContentT]]:
        """The job with those images in it that one of ``targets`` needs so. They count against the
        budget until the block is left.

        Raises:
            ApiFailure: BAD_REQUEST, there is no image at one of the links, and no target that
                could follow it itself; RATE_LIMITED, no room for them until the job's deadline.
        """
        operation = job.operation
        unfollowed = [operation.unfollowed_links(target) for target in targets]
        links = tuple(dict.fromkeys(link for each in unfollowed for link in each))
        if not links or self._settings.links is ImageLinks.REFUSE:
            yield job
            return
        with trio.move_on_at(job.deadline) as waiting:
            loan = await self.budget.borrow(self._amount, holder=job.client.name)
        if waiting.cancelled_caught:
            raise _no_room()
        with loan.held():
            images = await self._fetch(links, may_fail=not all(unfollowed))
            if images is not None:
                loan.shrink_to(sum(len(image.base64) for image in images.values()))
                job = replace(job, operation=operation.with_images(images))
            yield job

    async def _fetch(self, links: Sequence[str], *, may_fail: bool) -> dict[str, InlineData] | None:
        """The images by their links; None where one can't be had and ``may_fail``: then who can't
        follow links is asked no more."""
        images: dict[str, InlineData] = {}
        refused: dict[str, str] = {}
        limiter = trio.CapacityLimiter(_AT_ONCE)
        allowance = Allowance(self._settings.max_bytes)
        seconds = self._settings.timeout_ms / 1000

        async def fetch(link: str, nursery: trio.Nursery) -> None:
            async with limiter:
                try:
                    images[link] = await self._fetcher.fetch(
                        link, allowance=allowance, seconds=seconds
                    )
                except LinkRefused as reason:
                    refused.setdefault(link, str(reason))
                    nursery.cancel_scope.cancel()

        if len(links) > _MOST_LINKS:
            refused[links[_MOST_LINKS]] = f"a request may link to {_MOST_LINKS} images"
        else:
            async with trio.open_nursery() as nursery:
                for link in links:
                    nursery.start_soon(fetch, link, nursery)
        if not refused:
            return images
        if may_fail:
            return None
        link, reason = next(iter(refused.items()))
        number = links.index(link) + 1
        raise bad_request(
            f"image {number} of the request, linked as '{link[:_LONGEST_SHOWN]}', can't be used: "
            f"{reason}; send the image's bytes as base64 instead of a link",
            param="messages",
            code="unsupported_image_source",
        )


def _amount(settings: ImageSettings) -> int:
    """Bytes of all images of a request: as they come, and in base64."""
    return settings.max_bytes + settings.max_bytes * 4 // 3 + 4


def _no_room() -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.RATE_LIMITED,
            message="the gateway holds as many linked images as it has memory for",
            code="rate_limit_exceeded",
            retry_after=1.0,
        )
    )
