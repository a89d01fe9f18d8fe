"""Server-sent events (HTML Living Standard, section 9.2.6), decoded from bytes.

Lines end at LF, CR LF or CR and at nothing else: U+2028, U+0085 or a form feed inside a JSON
string must not cut an event. Bytes may be split anywhere, also inside a character or between a CR
and its LF. A byte order mark at the start is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.protocol.framing._limits import DEFAULT_FRAME_LIMIT, FrameTooLong

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event."""

    name: str
    """The ``event:`` field, or "" where there was none."""
    data: bytes
    """The ``data:`` lines joined with LF, undecoded."""


class SseFramer:
    """Turns the bytes of one event stream into its events; comments are skipped.

    Args:
        limit: Of one event, in bytes of its lines and their ends.
        bare_json: A line that begins with ``{`` is an event of its own. No field of the standard
            begins so; some servers write an error into a running stream as bare JSON.
    """

    def __init__(self, *, limit: int = DEFAULT_FRAME_LIMIT, bare_json: bool = False) -> None:
        self._limit = limit
        self._bare_json = bare_json
        self._unfinished = bytearray()
        self._ends_with_cr = False
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._event_bytes = 0
        self._broken = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes.

        Raises:
            FrameTooLong: a line or event exceeds the limit. The events before it are handed out
                first: then the next call raises. What follows such an event is not read.
        """
        if self._broken:
            raise FrameTooLong(self._limit)
        if self._ends_with_cr and data:
            self._ends_with_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if data.endswith(b"\r"):
            self._ends_with_cr = True
        events: list[SseEvent] = []
        try:
            self._split(data, events)
        except FrameTooLong:
            self._broken = True
            self._unfinished.clear()
            self._data.clear()
            if not events:
                raise
        return events

    def close(self) -> list[SseEvent]:
        """At the end of the stream: an event that lacks its blank line.

        The standard drops such an event; some servers end their streams so, and a cut event is
        not valid JSON anyway.

        Raises:
            FrameTooLong: as :meth:`feed` does.
        """
        if self._broken:
            raise FrameTooLong(self._limit)
        events: list[SseEvent] = []
        if self._unfinished:
            self._end_line(b"", events)
        self._take_line(b"", events)
        return events

    def _split(self, data: bytes, events: list[SseEvent]) -> None:
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._check_length(line)
            self._end_line(line, events)
        self._check_length(rest)
        self._unfinished += rest

    def _check_length(self, more: bytes) -> None:
        if self._event_bytes + len(self._unfinished) + len(more) > self._limit:
            raise FrameTooLong(self._limit)

    def _end_line(self, line: bytes, events: list[SseEvent]) -> None:
        if self._unfinished:
            self._unfinished += line
            line = bytes(self._unfinished)
            self._unfinished.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        self._take_line(line, events)

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        if not line:
            self._dispatch(events)
            return
        if self._bare_json and line.startswith(b"{"):
            events.append(SseEvent("", line))
            return
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._event_bytes += len(line) + 1
            self._data.append(value)
        elif field == b"event":
            self._name = value[:256].decode("utf-8", "replace")

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(self._name, b"\n".join(self._data)))
        self._name = ""
        self._data.clear()
        self._event_bytes = 0
