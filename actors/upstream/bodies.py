"""The bodies of one exchange: what httpcore sends, and what is read off its connection.

It owns the reading of an answer's body, its time limit, and when the end is reached; what becomes
of the connection then is `connections.py`'s decision.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Final

import h11
import httpcore
import httpx
import trio

from forebay.actors.upstream.http_errors import as_httpx_error
from forebay.actors.upstream.wire import Wire

_READ_BYTES: Final = 65_536


class AnswerBody(httpx.AsyncByteStream):
    """The body of one answer: each piece is all that one read of the network brought.

    A read is atomic with respect to cancellation: nothing is lost, and it can be repeated. So it
    is `aclose` that ends an exchange, as httpx asks of whoever takes a response.

    It drives the parser itself, where httpcore would yield chunk by chunk: an upstream that sends
    a hundred small chunks at once costs one step here and one send further down, not a hundred.
    """

    def __init__(
        self,
        parser: h11.Connection,
        wire: Wire,
        *,
        peer: str,
        read_timeout: float | None,
        release: Callable[[bool], Awaitable[None]],
    ) -> None:
        """``release`` is called once, with whether the end of the answer has been seen."""
        self._parser = parser
        self._wire = wire
        self._peer = peer
        self._read_timeout = read_timeout
        self._release = release
        self._waited = 0.0
        self._at_end = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            if self._at_end:
                raise StopAsyncIteration
            raise httpx.StreamClosed
        try:
            while not self._at_end:
                if piece := self._parsed():
                    return piece
                if not self._at_end:
                    self._parser.receive_data(await self._receive())
        except (httpcore.TimeoutException, httpcore.NetworkError) as error:
            await self.aclose()
            raise as_httpx_error(error, self._peer) from error
        except h11.RemoteProtocolError as error:
            await self.aclose()
            raise as_httpx_error(error, self._peer) from None
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Keeps the connection if the end of the answer has been seen, else closes it."""
        if self._closed:
            return
        self._closed = True
        await self._release(self._at_end)

    async def _receive(self) -> bytes:
        timeout = self._read_timeout
        if timeout is not None:
            timeout = max(0.0, timeout - self._waited)
        began = trio.current_time()
        try:
            received = await self._wire.read(_READ_BYTES, timeout)
        except trio.Cancelled:
            # Whoever reads in slices, to do something else in between, must still meet the limit.
            self._waited += trio.current_time() - began
            raise
        self._waited = 0.0
        return received

    def _parsed(self) -> bytes:
        """All that the parser can give without another read; "" where it needs one."""
        pieces: list[bytes] = []
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError:
                if not pieces:
                    raise
                break  # the parser stays in error and says so again at the next call
            if isinstance(event, h11.Data):
                pieces.append(event.data)
            else:
                self._at_end = event is not h11.NEED_DATA
                break
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


def sendable_body(request: httpx.Request) -> AsyncIterable[bytes]:
    """The body of ``request`` for httpcore.

    Raises:
        TypeError: it can only be read synchronously.
    """
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return _PlainBody(b"".join(stream))
    if isinstance(stream, httpx.AsyncByteStream):
        return stream
    raise TypeError("the request body must be bytes or an async stream")


class _PlainBody:
    """A body of bytes that can be sent again, and left unfinished.

    httpx's own stream is read by an async generator, which httpcore drops half-way when a send
    fails or is cancelled; its end would then be the garbage collector's business.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._data)


class _Once:
    def __init__(self, data: bytes) -> None:
        self._left = [data]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()
