"""Asking a provider about an answer that it keeps: to fetch it, to follow it, to stop or delete it.

Such calls ask for nothing of a model, so they take no permit and wait in no queue. They do respect
what the provider says of its limits: a refusal is waited out, and so is a pause that answers of the
same model have run into, as long as the client has time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import trio

from forebay.actors.jobs.calls import refused, server_failed
from forebay.actors.jobs.failures import CallFailed, JobFailure, JobHistory, network_failure
from forebay.actors.jobs.operations import QueryField, UpstreamRequest
from forebay.actors.providers.provider import Target
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Demand
from forebay.actors.upstream import UpstreamAnswer, UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.openai import OPENAI, OPENAI_RESPONSES
from forebay.protocol.providers.base import CallFailure, FailureKind

_MOST_FAILURES: Final = 3
"""Calls that may break before the client is told. Refusals don't count."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
"""Seconds between calls where the provider does not say when to come back."""
_CLOSE_SECONDS: Final = 1.0
_NO_TOKENS: Final = Demand(1.0)
_MAY_BE_REPEATED: Final = frozenset({"GET"})
"""Whatever became of the first call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseQuestion:
    """What is asked about one answer."""

    method: str
    response_id: str
    about: str = ""
    """What of it, as the path has it: ``input_items``; empty for the answer itself."""
    query: tuple[QueryField, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the client's request; names in lower case."""

    def path(self, below: str) -> str:
        """Where it is asked, if the API is at ``below``."""
        path = f"{below}/{quote(self.response_id, safe='')}"
        if self.about:
            path += f"/{self.about}"
        if self.query:
            path += "?" + urlencode(self.query, quote_via=quote)
        return path


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What the provider answers, with a status below 300, and how it came about."""

    answer: UpstreamAnswer
    history: JobHistory


@asynccontextmanager
async def open_remote_answer(
    target: Target, question: ResponseQuestion, *, arrived_at: float, deadline: float
) -> AsyncIterator[RemoteAnswer]:
    """Ask, and ask again while the provider refuses for a time.

    Args:
        target: the model that made the answer.
        arrived_at: on trio's clock, as ``deadline``: until when it may be waited for.

    Raises:
        JobFailure: there is no answer: the provider rejects the question (``relayed`` says how),
            its refusals outlast the time (RATE_LIMITED), it broke, or lets the gateway not in.
    """
    asking = _Asking(target, question, arrived_at, deadline)
    stack = AsyncExitStack()
    try:
        answer = await asking.answer(stack)
        yield RemoteAnswer(answer, asking.history())
    except UpstreamFailure as failure:  # its body broke
        raise asking.failed(network_failure(failure, target)) from None
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            await stack.aclose()


class _Asking:
    """One question on its way to its answer."""

    def __init__(
        self, target: Target, question: ResponseQuestion, arrived_at: float, deadline: float
    ) -> None:
        self._target = target
        self._question = question
        self._arrived_at = arrived_at
        self._deadline = deadline
        self._attempts = 0
        self._failures = 0
        self._pause = _FIRST_PAUSE

    async def answer(self, stack: AsyncExitStack) -> UpstreamAnswer:
        """The answer, whose connection belongs to ``stack``."""
        while True:
            await self._pass_cooldown()
            self._attempts += 1
            try:
                return await self._call(stack)
            except CallFailed as failed:
                await self._wait_after(failed)

    async def _call(self, stack: AsyncExitStack) -> UpstreamAnswer:
        target = self._target
        provider = target.provider
        profile = provider.profile
        headers = dict(provider.headers)
        wanted = profile.forwarded_headers
        said = self._question.headers
        headers.update((name, value) for name, value in said.items() if name in wanted)
        path = self._question.path(profile.paths[OPENAI_RESPONSES])
        async with AsyncExitStack() as call:
            try:
                answer = await call.enter_async_context(
                    open_call(
                        provider.transport,
                        self._question.method,
                        provider.hosts[0] + path,
                        headers=headers,
                        body=b"",
                        timeouts=provider.timeouts,
                    )
                )
                if answer.status >= 400:
                    request = UpstreamRequest(
                        target=target,
                        api=OPENAI_RESPONSES,
                        dialect=OPENAI,
                        passes_through=True,
                        path=path,
                        body=b"",
                        headers=headers,
                    )
                    told = {name.lower(): value for name, value in answer.headers.items()}
                    raise await refused(request, answer, told)
            except UpstreamFailure as failure:
                raise CallFailed(network_failure(failure, target)) from None
            if answer.status >= 300:
                raise CallFailed(server_failed("the upstream answered with a redirect"))
            stack.push_async_exit(call.pop_all())
            return answer

    async def _pass_cooldown(self) -> None:
        """Wait until answers of the same model might be asked for again, as far as pauses go."""
        gates = [gate for route in self._target.pooled.routes for gate in route.gates]
        cooldowns = [gate for gate in gates if isinstance(gate, Cooldown)]
        while True:
            now = trio.current_time()
            until = max((each.ready_at(_NO_TOKENS, now) for each in cooldowns), default=now)
            if until <= now:
                return
            await self._wait_until(until)

    async def _wait_after(self, failed: CallFailed) -> None:
        """Wait for as long as it makes sense to.

        Raises:
            JobFailure: it makes none.
        """
        failure = failed.failure
        match failure.kind:
            case FailureKind.RATE_LIMITED | FailureKind.OVERLOADED:
                pause = self._next_pause() if failure.retry_after is None else failure.retry_after
            case FailureKind.UNREACHABLE | FailureKind.SERVER_FAILED | FailureKind.TIMED_OUT:
                self._failures += 1
                sent = failure.kind is not FailureKind.UNREACHABLE
                once_only = sent and self._question.method not in _MAY_BE_REPEATED
                if once_only or self._failures >= _MOST_FAILURES:
                    raise self.failed(failure)
                pause = self._next_pause()
            case FailureKind.REQUEST_REJECTED:
                raise JobFailure(failure.error, self.history(), failed.relayed)
            case _:
                # The words are about the gateway's key or account, which no client knows.
                name = self._target.provider.name
                message = f"provider '{name}', which keeps this answer, lets the gateway not in now"
                error = ApiError(kind=ErrorKind.UNAVAILABLE, message=message)
                raise JobFailure(error, self.history())
        await self._wait_until(trio.current_time() + pause)

    def _next_pause(self) -> float:
        pause = self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return pause

    async def _wait_until(self, when: float) -> None:
        """Raises JobFailure: that is too late for the client."""
        if when > self._deadline:
            seconds = float(max(1, -int(-(when - trio.current_time()) // 1)))
            name = self._target.provider.name
            message = (
                f"provider '{name}', which keeps this answer, wants to be asked again in "
                f"{seconds:g} s, and this request can't wait as long"
            )
            error = ApiError(
                kind=ErrorKind.RATE_LIMITED,
                message=message,
                code="rate_limit_exceeded",
                retry_after=seconds,
            )
            raise JobFailure(error, self.history())
        await trio.sleep_until(when)

    def failed(self, failure: CallFailure) -> JobFailure:
        """What the client is told of a provider that broke, whatever words that came in."""
        error = failure.error
        if error.kind not in (ErrorKind.UPSTREAM_ERROR, ErrorKind.UPSTREAM_TIMEOUT):
            error = ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=error.message)
        return JobFailure(error, self.history())

    def history(self) -> JobHistory:
        """What the question has gone through."""
        return JobHistory(
            waited=trio.current_time() - self._arrived_at,
            attempts=self._attempts,
            target=self._target.name,
        )
