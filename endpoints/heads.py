"""The head of a request, as the gateway reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from hypercorn.typing import HTTPScope, WebsocketScope

from forebay.actors.config import Hold, OnUnsupported
from forebay.actors.scheduling.flows import Priority, TrafficClass
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.needs import NO_NEEDS, Needs
from forebay.protocol.canonical.needs_grammar import NeedsUnreadable, read_needs

_LONGEST_WAIT_MS = 7 * 24 * 3600 * 1000
CLASS_HEADER = "x-forebay-class"
NEEDS_HEADER = "x-forebay-needs"
_LISTS = frozenset({"anthropic-beta"})
"""Headers that may come in several lines, which then count as one."""

_WayT = TypeVar("_WayT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, path and headers; names in lower case, the first of several values. A WebSocket's
    handshake counts as what it is, a GET."""

    method: str
    path: str
    query_fields: tuple[tuple[str, str], ...]
    """All of the query, decoded; a name may come more than once."""
    headers: dict[str, str] = field(repr=False)
    deployment: str | None = None
    """The model that the path itself names, which then counts and not the body's."""
    peer: str | None = None
    """The address at the other end of the connection; None where that has none."""

    @classmethod
    def of_scope(cls, scope: HTTPScope | WebsocketScope) -> RequestHead:
        """From an ASGI scope."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in _LISTS and name in headers:
                headers[name] += f", {value}"
            else:
                headers.setdefault(name, value)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        method = scope["method"] if scope["type"] == "http" else "GET"
        client = scope["client"]
        peer = None if client is None else client[0]
        return cls(method, _path(scope["path"]), tuple(query), headers, peer=peer)

    @property
    def query(self) -> dict[str, str]:
        """The query by its names, with the last value of each."""
        return dict(self.query_fields)

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("content-length")
        return int(text) if text is not None and text.isdecimal() else None

    @property
    def max_wait_ms(self) -> int | None:
        """What the request itself says it can wait.

        Raises:
            ApiFailure: BAD_REQUEST, not a whole number of milliseconds.
        """
        name, text = "header x-forebay-max-wait-ms", self.headers.get("x-forebay-max-wait-ms")
        if text is None:
            name, text = "query max_wait_ms", self.query.get("max_wait_ms")
        if text is None:
            return None
        text = text.strip()
        if not text.isdecimal() or len(text) > len(str(_LONGEST_WAIT_MS)):
            raise bad_request(
                f"{name} must be a whole number of milliseconds, 0 or more, not '{text[:40]}'",
                param=name.split()[-1],
            )
        return min(int(text), _LONGEST_WAIT_MS)

    @property
    def hold(self) -> Hold | None:
        """How the request wants its answer held.

        Raises:
            ApiFailure: BAD_REQUEST, no such way.
        """
        return self._way("x-forebay-hold", Hold)

    @property
    def on_unsupported(self) -> OnUnsupported | None:
        """What the request wants to become of what its target can't be told.

        Raises:
            ApiFailure: BAD_REQUEST, no such way.
        """
        return self._way("x-forebay-on-unsupported", OnUnsupported)

    @property
    def priority(self) -> Priority | None:
        """Where the request wants to stand among those of its client.

        Raises:
            ApiFailure: BAD_REQUEST, no such priority.
        """
        return self._way("x-forebay-priority", Priority)

    @property
    def needs(self) -> Needs:
        """What the request asks of a model, beyond what it needs by itself.

        Raises:
            ApiFailure: BAD_REQUEST, it can't be read.
        """
        text = self.headers.get(NEEDS_HEADER)
        if text is None:
            return NO_NEEDS
        try:
            return read_needs(text)
        except NeedsUnreadable as fault:
            raise bad_request(f"header {NEEDS_HEADER}: {fault}", param=NEEDS_HEADER) from None

    @property
    def traffic_class(self) -> TrafficClass | None:
        """The class that the request asks for.

        Raises:
            ApiFailure: BAD_REQUEST, no such class.
        """
        return self._way(CLASS_HEADER, TrafficClass)

    def _way(self, name: str, ways: type[_WayT]) -> _WayT | None:
        text = self.headers.get(name)
        if text is None:
            return None
        try:
            return ways(text.strip().lower())
        except ValueError:
            known = ", ".join(way.value for way in ways)
            raise bad_request(
                f"header {name} must be one of {known}, not '{text[:40]}'", param=name
            ) from None


def _path(target: str) -> str:
    """The path of a request's target, which may be a whole URL (RFC 9112, section 3.2.2)."""
    if "://" not in target or target.startswith("/"):
        return target
    try:
        return urlsplit(target).path or "/"
    except ValueError:  # no URL: a path that leads nowhere
        return f"/{target}"
