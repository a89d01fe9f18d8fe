"""An answer that has begun: its content, in the upstream's bytes and as canonical events."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from math import inf

import trio

from forebay.actors.jobs.calls import said_in_answer
from forebay.actors.jobs.failures import network_failure
from forebay.actors.jobs.operations import Content, UpstreamRequest
from forebay.actors.scheduling.gates import Ending
from forebay.actors.upstream import AnswerBroken, UpstreamAnswer
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    ChatResponse,
    Finish,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import StreamDecoder
from forebay.protocol.providers.base import CallFailure

_BYTES_PER_TOKEN = 4
_PATIENCE_FOR_THE_END = 1.0


@dataclass(frozen=True, slots=True)
class Piece:
    """What one read of a stream brought."""

    raw: bytes
    events: list[StreamEvent]

    @property
    def said_by_upstream(self) -> bool:
        """False for an error that was noticed here and that no byte of the upstream says."""
        return bool(self.raw)


def read_pieces(decoder: StreamDecoder, chunk: bytes) -> list[Piece]:
    """What one read brought: one piece, and a second one for an error in place of bytes that
    clients would skip."""
    events = decoder.feed(chunk)
    if not decoder.unreadable:
        return [Piece(chunk, events)]
    *before, error = events
    readable = chunk[: -decoder.unreadable]
    return [*([Piece(readable, before)] if readable or before else []), Piece(b"", [error])]


class WholeAnswer(Content):
    """A whole answer."""

    def __init__(
        self,
        request: UpstreamRequest,
        body: bytes,
        response: ChatResponse,
        content_type: str | None,
    ) -> None:
        self.request = request
        self.body = body
        self.response = response
        self.content_type = content_type or "application/json"

    @property
    def usage(self) -> Usage | None:
        return self.response.usage

    @property
    def output_estimate(self) -> int:
        size = 0
        for part in self.response.parts:
            match part:
                case Text() | Thinking() | Refusal():
                    size += len(part.text)
                case ToolCall():
                    size += len(part.arguments)
                case _:
                    pass
        return max(1, size // _BYTES_PER_TOKEN)


class AnswerStream(Content):
    """An answer that comes in pieces. Iterate it once, in one task."""

    is_whole = False
    request: UpstreamRequest
    content_type: str | None
    failed: bool
    """It was broken off: its last event was a :class:`StreamError`."""

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    @abstractmethod
    async def __anext__(self) -> Piece:
        """The next piece. A stream that breaks ends with a :class:`StreamError` event."""


class StreamedAnswer(AnswerStream):
    """A stream of one call, that has begun to say something."""

    def __init__(
        self,
        request: UpstreamRequest,
        answer: UpstreamAnswer,
        decoder: StreamDecoder,
        read_ahead: list[Piece],
        *,
        at_end: bool,
    ) -> None:
        self.request = request
        self._usage: Usage | None = None
        self._failure: CallFailure | None = None
        self.finished = False
        """The upstream said that the answer is complete."""
        self.failed = False
        self.content_type: str | None = answer.headers.get("content-type")
        self._answer = answer
        self._decoder = decoder
        self._read_ahead = deque(read_ahead)
        self._at_end = at_end
        self._end_by = inf
        self._output_bytes = 0

    @property
    def usage(self) -> Usage | None:
        return self._usage

    @property
    def output_estimate(self) -> int:
        return self._output_bytes // _BYTES_PER_TOKEN

    @property
    def ending(self) -> Ending:
        return Ending.SERVED if self.finished else Ending.ABANDONED

    @property
    def failure(self) -> CallFailure | None:
        return self._failure

    async def __anext__(self) -> Piece:
        if self._read_ahead:
            piece = self._read_ahead.popleft()
        elif self._at_end:
            raise StopAsyncIteration
        else:
            piece = await self._read()
        for event in piece.events:
            self._observe(event)
        return piece

    async def _read(self) -> Piece:
        try:
            chunk = await (self._last_bytes() if self.finished else self._answer.next_chunk())
        except AnswerBroken as failure:
            self._at_end = True
            if self.finished:
                raise StopAsyncIteration from None
            target = self.request.target
            broken = network_failure(failure, target)
            target.last_failure.note(broken, trio.current_time())
            self._failure = broken
            return Piece(b"", [StreamError(broken.error)])
        if chunk:
            piece, *rest = read_pieces(self._decoder, chunk)
            self._read_ahead.extend(rest)
            return piece
        self._at_end = True
        events = self._decoder.close()
        if not events:
            raise StopAsyncIteration
        return Piece(b"", events)

    async def _last_bytes(self) -> bytes:
        """When all was said only the transfer's own end is missing: not worth a long wait."""
        with trio.move_on_at(self._end_by):
            return await self._answer.next_chunk()
        return b""

    def _observe(self, event: StreamEvent) -> None:
        match event:
            case TextDelta(text=text) | ThinkingDelta(text=text):
                self._output_bytes += len(text)
            case ArgumentsDelta(json=json):
                self._output_bytes += len(json)
            case UsageReport(usage=usage):
                self._usage = usage
            case Start(usage=usage) if usage is not None:
                self._usage = usage
            case Finish():
                self.finished = True
                self._end_by = trio.current_time() + _PATIENCE_FOR_THE_END
            case StreamError():
                self.failed = True
                self._at_end = True
                if self._failure is None:
                    self._failure = said_in_answer(self.request.target, event)
            case _:
                pass
