"""The head of a request, as the gateway reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from hypercorn.typing import HTTPScope

from forebay.actors.config import Hold
from forebay.protocol.canonical.errors import bad_request

_LONGEST_WAIT_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, path and headers; names in lower case, the first of several values."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)

    @classmethod
    def of_scope(cls, scope: HTTPScope) -> RequestHead:
        """From an ASGI HTTP scope."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return cls(scope["method"], scope["path"], query, headers)

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
        text = self.headers.get("x-forebay-hold")
        if text is None:
            return None
        try:
            return Hold(text.strip().lower())
        except ValueError:
            ways = ", ".join(way.value for way in Hold)
            raise bad_request(
                f"header x-forebay-hold must be one of {ways}, not '{text[:40]}'",
                param="x-forebay-hold",
            ) from None
