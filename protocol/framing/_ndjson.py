"""Newline-delimited frames (NDJSON, as Ollama streams it)."""

from __future__ import annotations

from forebay.protocol.framing._limits import DEFAULT_FRAME_LIMIT, FrameTooLong


class LineFramer:
    """Splits a byte stream at LF; blank lines are skipped, CRs before the LF are dropped."""

    def __init__(self, *, limit: int = DEFAULT_FRAME_LIMIT) -> None:
        self._limit = limit
        self._unfinished = bytearray()
        self._broken = False
        self.ends: list[int] = []
        """Where, in the bytes that were fed last, each of their lines ends."""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their line ends.

        Raises:
            FrameTooLong: a line exceeds the limit. The lines before it are handed out first: then
                the next call raises. What follows such a line is not read.
        """
        self.ends = []
        if self._broken:
            raise FrameTooLong(self._limit)
        lines: list[bytes] = []
        try:
            self._split(data, lines)
        except FrameTooLong:
            self._broken = True
            self._unfinished.clear()
            if not lines:
                raise
        return lines

    def close(self) -> list[bytes]:
        """At the end of the stream: the last line, where it lacks its line end.

        Raises:
            FrameTooLong: as :meth:`feed` does.
        """
        if self._broken:
            raise FrameTooLong(self._limit)
        line = bytes(self._unfinished)
        self._unfinished.clear()
        return [line.rstrip(b"\r")] if line.strip() else []

    def _split(self, data: bytes, lines: list[bytes]) -> None:
        *complete, rest = data.split(b"\n")
        end = 0
        for line in complete:
            end += len(line) + 1
            self._check_length(line)
            if self._unfinished:
                self._unfinished += line
                line = bytes(self._unfinished)
                self._unfinished.clear()
            if line.strip():
                lines.append(line.rstrip(b"\r"))
                self.ends.append(end)
        self._check_length(rest)
        self._unfinished += rest

    def _check_length(self, more: bytes) -> None:
        if len(self._unfinished) + len(more) > self._limit:
            raise FrameTooLong(self._limit)
