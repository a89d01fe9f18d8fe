"""The network side of one upstream connection: what lies below one httpcore connection.

It owns what httpcore leaves open: the time limits of one exchange as absolute deadlines, the
joining of head and body into one send, what the peer has done so far (which decides whether a
request may be sent again), and a close that always ends. It knows nothing of HTTP beyond "the
request is out" and "the head is in".
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final

import httpcore
import trio

CLOSE_GRACE: Final = 1.0
"""Seconds that closing a connection may take, whatever the peer and the scopes around it do."""

REPLAY_WINDOW: Final = 1.0
"""Seconds after sending within which a silent close means "was closed while idle"."""

_JOINED_SEND_LIMIT: Final = 65_536
"""Up to this many bytes the pieces of a request are copied into one send."""

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


def _keep_alive_probes() -> tuple[SocketOption, ...]:
    options: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return tuple(options)


KEEP_ALIVE_PROBES: Final = _keep_alive_probes()
"""Socket options: a held call is silent for minutes, and address translators on the way forget a
connection that stays silent, without telling either end."""


class Wire(httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """The backend of exactly one httpcore connection, and the stream that it opens.

    Being both is what makes it possible to close the socket after a cancellation anywhere:
    httpcore forgets a stream whose TLS handshake is cancelled.
    """

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, *, on_open: Callable[[], None]
    ) -> None:
        self._backend = backend
        self._on_open = on_open
        self._stream: httpcore.AsyncNetworkStream | None = None
        self._connect_deadline = math.inf
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._write_timeout: float | None = None
        self._head_timeout: float | None = None
        self._head_deadline = math.inf
        self._head_wanted = False
        self._sent_at: float | None = None
        self._send_failed = False
        self._answered = False

    # One exchange, as the connection stack sees it

    def begin_exchange(self, head_timeout: float | None) -> None:
        """Before each request: ``head_timeout`` seconds may pass from the moment the request is
        sent until its answer's head is complete, however many reads that takes.
        """
        self._unsent.clear()
        self._unsent_bytes = 0
        self._head_timeout = head_timeout
        self._head_wanted = True
        self._sent_at = None
        self._send_failed = False
        self._answered = False

    def head_received(self) -> None:
        """From here on each read has its own timeout."""
        self._head_wanted = False

    @property
    def sent_whole(self) -> bool:
        """Whether the network took every byte of the last request."""
        return not self._send_failed

    def peer_closed_unanswered(self) -> bool:
        """After a failed exchange: whether the peer never began to serve the request, as far as
        this end can tell.

        Either the request did not go out whole, and half a request is never served. Or not one
        byte came back and the connection broke within ``REPLAY_WINDOW`` of sending: the peer's
        close crossed the request on the way. Later than that, it may have broken down over it.
        """
        if self._answered:
            return False
        if self._send_failed:
            return True
        return self._sent_at is not None and trio.current_time() - self._sent_at <= REPLAY_WINDOW

    # httpcore.AsyncNetworkBackend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ConnectError or httpcore.ConnectTimeout and nothing else."""
        self._connect_deadline = _deadline(timeout)
        try:
            self._stream = await self._backend.connect_tcp(
                host,
                port,
                timeout=timeout,
                local_address=local_address,
                socket_options=socket_options,
            )
        except (OSError, ValueError, ExceptionGroup) as error:
            raise httpcore.ConnectError from error
        self._on_open()
        return self

    # httpcore.AsyncNetworkStream

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The handshake has what is left of the connect timeout, not a second one.

        Raises httpcore.ConnectError or httpcore.ConnectTimeout and nothing else.
        """
        try:
            self._stream = await self._opened().start_tls(
                ssl_context, server_hostname, _time_left(self._connect_deadline)
            )
        except (OSError, ValueError, httpcore.ReadError, httpcore.WriteError) as error:
            raise httpcore.ConnectError from error
        return self

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Takes ``buffer``; it leaves with the rest of the request, at the first read at latest.

        httpcore writes head and body apart; together they are one system call and one packet.
        """
        if not buffer:
            return
        self._write_timeout = timeout
        self._unsent.append(buffer)
        self._unsent_bytes += len(buffer)
        if self._unsent_bytes > _JOINED_SEND_LIMIT:
            await self._send_unsent()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises httpcore.ReadError, httpcore.ReadTimeout or httpcore.WriteTimeout."""
        if self._unsent:
            # A failed send is not the end: the peer may have answered before it stopped reading.
            with contextlib.suppress(httpcore.WriteError):
                await self._send_unsent()
        if self._head_wanted:
            if self._sent_at is None:
                self._sent_at = trio.current_time()
                self._head_deadline = _deadline(self._head_timeout)
            timeout = _time_left(self._head_deadline)
        data = await self._opened().read(max_bytes, timeout)
        if data:
            self._answered = True
        return data

    async def aclose(self) -> None:
        """Closes the connection within ``CLOSE_GRACE`` seconds, cancelled or not; idempotent."""
        stream, self._stream = self._stream, None
        self._unsent.clear()
        if stream is None:
            return
        with (
            trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_GRACE),
            contextlib.suppress(OSError, trio.BrokenResourceError, httpcore.NetworkError),
        ):
            await stream.aclose()

    def get_extra_info(self, info: str) -> object:
        """What the stream below knows, such as ``is_readable`` and ``ssl_object``."""
        return None if self._stream is None else self._stream.get_extra_info(info)

    def _opened(self) -> httpcore.AsyncNetworkStream:
        if self._stream is None:
            raise httpcore.ReadError("the connection is closed")
        return self._stream

    async def _send_unsent(self) -> None:
        pieces, self._unsent = self._unsent, []
        if self._unsent_bytes <= _JOINED_SEND_LIMIT:
            pieces = [b"".join(pieces)]
        self._unsent_bytes = 0
        stream = self._opened()
        deadline = _deadline(self._write_timeout)
        try:
            for piece in pieces:
                await stream.write(piece, _time_left(deadline))
        except httpcore.WriteError:
            self._send_failed = True
            raise


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else trio.current_time() + timeout


def _time_left(deadline: float) -> float | None:
    return None if deadline == math.inf else max(0.0, deadline - trio.current_time())
