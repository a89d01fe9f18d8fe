"""An answer as canonical events, for programs that embed the gateway."""

from __future__ import annotations

import warnings
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import trio

from forebay.actors.jobs.answers import AnswerStream
from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.failures import JobHistory
from forebay.actors.jobs.job import Client, Job
from forebay.actors.jobs.priorities import priority_of_tier
from forebay.protocol.canonical.assembly import ResponseAssembler
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import ChatResponse, StreamError, StreamEvent
from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.tool_names import events_with_given_names

if TYPE_CHECKING:
    from forebay.actors.gateway.gateway import Gateway

_NO_DIALECT = Dialect("")


class ChatStream:
    """One answer: ``async for event in gateway.chat(request)``.

    It waits for its turn at the first event. Read to its end it closes itself. Who may stop
    earlier uses it as a context manager, so that the call ends and its permit returns at once::

        async with gateway.chat(request) as stream:
            async for event in stream: ...

    Raises (while iterating):
        ApiFailure: there is no answer, or it broke off; :class:`JobFailure` before its first
            event.
    """

    def __init__(
        self, gateway: Gateway, request: ChatRequest, *, client: Client, max_wait: float | None
    ) -> None:
        self._gateway = gateway
        self._request = replace(request, stream=True, stream_usage=True)
        self._renamed = events_with_given_names(request)
        self._client = client
        self._max_wait = max_wait
        self._stack: AsyncExitStack | None = None
        self._content: AnswerStream | None = None
        self._events: list[StreamEvent] = []
        self._closed = False
        self.history: JobHistory | None = None
        """How the answer came about; there from the first event on."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._content is None:
                self._content = await self._open()
            while not self._events:
                piece = await anext(self._content)
                self._events = self._as_asked(piece.events)[::-1]
        except StopAsyncIteration:
            await self.aclose()
            raise
        except BaseException:
            await self.aclose()
            raise
        event = self._events.pop()
        if isinstance(event, StreamError):
            await self.aclose()
            raise ApiFailure(event.error)
        return event

    def _as_asked(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """With the names that the request gives its tools."""
        return events if self._renamed is None else [self._renamed(event) for event in events]

    async def response(self) -> ChatResponse:
        """The whole answer."""
        assembler = ResponseAssembler()
        async for event in self:
            assembler.add(event)
        return assembler.response()

    async def aclose(self) -> None:
        """End the call. Again: does nothing."""
        self._closed = True
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    async def _open(self) -> AnswerStream:
        now = trio.current_time()
        gateway = self._gateway
        operation = ChatOperation(self._request)
        resolution = await gateway.catalog.resolve(
            self._request.model, _NO_DIALECT, self._client, operation
        )
        max_wait = self._max_wait
        if max_wait is None:
            max_wait = (
                gateway.settings.max_wait_ms_for(model=resolution.name, client=self._client.name)
                / 1000
            )
        job = Job(
            operation=operation,
            client=self._client,
            arrived_at=now,
            deadline=now + max_wait,
            on_unsupported=gateway.settings.on_unsupported_for(
                model=resolution.name, client=self._client.name
            ),
            priority=priority_of_tier(operation.service_tier),
            conversation=(
                operation.conversation(self._client.name) if resolution.is_sticky else None
            ),
        )
        self._stack = AsyncExitStack()
        answer = await self._stack.enter_async_context(gateway.open_answer(job, resolution))
        self.history = answer.history
        assert isinstance(answer.content, AnswerStream)  # the request asks for a stream
        return answer.content

    def __del__(self) -> None:
        if self._stack is not None:
            warnings.warn(
                "a chat stream was dropped before its end; use 'async with gateway.chat(...)'",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
