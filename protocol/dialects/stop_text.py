"""Taking stop sequences out of the streams of servers that leave them in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from forebay.protocol.canonical.events import (
    Finish,
    FinishReason,
    PartStop,
    StreamError,
    StreamEvent,
    TextDelta,
)
from forebay.protocol.dialects.base import StreamDecoder

_LONGEST_STOP = 256
_MOST_STOPS = 64


@dataclass(slots=True)
class _Tail:
    """The end of a part's text that may be the beginning of a stop sequence."""

    held: str = ""
    stop: str | None = None
    """The sequence that was found: nothing of the part is shown from there on."""


class WithoutStopText(StreamDecoder):
    """Reads a stream with ``decoder`` and ends each text before its first stop sequence.

    Text is held back only while it may turn out to be one. Linear in the length of the text, for
    each sequence.
    """

    def __init__(self, decoder: StreamDecoder, stop: tuple[str, ...]) -> None:
        """
        Args:
            stop: the sequences that were asked for. Only so many of them, and none that are
                longer than anybody's, are looked for: the work for each piece must stay small.
        """
        self._decoder = decoder
        usual = (one for one in stop if 0 < len(one) <= _LONGEST_STOP)
        self._stop = tuple(islice(usual, _MOST_STOPS))
        self._tails: dict[int, _Tail] = {}
        self._found: str | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._shown(self._decoder.feed(data))

    def close(self) -> list[StreamEvent]:
        return self._shown(self._decoder.close())

    def _shown(self, events: list[StreamEvent]) -> list[StreamEvent]:
        shown: list[StreamEvent] = []
        for event in events:
            match event:
                case TextDelta():
                    shown += self._text(event)
                    continue
                case PartStop(index=index):
                    shown += self._rest(index)
                case Finish() | StreamError():
                    for index in list(self._tails):
                        shown += self._rest(index)
                case _:
                    pass
            shown.append(self._finish(event) if isinstance(event, Finish) else event)
        return shown

    def _text(self, delta: TextDelta) -> list[StreamEvent]:
        tail = self._tails.setdefault(delta.index, _Tail())
        if tail.stop is not None:
            return []
        text = tail.held + delta.text
        found = [(at + len(stop), at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            # The one that is complete first: that is where a server stops.
            _, at, tail.stop = min(found)
        else:
            at = len(text) - self._may_begin_a_stop(text)
        if tail.stop is not None:
            self._found = tail.stop
        tail.held = text[at:] if tail.stop is None else ""
        return [replace(delta, text=text[:at])] if at or delta.extras else []

    def _may_begin_a_stop(self, text: str) -> int:
        """How many characters at the end of ``text`` may be the beginning of a sequence."""
        longest = max(map(len, self._stop), default=0)
        return next(
            (
                size
                for size in range(min(longest - 1, len(text)), 0, -1)
                if any(stop.startswith(text[-size:]) for stop in self._stop)
            ),
            0,
        )

    def _rest(self, index: int) -> list[StreamEvent]:
        tail = self._tails.pop(index, None)
        return [TextDelta(index, tail.held)] if tail is not None and tail.held else []

    def _finish(self, event: Finish) -> Finish:
        if self._found is None or event.reason is not FinishReason.END:
            return event
        return replace(event, reason=FinishReason.STOP_SEQUENCE, stop_sequence=self._found)
