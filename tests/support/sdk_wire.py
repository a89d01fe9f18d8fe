"""What an SDK's HTTP client sends and gets, byte by byte, and strict reading of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import httpx2
from pydantic import TypeAdapter


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    """Of the answer; names in lower case."""
    request_headers: dict[str, str]
    """Names in lower case."""
    body: bytearray = field(default_factory=bytearray, repr=False)
    """As far as the client has read it."""

    @property
    def frames(self) -> list[tuple[str | None, str]]:
        """Event and data of each frame of an event stream; comments are left out."""
        found: list[tuple[str | None, str]] = []
        for frame in self.body.decode().split("\n\n"):
            event: str | None = None
            data: list[str] = []
            for line in frame.split("\n"):
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    data.append(value)
            if event is not None or data:
                found.append((event, "\n".join(data)))
        return found

    @property
    def lines(self) -> list[str]:
        """Of newline-delimited JSON."""
        return self.body.decode().removesuffix("\n").split("\n")


class Wire:
    """Records the exchanges of HTTP clients that have its hooks.

    Such clients here never verify certificates: there are none on loopback, and reading the
    machine's own takes longer than a test.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    @property
    def hooks(self) -> dict[str, list[Any]]:
        """As ``event_hooks`` of httpx and httpx2."""
        return {"response": [self._answered]}

    def _answered(self, response: httpx.Response | httpx2.Response) -> None:
        exchange = Exchange(
            response.request.method,
            response.request.url.path,
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            {name.lower(): value for name, value in response.request.headers.items()},
        )
        self.exchanges.append(exchange)
        response.stream = _Tee(response.stream, exchange.body)


class _Tee(httpx.SyncByteStream, httpx2.SyncByteStream):
    """Keeps what passes."""

    def __init__(self, stream: Any, copy: bytearray) -> None:  # noqa: ANN401 - of two libraries
        self._stream = stream
        self._copy = copy

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._copy += chunk
            yield chunk

    def close(self) -> None:
        self._stream.close()


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a union of types has no type itself
    return TypeAdapter(kind)


def read_strictly(kind: object, text: str | bytes | bytearray) -> None:
    """Hold JSON against an SDK's type: nothing of another type, nothing missing, nothing more.

    Raises:
        pydantic.ValidationError: it does not fit.
    """
    if not comes_as_it_is():
        _reader(kind).validate_json(text, strict=True, extra="forbid")


@contextmanager
def as_it_comes() -> Iterator[None]:
    """In the block nothing is held against types: answers of other servers that are passed on have
    fields of their own, and lack some."""
    token = _AS_IT_COMES.set(True)
    try:
        yield
    finally:
        _AS_IT_COMES.reset(token)


def comes_as_it_is() -> bool:
    """Whether this is such a block."""
    return _AS_IT_COMES.get()


_AS_IT_COMES: ContextVar[bool] = ContextVar("as_it_comes", default=False)
