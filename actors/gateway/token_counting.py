"""Asking providers for counts of tokens, apart from answers.

Providers limit counts apart from answers (docs.anthropic.com, rate limits), so a count takes
nothing of what answers wait for, and waits for nothing itself. A provider that has refused one, or
broken down over one, is left alone for a while.
"""

from __future__ import annotations

from typing import Final

import trio

from forebay.actors.jobs.calls import refused, unspeakable
from forebay.actors.jobs.failures import (
    CallFailed,
    JobFailure,
    JobHistory,
    network_failure,
)
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.linked_images import LinkedImages
from forebay.actors.jobs.operations import Wording
from forebay.actors.jobs.token_count_operation import TokenCount
from forebay.actors.providers.model_names import spellings
from forebay.actors.providers.provider import Provider, Target
from forebay.actors.routing.eligibility import eligible_targets
from forebay.actors.upstream import UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.jsontext import InvalidJson
from forebay.protocol.providers.base import CallFailure, FailureKind

_PATIENCE: Final = 5.0
"""Seconds for a count. Agents ask before every step: an estimate now is worth more than a count
later."""
_REST: Final = 10.0
"""Seconds without a count for a provider that could not give one."""
_LONGEST_REST: Final = 300.0
_AT_FAULT: Final = frozenset(
    {ErrorKind.BAD_REQUEST, ErrorKind.TOO_LARGE, ErrorKind.CONTEXT_OVERFLOW}
)


class TokenCounter:
    """Gets counts, and remembers who gives none now."""

    def __init__(self, linked_images: LinkedImages) -> None:
        self._linked_images = linked_images
        self._resting: dict[str, float] = {}
        """Until when, on trio's clock; by the names of providers."""

    async def count(
        self, job: Job[TokenCount], targets: tuple[Target, ...], model: str
    ) -> tuple[TokenCount, JobHistory] | None:
        """The count of the first of ``targets`` that has one now; None: none has.

        Args:
            targets: all have an API for it.
            model: as clients know it.

        Raises:
            JobFailure: the request is at fault: its provider says so, knows no such model, or
                can't be told what it asks.
            ApiFailure: BAD_REQUEST, an image that it links to can't be had.
        """
        async with self._linked_images.brought_in(job, targets) as ready:
            for target, wording in eligible_targets(ready, targets, model).items():
                if self._rests(target):
                    continue
                count = await self._ask(ready, target, wording)
                if count is not None:
                    waited = trio.current_time() - job.arrived_at
                    return count, JobHistory(waited=waited, attempts=1, target=target.name)
        return None

    def _rests(self, target: Target) -> bool:
        until = self._resting.get(target.provider.name, 0.0)
        return target.pooled.out is not None or trio.current_time() < until

    def _rest(self, provider: Provider, seconds: float) -> None:
        self._resting[provider.name] = trio.current_time() + min(seconds, _LONGEST_REST)

    async def _ask(
        self, job: Job[TokenCount], target: Target, wording: Wording
    ) -> TokenCount | None:
        try:
            with trio.fail_after(_PATIENCE):
                return await _call(job, target, wording)
        except trio.TooSlowError:
            self._rest(target.provider, _REST)
        except CallFailed as failed:
            if _is_the_requests_fault(failed, target):
                history = JobHistory(
                    waited=trio.current_time() - job.arrived_at, attempts=1, target=target.name
                )
                raise JobFailure(failed.failure.error, history, failed.relayed) from None
            self._rest(target.provider, failed.failure.retry_after or _REST)
        return None


def is_known_to_lack(target: Target) -> bool:
    """Whether the provider of ``target`` lists models, and not this one. Some take names with a
    variant after a colon that they don't list."""
    listed = target.provider.listing.models
    names = (*spellings(target.model_id), target.model_id.partition(":")[0])
    return bool(listed) and not any(name in listed for name in names)


def _is_the_requests_fault(failed: CallFailed, target: Target) -> bool:
    failure = failed.failure
    if failure.kind is not FailureKind.REQUEST_REJECTED:
        return False
    return failure.error.kind in _AT_FAULT or (
        failed.relayed is not None and _tells_of_the_model(failure, target)
    )


def _tells_of_the_model(failure: CallFailure, target: Target) -> bool:
    """A 404 may also mean that the server has no such API."""
    error = failure.error
    about = ("model", target.model_id.lower())
    return error.kind is ErrorKind.MODEL_NOT_FOUND and any(
        name in error.message.lower() for name in about
    )


async def _call(job: Job[TokenCount], target: Target, wording: Wording) -> TokenCount:
    """Raises:
    CallFailed: there is no count.
    """
    try:
        call = job.operation.prepare(target, wording)
    except (InvalidJson, RecursionError) as fault:
        raise JobFailure(unspeakable(fault).error, JobHistory()) from None
    request = call.request
    provider = target.provider
    try:
        async with open_call(
            provider.transport,
            "POST",
            request.url(provider.hosts[0]),
            headers=request.headers,
            body=request.body,
            timeouts=provider.timeouts,
        ) as answer:
            if answer.status >= 400:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                raise await refused(request, answer, headers)
            return await call.read(answer)
    except UpstreamFailure as failure:
        raise CallFailed(network_failure(failure, target)) from None
