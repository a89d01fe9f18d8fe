"""An upstream in memory: a network backend for httpcore whose servers are scripts, in virtual time.

`MemoryNetwork` is the network; each connection made through it starts a script with a `Peer`, the
server's end. Every operation of the client's end can be made to block for ever, to cancel there.
"""

from __future__ import annotations

import math
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field

import httpcore
import httpx
import trio
import trio.testing

from forebay.actors.upstream import (
    CallTimeouts,
    ConnectionStack,
    OriginStatistics,
    UpstreamAnswer,
    open_call,
)

URL = "http://upstream.test/v1/chat"
TIMEOUTS = CallTimeouts(connect=5.0, first_byte=30.0, between_bytes=10.0)

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


def plain(body: bytes, *, status: int = 200, headers: bytes = b"") -> bytes:
    """A whole answer with a content length; ``headers`` are more header lines."""
    return b"HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n%s" % (
        status,
        headers,
        len(body),
        body,
    )


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """``data`` as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the server got it; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, stream: trio.abc.Stream, on_send: Callable[[int], None]) -> None:
        self._stream = stream
        self._on_send = on_send
        self._buffer = b""

    async def request(self) -> Received | None:
        """The next whole request, or None when the client has closed the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._receive():
                return None
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            if not await self._receive():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        method, target, _ = first.split(" ")
        return Received(method, target, headers, body)

    async def send(self, data: bytes) -> None:
        """Sends ``data`` as it is."""
        self._on_send(len(data))
        await self._stream.send_all(data)

    async def client_closes(self) -> None:
        """Waits until the client closes the connection."""
        while await self._receive():
            pass

    async def aclose(self, *, seen: bool = True) -> None:
        """Closes the connection; with ``seen`` false the client's socket does not show it yet."""
        if seen:
            self._on_send(1)
        await self._stream.aclose()

    async def _receive(self) -> bool:
        data = await self._stream.receive_some(65_536)
        self._buffer += data
        return bool(data)


Script = Callable[[Peer], Awaitable[None]]


class MemoryNetwork(httpcore.AsyncNetworkBackend):
    """Runs ``script`` for each connection that is made through it, then closes it."""

    def __init__(self, nursery: trio.Nursery, script: Script) -> None:
        self._nursery = nursery
        self._script = script
        self.made: list[MemoryConnection] = []
        self.asked_for: list[tuple[str, int]] = []
        self.blocked: set[str] = set()
        """Operations that never end: connect, start_tls, write, read, aclose."""
        self.connect_takes = 0.0
        self.write_takes = 0.0
        self.refusal: Exception | None = None
        """What connecting raises."""
        self.write_breaks_after: float | None = None
        """Seconds after which every write of a new connection breaks."""
        self.operations: Counter[str] = Counter()

    @property
    def open_connections(self) -> int:
        """How many connections the client has not closed."""
        return sum(connection.closed_at is None for connection in self.made)

    async def operation(self, name: str) -> None:
        """Passes, or blocks for ever."""
        self.operations[name] += 1
        if name in self.blocked:
            await trio.sleep_forever()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked_for.append((host, port))
        with _limit(timeout, httpcore.ConnectTimeout):
            await self.operation("connect")
            await trio.sleep(self.connect_takes)
        if self.refusal is not None:
            raise self.refusal
        client, server = trio.testing.memory_stream_pair()
        connection = MemoryConnection(self, client, write_breaks_after=self.write_breaks_after)
        self.made.append(connection)
        self._nursery.start_soon(self._run_script, Peer(server, connection.count_arrived))
        return connection

    async def _run_script(self, peer: Peer) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._script(peer)
        await peer.aclose()


@dataclass(eq=False)
class MemoryConnection(httpcore.AsyncNetworkStream):
    """The client's end of one connection, with what a test wants to know of it."""

    network: MemoryNetwork
    stream: trio.abc.Stream
    closed_at: float | None = None
    sends: list[bytes] = field(default_factory=list)
    arrived: int = 0
    write_breaks_after: float | None = None

    def count_arrived(self, size: int) -> None:
        self.arrived += size

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _limit(timeout, httpcore.ReadTimeout):
            await self.network.operation("read")
            try:
                data = bytes(await self.stream.receive_some(max_bytes))
            except trio.BrokenResourceError as error:
                raise httpcore.ReadError from error
        self.arrived -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _limit(timeout, httpcore.WriteTimeout):
            await self.network.operation("write")
            await trio.sleep(self.network.write_takes)
            if self.write_breaks_after is not None:
                await trio.sleep(self.write_breaks_after)
                raise httpcore.WriteError
            try:
                await self.stream.send_all(buffer)
            except trio.BrokenResourceError as error:
                raise httpcore.WriteError from error
        self.sends.append(buffer)

    async def aclose(self) -> None:
        try:
            await self.network.operation("aclose")
        finally:
            self.closed_at = trio.current_time()
            await trio.aclose_forcefully(self.stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _limit(timeout, httpcore.ConnectTimeout):
            await self.network.operation("start_tls")
        return self

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable":
            self.network.operations["is_readable"] += 1
            return self.arrived > 0
        return None


@contextmanager
def _limit(seconds: float | None, error: type[Exception]) -> Iterator[None]:
    deadline = math.inf if seconds is None else trio.current_time() + seconds
    with trio.CancelScope(deadline=deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise error


def stack_over(
    network: MemoryNetwork, *, keepalive_expiry: float = 60.0, max_idle_per_origin: int = 256
) -> ConnectionStack:
    """A connection stack on ``network``; TLS on it is the network's pretence."""
    return ConnectionStack(
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        keepalive_expiry=keepalive_expiry,
        max_idle_per_origin=max_idle_per_origin,
        network_backend=network,
    )


def post(
    transport: httpx.AsyncBaseTransport,
    *,
    url: str = URL,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"{}",
    timeouts: CallTimeouts = TIMEOUTS,
) -> AbstractAsyncContextManager[UpstreamAnswer]:
    """One POST over ``transport``."""
    return open_call(transport, "POST", url, headers=headers or {}, body=body, timeouts=timeouts)


async def post_and_read(transport: httpx.AsyncBaseTransport, *, url: str = URL) -> bytes:
    """One POST, and the whole body of its answer."""
    async with post(transport, url=url) as answer:
        return await answer.read(1_000_000)


def statistics_of(stack: ConnectionStack) -> OriginStatistics:
    """The statistics of the only origin that was called."""
    (statistics,) = stack.stats().values()
    return statistics


async def answer_each(peer: Peer) -> None:
    """A script: answers every request with its own body."""
    while (request := await peer.request()) is not None:
        await peer.send(plain(request.body))


def answer_once_with(data: bytes) -> Script:
    """A script that sends ``data`` to the first request and waits for the client to close."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)
        await peer.client_closes()

    return script


def answer_once_and_close(data: bytes) -> Script:
    """A script that sends ``data`` to the first request and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)

    return script
