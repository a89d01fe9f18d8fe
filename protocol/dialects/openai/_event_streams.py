"""Reading a stream of events: what chats, completions and responses have alike."""

from __future__ import annotations

from abc import abstractmethod

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError, StreamEvent, Usage, UsageReport
from forebay.protocol.dialects.base import StreamDecoder
from forebay.protocol.framing import FrameTooLong, SseEvent, SseFramer

DONE = b"[DONE]"


class EventStreamDecoder(StreamDecoder):
    """Cuts a stream into frames, collects what they mean, and ends once."""

    def __init__(self) -> None:
        self._frames = SseFramer(bare_json=True)
        self._events: list[StreamEvent] = []
        """Not handed out yet."""
        self._started = False
        self._ended = False
        self._usage: Usage | None = None

    @abstractmethod
    def _read(self, frame: SseEvent, *, cut: bool = False) -> None:
        """Reads one event; ``cut``: it may have lost its end with the connection."""

    @abstractmethod
    def _end(self) -> None:
        """Nothing more comes. Again, or after the end: does nothing."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        if self._ended:
            return []
        try:
            frames = self._frames.feed(data)
        except FrameTooLong as fault:
            self._fail_with(str(fault))
        else:
            for frame in frames:
                self._read(frame)
        return self._taken()

    def close(self) -> list[StreamEvent]:
        if self._ended:
            return []
        try:
            frames = self._frames.close()
        except FrameTooLong as fault:
            self._fail_with(str(fault))
        else:
            for frame in frames:
                self._read(frame, cut=True)
            self._end()
        return self._taken()

    def _taken(self) -> list[StreamEvent]:
        events, self._events = self._events, []
        return events

    def _fail_too_early(self) -> None:
        self._fail_with("the upstream's answer ended before it was complete")

    def _fail_with(self, message: str) -> None:
        self._fail(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message), None)

    def _fail(self, error: ApiError, status: int | None) -> None:
        if self._started:
            self._report_usage()
        self._events.append(StreamError(error, status))
        self._ended = True

    def _report_usage(self) -> None:
        if self._usage is not None:
            self._events.append(UsageReport(self._usage))
