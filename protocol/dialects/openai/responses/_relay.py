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

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class StreamRelay:
    """Passes one stream on.

    Args:
        client_id: The id that the client has been told; "" where it has been told nothing.
        next_number: The ``sequence_number`` of the next event.
    """

    def __init__(self, *, client_id: str, next_number: int) -> None:
        self.client_id = client_id
        self.upstream_id = ""
        self.next_number = next_number
        self.ended = False
        """The upstream has said its last event."""
        self._announced = bool(client_id)
        self._rewrites = bool(client_id)
        self._frames = SseFramer(bare_json=True)

    def feed(self, raw: bytes) -> bytes:
        """What the client gets of these bytes: they themselves, or the whole events in them."""
        try:
            frames = self._frames.feed(raw)
        except FrameTooLong:
            return b"" if self._rewrites else raw
        passed = [self._pass_on(frame) for frame in frames]
        return b"".join(passed) if self._rewrites else raw

    def interpose(self, *, next_number: int) -> None:
        """The gateway has said something between two events."""
        self.next_number = next_number
        self._rewrites = True

    def _pass_on(self, frame: SseEvent) -> bytes:
        try:
            event = loads(frame.data)
        except InvalidJson:
            return _frame(frame.name, frame.data)
        if not isinstance(event, dict):
            return _frame(frame.name, frame.data)
        name = text_in(event, "type") or frame.name
        self.ended = self.ended or name in _TERMINAL
        response = event.get("response")
        if isinstance(response, dict):
            self.upstream_id = text_in(response, "id") or self.upstream_id
            self.client_id = self.client_id or self.upstream_id
        if not self._rewrites:
            number = event.get("sequence_number")
            counted = number if isinstance(number, int) else self.next_number
            self.next_number = counted + 1
            return b""
        if name == "response.created" and self._announced:
            return b""
        return self._rewritten(name, frame, event)

    def _rewritten(self, name: str, frame: SseEvent, event: JsonObject) -> bytes:
        if "type" in event:  # not in an error that is no event of this API
            event["sequence_number"] = self.next_number
            self.next_number += 1
        response = event.get("response")
        if isinstance(response, dict):
            response["id"] = self.client_id
        try:
            return _frame(name, dumps(event))
        except InvalidJson:  # nested more deeply than can be written
            return _frame(frame.name, frame.data)


def _frame(name: str, data: bytes) -> bytes:
    head = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (head, data.replace(b"\n", b"\ndata: "))
