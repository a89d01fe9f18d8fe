"""The httpx transport of all upstream calls: for each origin a stack of idle connections.

httpcore's own pool looks at every connection on every request and release, which is quadratic:
20 to 44 ms of CPU a request with 1,000 in flight, against half a millisecond here. It also queues
callers above its limit, first come first served. Neither is wanted: the budgets of a provider
bound how many calls are in flight, and all waiting happens in the fair queue. So nothing here
counts against a limit, and nothing here waits for anything but the network.

What it owns: which connection serves a request, when a request is sent again, and when a connection
is closed. What it does not: how long anything may take (the request's extensions say so, `wire.py`
holds to it), the way through a proxy (`proxy_network.py`), the reading of bodies (`bodies.py`), and
what a failure means for the caller (`calls.py`).

Only HTTP/1.1 is spoken: over HTTP/2 a relayed stream costs more CPU, and one lost packet stalls
all streams of a connection.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import h11
import httpcore
import httpx
import trio

from forebay.actors.upstream.bodies import AnswerBody, sendable_body
from forebay.actors.upstream.connect_faults import ConnectFault
from forebay.actors.upstream.http_errors import Unreachable, as_httpx_error
from forebay.actors.upstream.proxies import Proxy, ProxyUnusable
from forebay.actors.upstream.proxy_network import Forwarder, ProxyNetwork
from forebay.actors.upstream.tls import system_trust
from forebay.actors.upstream.wire import CLOSE_GRACE, KEEP_ALIVE_PROBES, Wire

_STALE_CLOSED_PER_RELEASE: Final = 2
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

ProxyFor: TypeAlias = Callable[[str, str, int], Proxy | None]
"""By scheme, host and port; raises ProxyUnusable."""


@dataclass(frozen=True, slots=True)
class OriginStatistics:
    """The connections of one origin at one moment."""

    idle: int
    """Open connections that wait for a request."""
    active: int
    """Requests under way, from their arrival until their response is closed."""
    opened: int
    """Connections opened since the start, whatever became of them."""


class ConnectionStack(httpx.AsyncBaseTransport):
    """Sends each request over the most recently used idle connection of its origin, or a new one.

    Timeouts are httpx's own request extension ``timeout``, with one key more:

    - ``connect``: until the connection is up, TLS included;
    - ``write``: for sending the request; each send of a streamed body has it anew;
    - ``head``: from the request being sent until the head of the answer is complete. Without it,
      ``read`` is taken;
    - ``read``: for each read of the body.

    A request may be sent twice, and only so: its connection was a reused one, its body is plain
    bytes, and the peer closed the connection before it began to serve the request, as far as can
    be told (`Wire.peer_closed_unanswered`). That happens all the time with servers that close idle
    connections, it can't be told before sending, and the second attempt always opens a fresh
    connection, so there is no third. RFC 9110, section 9.2.2, lets a client repeat what was never
    applied. What remains is a server that takes a whole request, begins to serve it, and falls
    over within a second without a byte: then a generation may be paid for twice.

    Cancelling a request, or closing its response before the end, closes its connection.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy_for: ProxyFor | None = None,
        keepalive_expiry: float = 60.0,
        max_idle_per_origin: int = 256,
        network_backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """
        Args:
            ssl_context: of all connections; so whoever wants another one has another stack. None:
                trusts whom the system trusts.
            proxy_for: the proxy for an origin, asked once for each. None: there is none.
            keepalive_expiry: seconds. Idle connections that are older are closed when a request or
                a release meets them: no task runs for it.
        """
        self._ssl_context = ssl_context or system_trust()
        self._proxy_for = proxy_for or _no_proxy
        self._keepalive_expiry = keepalive_expiry
        self._max_idle = max_idle_per_origin
        self._backend = network_backend or httpcore.TrioBackend()
        self._origins: dict[tuple[str, str, int], _Origin] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends ``request`` and returns its answer as soon as the head is in.

        Raises:
            httpx.TransportError: with a message that names the peer and quotes neither side.
            RuntimeError: the stack has been closed.
        """
        if self._closed:
            raise RuntimeError("the connection stack is closed")
        origin = self._origin_of(request.url)
        try:
            return await origin.exchange(request)
        except (httpcore.TimeoutException, httpcore.NetworkError) as error:
            raise as_httpx_error(error, origin.peer) from error
        except httpcore.ProtocolError as error:
            # Its text quotes the bytes at fault: a header with a key in it, or the answer.
            raise as_httpx_error(error, origin.peer) from None

    def stats(self) -> dict[str, OriginStatistics]:
        """Per origin, written ``https://host:port``; every origin that was ever called."""
        return {origin.name: origin.statistics() for origin in self._origins.values()}

    async def keep_none(self) -> None:
        """Closes all idle connections, and from now on each when its answer is closed. Calls can
        still be made."""
        self._max_idle = 0
        for origin in self._origins.values():
            await origin.keep_none()

    async def aclose(self) -> None:
        """Closes all idle connections; one in use is closed when its response is."""
        self._closed = True
        for origin in self._origins.values():
            await origin.aclose()

    def _origin_of(self, url: httpx.URL) -> _Origin:
        port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
        key = (url.scheme, url.host, port)
        origin = self._origins.get(key)
        if origin is None:
            if url.scheme not in _DEFAULT_PORTS or not url.host:
                raise httpx.UnsupportedProtocol("an upstream URL starts with http:// or https://")
            try:
                proxy = self._proxy_for(url.scheme, url.host, port)
            except ProxyUnusable as unusable:
                raise Unreachable(
                    f"{unusable.setting} {unusable}", ConnectFault.PROXY_AWAY, unusable.setting
                ) from None
            origin = self._origins[key] = _Origin(
                httpcore.Origin(url.raw_scheme, url.raw_host, port),
                ssl_context=self._ssl_context,
                backend=self._backend,
                proxy=proxy,
                keepalive_expiry=self._keepalive_expiry,
                max_idle=self._max_idle,
            )
        return origin


def _no_proxy(scheme: str, host: str, port: int) -> None:
    return None


class _NoLock:
    """Stands in for a lock that only one task ever takes."""

    async def __aenter__(self) -> None:
        """At once."""

    async def __aexit__(self, *error: object) -> None:
        """At once."""


_NO_LOCK: Final = _NoLock()


@dataclass(slots=True, eq=False)
class _Connection:
    http: httpcore.AsyncHTTPConnection
    wire: Wire
    idle_since: float = 0.0

    def usable(self) -> bool:
        """Idle, and the peer has neither closed it nor sent something unasked."""
        return self.http.is_available() and not self.http.has_expired()

    def drop_locks(self) -> None:
        """Once the connection has answered: one request at a time is the stack's own doing.

        httpcore takes two locks for each request and one for its end, and each lets every other
        task run first. In that time a slot of the upstream that was waited for stands empty.
        """
        # Both attributes are httpcore's own (see `parser`), and no subclass of its locks fits.
        self.http._request_lock = _NO_LOCK  # type: ignore[assignment]
        setattr(getattr(self.http, "_connection", None), "_state_lock", _NO_LOCK)  # noqa: B010

    def parser(self) -> h11.Connection:
        """The HTTP parser inside httpcore's connection, once it has answered a request.

        httpcore does not show it. It is needed for two things: to hand on all that one read
        brought as one piece, and to see whether bytes are left after the end of an answer, which
        the next request on this connection would take for its own.
        """
        parser = getattr(getattr(self.http, "_connection", None), "_h11_state", None)
        if not isinstance(parser, h11.Connection):
            raise RuntimeError(f"httpcore {httpcore.__version__} hides its parser: use 1.0.9")
        return parser


class _Origin:
    """All connections to one origin, idle ones oldest first."""

    def __init__(
        self,
        address: httpcore.Origin,
        *,
        ssl_context: ssl.SSLContext,
        backend: httpcore.AsyncNetworkBackend,
        proxy: Proxy | None,
        keepalive_expiry: float,
        max_idle: int,
    ) -> None:
        host = address.host.decode()
        self.peer = f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
        self.name = f"{address.scheme.decode()}://{self.peer}"
        self._forwarder: Forwarder | None = None
        if proxy is not None:
            self.peer = f"{self.peer} by way of the proxy {proxy.address}"
            tunnels = address.scheme == b"https"
            backend = ProxyNetwork(
                proxy, ssl_context=system_trust(), network=backend, tunnels=tunnels
            )
            self._forwarder = None if tunnels else Forwarder(self.name, proxy, backend)
        self._address = address
        self._ssl_context = ssl_context
        self._backend = backend
        self._keepalive_expiry = keepalive_expiry
        self._max_idle = max_idle
        self._idle: deque[_Connection] = deque()
        self._active = 0
        self._opened = 0
        self._closed = False

    def statistics(self) -> OriginStatistics:
        return OriginStatistics(idle=len(self._idle), active=self._active, opened=self._opened)

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        outgoing = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=sendable_body(request),
            extensions=request.extensions,
        )
        if self._forwarder is not None:
            self._forwarder.address(outgoing)
        self._active += 1
        try:
            connection = await self._pop_idle()
            if connection is not None:
                try:
                    return await self._exchange_on(connection, outgoing)
                except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                    if not (
                        isinstance(request.stream, httpx.ByteStream)
                        and connection.wire.peer_closed_unanswered()
                    ):
                        raise
            return await self._exchange_on(self._new_connection(), outgoing)
        except BaseException:
            self._active -= 1
            raise

    async def keep_none(self) -> None:
        self._max_idle = 0
        while self._idle:
            await self._idle.pop().wire.aclose()

    async def aclose(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop().wire.aclose()

    def _new_connection(self) -> _Connection:
        wire = Wire(self._backend, on_open=self._count_opened)
        http = httpcore.AsyncHTTPConnection(
            self._address,
            ssl_context=self._ssl_context,
            network_backend=wire,
            socket_options=KEEP_ALIVE_PROBES,
        )
        return _Connection(http, wire)

    def _count_opened(self) -> None:
        self._opened += 1

    async def _pop_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= self._horizon() and connection.usable():
                return connection
            await connection.wire.aclose()
        return None

    def _horizon(self) -> float:
        return trio.current_time() - self._keepalive_expiry

    def _take_surplus(self) -> list[_Connection]:
        surplus: list[_Connection] = []
        while len(self._idle) > self._max_idle:
            surplus.append(self._idle.popleft())
        # Requests meet the newest ones only. Without this look at the other end, what a burst has
        # left behind would stay open for as long as a little traffic goes on above it.
        while (
            self._idle
            and len(surplus) < _STALE_CLOSED_PER_RELEASE
            and self._idle[0].idle_since < self._horizon()
        ):
            surplus.append(self._idle.popleft())
        return surplus

    async def _release(
        self, connection: _Connection, answer: httpcore.Response, at_end: bool
    ) -> None:
        """Ends an exchange: keeps the connection if the answer was read to its end and it can."""
        self._active -= 1
        if not at_end:
            await connection.wire.aclose()
            return
        # httpcore's part has an await of its own, where a cancellation would cost the connection.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_GRACE):
            await answer.aclose()
        unread, peer_closed = connection.parser().trailing_data
        if (
            self._closed
            or unread
            or peer_closed
            or not connection.wire.sent_whole
            or not connection.http.is_idle()
        ):
            await connection.wire.aclose()
            return
        connection.idle_since = trio.current_time()
        self._idle.append(connection)
        for surplus in self._take_surplus():
            await surplus.wire.aclose()

    async def _exchange_on(
        self, connection: _Connection, outgoing: httpcore.Request
    ) -> httpx.Response:
        timeouts = outgoing.extensions.get("timeout", {})
        read_timeout = timeouts.get("read")
        connection.wire.begin_exchange(timeouts.get("head", read_timeout))
        try:
            answer = await connection.http.handle_async_request(outgoing)
            connection.wire.head_received()
            if self._forwarder is not None:
                self._forwarder.check(answer)
            connection.drop_locks()
            # httpcore keeps the request until the answer ends, which may be minutes of streaming.
            outgoing.stream = ()
            return httpx.Response(
                answer.status,
                headers=answer.headers,
                stream=AnswerBody(
                    connection.parser(),
                    connection.wire,
                    peer=self.peer,
                    read_timeout=read_timeout,
                    release=partial(self._release, connection, answer),
                ),
                extensions=answer.extensions,
            )
        except BaseException:
            await connection.wire.aclose()
            raise
