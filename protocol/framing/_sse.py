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
    """Turns the bytes of one event stream into its events; comments are skipped."""

    def __init__(self, *, limit: int = DEFAULT_FRAME_LIMIT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0
        self._ends_with_cr = False
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._event_bytes = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes.

        Raises:
            FrameTooLong: an unfinished line or event exceeds the limit.
        """
        if self._ends_with_cr and data:
            self._ends_with_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if data.endswith(b"\r"):
            self._ends_with_cr = True
        if self._pieces and not (b"\n" in data or b"\r" in data):
            self._hold(data)
            return []
        *lines, rest = _LINE_END.split(data)
        events: list[SseEvent] = []
        for line in lines:
            if self._pieces:
                line = b"".join((*self._pieces, line))
                self._pieces.clear()
                self._held = 0
            event = self._take_line(line)
            if event is not None:
                events.append(event)
        if rest:
            self._hold(rest)
        return events

    def close(self) -> list[SseEvent]:
        """At the end of the stream: an event that lacks its blank line.

        The standard drops such an event; some servers end their streams so, and a cut event is
        not valid JSON anyway.
        """
        events: list[SseEvent] = []
        if self._pieces:
            line = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
            event = self._take_line(line)
            assert event is None
        event = self._take_line(b"")
        if event is not None:
            events.append(event)
        return events

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held + self._event_bytes > self._limit:
            raise FrameTooLong(self._limit)
        self._pieces.append(piece)

    def _take_line(self, line: bytes) -> SseEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._event_bytes += len(value) + 1
            if self._event_bytes > self._limit:
                raise FrameTooLong(self._limit)
            self._data.append(value)
        elif field == b"event":
            self._name = value[:256].decode("utf-8", "replace")
        return None

    def _dispatch(self) -> SseEvent | None:
        event = SseEvent(self._name, b"\n".join(self._data)) if self._data else None
        self._name = ""
        self._data.clear()
        self._event_bytes = 0
        return event
