"""What can be set about the serving loop. All times are in seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELD_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """Settings of one server.

    Raises:
        ValueError: a value is out of range; the message names the field and the range.
    """

    host: str | None = "127.0.0.1"
    """Name or address to listen at; None listens at every address of the machine."""
    port: int = 8000
    """0 lets the system choose."""
    backlog: int = 4096
    """Connections that the kernel keeps for us before we accept them."""
    max_connections: int = 10_000
    """At this many open connections accepting pauses, so that the backlog pushes back. With
    several listeners (an IPv4 and an IPv6 address, say) each may have one more in hand."""
    write_timeout: float = 60.0
    """A send during which the peer takes no byte for so long cuts the connection. A slow reader
    that goes on reading is never cut."""
    keep_alive_timeout: float = 75.0
    """How long a connection may stay open without a request."""
    head_timeout: float = 30.0
    """From the first byte of a request to the end of its head. What comes after the head is
    never bounded here: a held request may wait as long as the app holds it."""
    drain_timeout: float = 30.0
    """From the shutdown to the moment when what is left is cut."""
    disconnect_grace: float = 5.0
    """How long the app may go on after its client has left, before its task is cancelled."""
    server_header: str | None = "forebay"
    """Value of the ``server`` header; None sends none. Never put a version into it."""
    websocket_ping_interval: float = 25.0
    """Keeps proxies from closing a quiet WebSocket, and lets dead peers be noticed."""
    websocket_max_message_bytes: int = 16 * 1024 * 1024
    """A longer message closes the WebSocket with code 1009."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}: give a number from 0 to 65535")
        for name in ("backlog", "max_connections", "websocket_max_message_bytes"):
            count: int = getattr(self, name)
            if count < 1:
                raise ValueError(f"{name} is {count}: give a number above 0")
        for name in (
            "write_timeout",
            "keep_alive_timeout",
            "head_timeout",
            "websocket_ping_interval",
        ):
            seconds: float = getattr(self, name)
            if not seconds > 0:
                raise ValueError(f"{name} is {seconds}: give seconds above 0")
        for name in ("drain_timeout", "disconnect_grace"):
            seconds = getattr(self, name)
            if not seconds >= 0:
                raise ValueError(f"{name} is {seconds}: give seconds, 0 or more")
        if self.server_header is not None and not _FIELD_VALUE.fullmatch(self.server_header):
            raise ValueError("server_header must be printable ASCII text, or None to send none")
