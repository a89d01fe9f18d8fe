"""One upstream call: a request out, a head and a body back, within three time limits.

What it owns: which header fields a call adds on its own, the decoding of a body that was compressed
although it should not be, and the typed failures, each of which says what the gateway can still
do. What it does not: connections (`connections.py`), and what an answer means.

There is no httpx.AsyncClient here: httpx's requests are built from prepared bytes and handed
straight to its transport. By bench/upstream_connections.py the client's own layer (merging of
headers, cookies, redirects, authentication, hooks, timing) adds 0.1 to 0.2 ms of CPU to the 0.25 to
0.3 ms of a request, for things that a gateway does itself or must not do.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import httpx
import trio
from httpx._decoders import SUPPORTED_DECODERS, ContentDecoder, MultiDecoder

from forebay.actors.upstream.connect_faults import ConnectFault
from forebay.actors.upstream.http_errors import Unreachable
from forebay.actors.upstream.wire import CLOSE_GRACE


class UpstreamFailure(Exception):
    """A call that brought no whole answer. The message is for operators: it names the peer, but
    never a key or a path. What anybody else may know is in the type and its attributes."""


class ConnectFailed(UpstreamFailure):
    """Nothing was served, so the request can go elsewhere: no address, refused, TLS, a proxy, or
    too slow."""

    def __init__(
        self,
        message: str,
        *,
        timed_out: bool = False,
        fault: ConnectFault | None = None,
        setting: str | None = None,
    ) -> None:
        """
        Args:
            fault: what its operator can do something about.
            setting: where the proxy was configured that is at fault.
        """
        super().__init__(message)
        self.timed_out = timed_out
        self.fault = fault
        self.setting = setting


class NoAnswer(UpstreamFailure):
    """The request may have been received, but no whole head of an answer came back."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class AnswerBroken(UpstreamFailure):
    """The head came, the body did not come to its end. What was read of it is not whole."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class BodyTooLong(UpstreamFailure):
    """The body exceeds the limit of its reader."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the upstream's answer is longer than {limit} bytes")
        self.limit = limit


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimeouts:
    """How long each part of a call may take, in seconds; ``math.inf`` for no limit."""

    connect: float
    """Until the connection is up: name lookup, TCP and TLS together."""
    first_byte: float
    """From the request being sent until the head of the answer is whole. Sending it has the same
    limit, apart, so that an upstream that stops reading a large request can't hold it for ever."""
    between_bytes: float
    """Between two reads of the body. Counts only while somebody reads."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name}: give a number of seconds above 0")


class UpstreamAnswer:
    """The head of an answer, and its body to be read once, within its `open_call`."""

    def __init__(self, response: httpx.Response, *, decode: bool) -> None:
        self.status: int = response.status_code
        self.headers: httpx.Headers = response.headers
        """As received; but of a body that is decoded here, neither encoding nor length."""
        self._response = response
        self._source: AsyncIterator[bytes] | None = None
        self._decoder: ContentDecoder | None = None
        self._failure: AnswerBroken | None = None
        if decode and "content-encoding" in self.headers:
            self._decode_as(self.headers.get_list("content-encoding", split_commas=True))

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come, never empty: what one read brought is one chunk.

        A second iterator goes on where the first one stopped. Atomic with respect to
        cancellation: a cancelled read loses nothing and can be repeated; the time it has waited
        counts against ``between_bytes`` all the same.

        Raises (while iterating):
            AnswerBroken: the body broke, was cut short or stalled; again at every further read.
        """
        return _Chunks(self)

    async def read(self, limit: int) -> bytes:
        """The whole body, or what is left of it.

        Raises:
            BodyTooLong: it exceeds ``limit`` bytes; it is not read further than that.
            AnswerBroken: as for `chunks`.
        """
        if self._source is None and _announced_length(self.headers) > limit:
            raise BodyTooLong(limit)
        pieces: list[bytes] = []
        size = 0
        async for piece in self.chunks():
            size += len(piece)
            if size > limit:
                raise BodyTooLong(limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def next_chunk(self) -> bytes:
        """The next bytes of the body, or "" after its end. Raises as `chunks` does."""
        if self._failure is not None:
            raise self._failure
        if self._source is None:
            self._source = aiter(self._stream())
        try:
            while True:
                piece = await anext(self._source, None)
                if piece is None:
                    decoder, self._decoder = self._decoder, None
                    return decoder.flush() if decoder else b""
                if self._decoder is not None:
                    piece = self._decoder.decode(piece)
                if piece:  # an empty piece is not the end
                    return piece
        except httpx.TransportError as error:
            self._failure = _broken(error)
        except httpx.DecodingError:
            self._failure = AnswerBroken(
                "the upstream's answer is not validly compressed", timed_out=False
            )
        raise self._failure

    async def aclose(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it."""
        await self._stream().aclose()

    def _decode_as(self, codings: list[str]) -> None:
        names = [coding.strip().lower() for coding in codings if coding.strip()]
        unknown = [name for name in names if name not in SUPPORTED_DECODERS]
        if unknown:
            self._failure = AnswerBroken(
                "the upstream compressed its answer, unasked, in a way that can't be decoded here",
                timed_out=False,
            )
            return
        self._decoder = MultiDecoder([SUPPORTED_DECODERS[name]() for name in names])
        del self.headers["content-encoding"]
        if "content-length" in self.headers:
            del self.headers["content-length"]

    def _stream(self) -> httpx.AsyncByteStream:
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        return stream


class _Chunks:
    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self._answer.next_chunk():
            return chunk
        raise StopAsyncIteration


@asynccontextmanager
async def open_call(
    transport: httpx.AsyncBaseTransport,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    timeouts: CallTimeouts,
) -> AsyncIterator[UpstreamAnswer]:
    """Sends one request and gives its answer as soon as the head is in.

    Leaving the block ends the call: a body that was not read to its end, or a cancellation at any
    point, closes the connection, so that the upstream stops. Redirects are answers like any other.

    Args:
        transport: a `ConnectionStack`, or any other httpx transport.
        url: absolute, http or https; credentials in it become a basic ``authorization`` unless
            ``headers`` have one.
        headers: sent as they are, in their order. ``host`` and ``accept-encoding: identity`` are
            added where missing; length and transfer coding are always those of ``body``. With an
            ``accept-encoding`` of the caller's the body stays as the upstream encoded it.

    Raises:
        ConnectFailed, NoAnswer: on entering.
        ValueError: ``url`` is not an absolute http or https URL.
    """
    request, asked_for_identity = _request(method, _address(url), headers, body, timeouts)
    try:
        response = await transport.handle_async_request(request)
    except httpx.TransportError as error:
        raise _unanswered(error) from None
    del request, body  # a stream of minutes need not hold what was sent
    answer = UpstreamAnswer(response, decode=asked_for_identity)
    try:
        yield answer
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_GRACE):
            await answer.aclose()


class UpstreamClient:
    """Owns one transport and makes calls over it; closes it at the end of its own block."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    def open_call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: CallTimeouts,
    ) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """As the function `open_call`."""
        return open_call(
            self._transport, method, url, headers=headers, body=body, timeouts=timeouts
        )

    async def aclose(self) -> None:
        """Closes the transport: its idle connections at once, the others when their calls end."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL, parsed once: that costs more than building the request around it."""

    url: httpx.URL
    host: bytes
    authorization: bytes | None


_SET_BY_US: Final = frozenset({"content-length", "transfer-encoding"})
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@lru_cache(maxsize=1024)
def _address(url: str) -> _Address:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("url: give an absolute URL that starts with http:// or https://")
    authorization = None
    if parsed.userinfo:
        pair = f"{parsed.username}:{parsed.password}".encode()
        authorization = b"Basic " + base64.b64encode(pair)
    return _Address(parsed, parsed.netloc, authorization)


def _request(
    method: str,
    address: _Address,
    headers: Mapping[str, str],
    body: bytes,
    timeouts: CallTimeouts,
) -> tuple[httpx.Request, bool]:
    """The request, and whether it asks for a body that is not compressed."""
    given: set[str] = set()
    lines: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in _SET_BY_US:
            continue
        given.add(lowered)
        try:
            lines.append((name.encode("ascii"), value.encode("utf-8")))
        except UnicodeError:
            raise ConnectFailed(
                "the request was not sent: a header holds a character that HTTP does not allow"
            ) from None
    if "host" not in given:
        lines.insert(0, (b"host", address.host))
    if address.authorization is not None and "authorization" not in given:
        lines.append((b"authorization", address.authorization))
    asks_for_identity = "accept-encoding" not in given
    if asks_for_identity:
        lines.append((b"accept-encoding", b"identity"))
    if body or method in _METHODS_WITH_BODY:
        lines.append((b"content-length", b"%d" % len(body)))
    request = httpx.Request(
        method,
        address.url,
        headers=lines,
        stream=httpx.ByteStream(body),
        extensions={
            "timeout": {
                "connect": timeouts.connect,
                "write": timeouts.first_byte,
                "head": timeouts.first_byte,
                "read": timeouts.between_bytes,
            }
        },
    )
    return request, asks_for_identity


def _unanswered(error: httpx.TransportError) -> ConnectFailed | NoAnswer:
    if isinstance(error, Unreachable):
        return ConnectFailed(str(error), fault=error.fault, setting=error.setting)
    if isinstance(
        error,
        (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
            httpx.LocalProtocolError,
        ),
    ):
        return ConnectFailed(str(error), timed_out=isinstance(error, httpx.TimeoutException))
    return NoAnswer(str(error), timed_out=isinstance(error, httpx.TimeoutException))


def _broken(error: httpx.TransportError) -> AnswerBroken:
    return AnswerBroken(str(error), timed_out=isinstance(error, httpx.TimeoutException))


def _announced_length(headers: httpx.Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
