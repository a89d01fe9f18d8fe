"""Newline-delimited frames (NDJSON, as Ollama streams it)."""

from __future__ import annotations

from forebay.protocol.framing._limits import DEFAULT_FRAME_LIMIT, FrameTooLong


class LineFramer:
    """Splits a byte stream at LF; blank lines are skipped, a CR before the LF is dropped."""

    def __init__(self, *, limit: int = DEFAULT_FRAME_LIMIT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their line ends.

        Raises:
            FrameTooLong: an unfinished line exceeds the limit.
        """
        *complete, rest = data.split(b"\n")
        lines: list[bytes] = []
        for piece in complete:
            line = b"".join((*self._pieces, piece)) if self._pieces else piece
            self._pieces.clear()
            self._held = 0
            if len(line) > self._limit:
                raise FrameTooLong(self._limit)
            if line.strip():
                lines.append(line.rstrip(b"\r"))
        if rest:
            self._held += len(rest)
            if self._held > self._limit:
                raise FrameTooLong(self._limit)
            self._pieces.append(rest)
        return lines

    def close(self) -> list[bytes]:
        """At the end of the stream: the last line, where it lacks its line end."""
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return [line.rstrip(b"\r")] if line.strip() else []
