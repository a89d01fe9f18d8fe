"""One HTTP request as the sandbox sees it, and the script of its answer.

A reply is a value: what to send, when, and how it ends. The part that decides (``_sandbox``) makes
it without any I/O, the part that talks (``_connection``) performs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request."""

    method: str
    path: str
    """Percent-decoded once, without the query."""
    headers: Mapping[str, str]
    """By lower-case name; the values of a repeated name are joined with ``, ``."""
    body: bytes
    arrived_at: float
    """Trio time at which its last byte was read."""
    query: str = ""
    """As it came, without the question mark."""


class Piece(NamedTuple):
    """Some bytes of a streamed body that leave together."""

    data: bytes
    is_content: bool = False
    """Part of the model's output: paced, counted as a token, and what faults count."""
    pause: float = 0.0
    """Seconds that it is late, besides."""


class Ending(Enum):
    """What happens after the last byte of a reply."""

    COMPLETE = "complete"
    """The body ends as HTTP wants it."""
    CUT = "cut"
    """The connection closes in the middle of the body."""
    RESET = "reset"
    """The connection is reset (RST on TCP, a plain close on other streams)."""
    HANG = "hang"
    """Nothing more is sent, and the connection stays open until the client goes."""


class Outcome(Enum):
    """How a call ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    """The client went away before the end."""
    BROKEN = "broken"
    """A fault was asked for, and played."""


class Lease(Protocol):
    """A running call's hold on the sandbox; every method is synchronous."""

    def count_pieces(self, count: int) -> None:
        """``count`` more pieces of content have been produced."""

    def finish(self, outcome: Outcome) -> None:
        """The call is over: its slot is free. Only the first call of this counts."""

    def client_was_gone(self) -> None:
        """The last bytes of a call that was already finished could not be delivered."""


@dataclass(slots=True)
class Reply:
    """What to answer."""

    status: int
    headers: list[Header]
    body: bytes = b""
    """The whole body, if ``pieces`` is None."""
    pieces: list[Piece] | None = None
    """The body of a stream, sent chunked."""
    delay: float = 0
    """Seconds from the request to the head."""
    interval: float = 0
    """Seconds between two pieces of content."""
    ending: Ending = Ending.COMPLETE
    sends_head: bool = True
    """False: nothing is sent at all before the ending."""
    outcome: Outcome = Outcome.COMPLETED
    """What the lease is told when the reply has been played to its end."""
    lease: Lease | None = field(default=None, repr=False)
