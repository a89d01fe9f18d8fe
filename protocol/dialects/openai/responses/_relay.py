"""An upstream's stream of this same API on its way to the client.

Its bytes pass unaltered until the gateway has had to say something itself: then the client knows
another id than the upstream's, and has seen numbers that the upstream does not count. From there
on events are renamed and renumbered, and the upstream's own ``response.created`` is left out where
the client has had one: clients take a change of the id for a broken stream.
"""

from __future__ import annotations

from forebay.protocol.dialects.openai.responses._output_items import text_in
from forebay.protocol.framing import FrameTooLong, SseEvent, SseFramer
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads

_ANSWERED = frozenset({"response.completed", "response.incomplete"})
_TERMINAL = _ANSWERED | {"response.failed", "error"}


class StreamRelay:
    """Passes one stream on.

    Args:
        client_id: The id that the client has been told; "" where it has been told nothing.
        next_number: The ``sequence_number`` of the next event.
    """

    def __init__(self, *, client_id: str, next_number: int) -> None:
        self.client_id = client_id
        self.upstream_id = ""
        self._announced = bool(client_id)
        self._rewrites = bool(client_id)
        self._next_number = next_number
        self._ended = False
        self._final: JsonObject | None = None
        self._frames = SseFramer(bare_json=True)
        self._last: SseEvent | None = None
        """The last event that passed unread: only where the gateway has to speak does it matter
        what it was."""
        self._unread = 0

    @property
    def next_number(self) -> int:
        """The ``sequence_number`` that an event of the gateway's would have now."""
        self._read_last()
        return self._next_number

    @property
    def ended(self) -> bool:
        """The upstream has said its last event."""
        self._read_last()
        return self._ended

    @property
    def final_response(self) -> JsonObject | None:
        """The answer as its last event has told it; None unless it has come to its end."""
        self._read_last()
        return self._final

    def feed(self, raw: bytes) -> bytes:
        """What the client gets of these bytes: they themselves, or the whole events in them."""
        try:
            frames = self._frames.feed(raw)
        except FrameTooLong:
            return b"" if self._rewrites else raw
        if self._rewrites:
            return b"".join([self._rewritten(frame) for frame in frames])
        for frame in frames:
            if not frame.data.startswith(b"{"):
                continue
            self._last = frame
            self._unread += 1
            if not self.upstream_id:
                self._read_last()
        return raw

    def interpose(self, *, next_number: int) -> None:
        """The gateway has said something between two events."""
        self._next_number = next_number
        self._rewrites = True

    def _read_last(self) -> None:
        if self._last is None:
            return
        event = _event_in(self._last)
        if event is not None:
            self._note(text_in(event, "type") or self._last.name, event)
            number = event.get("sequence_number")
            counted = self._next_number + self._unread - 1
            self._next_number = (number if isinstance(number, int) else counted) + 1
        self._last, self._unread = None, 0

    def _note(self, name: str, event: JsonObject) -> None:
        self._ended = self._ended or name in _TERMINAL
        response = event.get("response")
        if isinstance(response, dict):
            self.upstream_id = text_in(response, "id") or self.upstream_id
            self.client_id = self.client_id or self.upstream_id
            if name in _ANSWERED:
                self._final = response

    def _rewritten(self, frame: SseEvent) -> bytes:
        event = _event_in(frame)
        if event is None:
            return _frame(frame.name, frame.data)
        name = text_in(event, "type") or frame.name
        self._note(name, event)
        if name == "response.created" and self._announced:
            return b""
        if "type" in event:  # not in an error that is no event of this API
            event["sequence_number"] = self._next_number
            self._next_number += 1
        response = event.get("response")
        if isinstance(response, dict):
            response["id"] = self.client_id
        try:
            return _frame(name, dumps(event))
        except InvalidJson:  # nested more deeply than can be written
            return _frame(frame.name, frame.data)


def _event_in(frame: SseEvent) -> JsonObject | None:
    """The event; None where the frame holds something else."""
    try:
        event = loads(frame.data)
    except InvalidJson:
        return None
    return event if isinstance(event, dict) else None


def _frame(name: str, data: bytes) -> bytes:
    head = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (head, data.replace(b"\n", b"\ndata: "))
