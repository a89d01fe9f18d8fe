"""The responses that a sandbox keeps, and what has become of each by now.

Nothing runs in the background: when a response is begun, how long it takes is known, and so is at
any time how far it must have come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from forebay.endpoints.sandbox._call import Answer, Identity
from forebay.endpoints.sandbox._http import Piece
from forebay.endpoints.sandbox._options import SandboxOptions
from forebay.endpoints.sandbox._responses_events import response_events
from forebay.endpoints.sandbox._responses_objects import (
    begun_response,
    ended_response,
    response_id,
)
from forebay.endpoints.sandbox._responses_reading import ResponsesCall
from forebay.protocol.jsontext import JsonObject

_MOST_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a response comes about; all at once where nobody says otherwise."""

    queued_seconds: float = 0.0
    seconds_per_piece: float = 0.0


@dataclass(slots=True)
class KeptResponse:
    """One response, from when it was asked for."""

    call: ResponsesCall
    answer: Answer
    identity: Identity
    pace: Pace
    _cancelled_at: float | None = None

    @property
    def id(self) -> str:
        return response_id(self.identity)

    @property
    def output(self) -> list[JsonObject]:
        """The items of the answer."""
        output = ended_response(self.call, self.answer, self.identity)["output"]
        assert isinstance(output, list)
        return [item for item in output if isinstance(item, dict)]

    @property
    def conversation(self) -> list[JsonObject]:
        """All items up to its end."""
        return [*self.call.input_items, *self.output]

    def shown(self, wall: float) -> JsonObject:
        """The Response object at that time."""
        elapsed = wall - self.identity.wall
        if self._cancelled_at is not None:
            return begun_response(self.call, self.identity, "cancelled")
        if elapsed < self.pace.queued_seconds:
            return begun_response(self.call, self.identity, "queued")
        if self.call.in_background and elapsed < max(self._due(self.events())):
            return begun_response(self.call, self.identity, "in_progress")
        return ended_response(self.call, self.answer, self.identity)

    def cancel(self, wall: float) -> None:
        """Stop, unless it has come to its end."""
        if self.shown(wall)["status"] in ("queued", "in_progress"):
            self._cancelled_at = wall

    def events(self) -> list[Piece]:
        """All, from the first."""
        return response_events(
            self.call, self.answer, self.identity, queued_seconds=self.pace.queued_seconds
        )

    def events_after(self, number: int, wall: float) -> list[Piece]:
        """The events after the one of this number: at once what was said before ``wall``, the
        others when they are due. Those of a cancelled response end where it was."""
        elapsed = wall - self.identity.wall
        end = None if self._cancelled_at is None else self._cancelled_at - self.identity.wall
        pieces: list[Piece] = []
        said = elapsed
        events = self.events()
        for at, (piece, due) in enumerate(zip(events, self._due(events), strict=True)):
            if at <= number or (end is not None and due > end):
                continue
            pieces.append(Piece(piece.data, pause=max(0.0, due - said)))
            said = max(said, due)
        return pieces

    def _due(self, events: Iterable[Piece]) -> Iterator[float]:
        """Seconds from the beginning at which each event is due."""
        due = 0.0
        paced = False
        for piece in events:
            due += piece.pause
            if piece.is_content and paced:
                due += self.pace.seconds_per_piece
            paced = paced or piece.is_content
            yield due


class KeptResponses:
    """The latest of one sandbox."""

    def __init__(self, options: Callable[[], SandboxOptions]) -> None:
        self._options = options
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()

    def pace_of(self, call: ResponsesCall) -> Pace:
        if not call.in_background:
            return Pace()
        options = self._options()
        return Pace(options.latency_ms / 1000, options.token_interval_ms / 1000)

    def add(self, response: KeptResponse) -> None:
        self._kept[response.id] = response
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def find(self, wanted: str) -> KeptResponse | None:
        return self._kept.get(wanted)

    def forget(self, wanted: str) -> None:
        self._kept.pop(wanted, None)
