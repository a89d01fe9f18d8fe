"""Everything that touches Hypercorn's internals, with the reasons.

Used of Hypercorn 0.18: ``H11Protocol`` (HTTP/1.1 requests to stream events), ``HTTPStream`` and
``WSStream`` (stream events to ASGI messages), and the small vocabulary between them. Not used,
because each has a fault that one client can turn against all others:

- ``trio.worker_serve``: an exception that escapes a connection ends the process (its issues 161,
  197, 225, 329). Our listeners are in ``_serve.py``.
- ``trio.TCPServer``: shields its sends, so that a stalled reader can't be cancelled; does not
  read while h11 is paused, so that a client that left is not noticed; closes with unread input, so
  that the kernel may throw the answer away; starts a task per request for the idle time. Ours is
  ``_connection.py``.
- ``trio.TaskGroup``: see ``_app_tasks.py``.
- ``ProtocolWrapper`` and ``H2Protocol``: HTTP/2 has no flow control towards the app (a client that
  never reads lets it push gigabytes), and DATA after an answer is a ``KeyError``. It can't be
  turned off there, as ``H11Protocol`` asks for it by exceptions; here nobody hears them.

Another version may move any of this: ``tests/serving/test_hypercorn_internals.py`` pins it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Data, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIFramework,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    H11SendableEvent,
    Scope,
)

from forebay.endpoints.serving._app_tasks import AppTasks, logger
from forebay.endpoints.serving._guarded_stream import ReadGate
from forebay.endpoints.serving._options import ServingOptions

Address = tuple[str, int]

_UNLIMITED = 2**62
_COMPLETE = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)


class Driver(Protocol):
    """What the protocol needs of the connection that drives it. Only ``transmit`` may wait."""

    @property
    def draining(self) -> bool:
        """Whether connections are to end with the answer in progress."""
        ...

    async def transmit(self, data: bytes) -> None:
        """Sends to the peer; if the peer is gone, returns and ends the connection."""
        ...

    def head_began(self) -> None:
        """The first byte of a request came."""
        ...

    def request_began(self) -> None:
        """The head of a request is complete."""
        ...

    def request_ended(self) -> None:
        """Request and answer are complete, and another request may come."""
        ...

    def finish(self) -> None:
        """Nothing more will be sent or understood: the connection is to be closed."""
        ...


class ServingConfig(Config):
    """Hypercorn's settings for the parts of it that we use."""

    def __init__(self, options: ServingOptions) -> None:
        self.accesslog = None
        self.errorlog = logger
        # TLS ends in front of us; should it ever end here, HTTP/2 is still not offered.
        self.alpn_protocols = ["http/1.1"]
        self.include_server_header = False
        self.keep_alive_max_requests = _UNLIMITED
        self.websocket_ping_interval = options.websocket_ping_interval
        self.websocket_max_message_size = options.websocket_max_message_bytes
        self._server_header = (
            [] if options.server_header is None else [(b"server", options.server_header.encode())]
        )

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """The date, and the server's name without a version."""
        return [*super().response_headers(protocol), *self._server_header]


class _RefusedVersion(Exception):
    """The request speaks a version of HTTP that is not served; it has been answered."""


class _GateEvent:
    """A read gate in the shape of Hypercorn's events: where ``H11Protocol`` waits when paused."""

    def __init__(self, gate: ReadGate) -> None:
        self._gate = gate

    async def clear(self) -> None:
        self._gate.shut()

    async def wait(self) -> None:
        await self._gate.passage()

    async def set(self) -> None:
        self._gate.open()

    def is_set(self) -> bool:
        return self._gate.is_open


class _UpgradedConnection(H11WSConnection):
    """Keeps back what a client sends before its WebSocket is accepted.

    Hypercorn answers such bytes with a 400 while the app goes on to accept, and ends in an error
    in either (its issue 225). They are legal input that came early, like a pipelined request.
    """

    def __init__(self, h11_connection: h11.Connection, stream: WSStream) -> None:
        super().__init__(h11_connection)
        self._stream = stream

    # Wider than the base class, but H11Protocol understands PAUSED from any connection.
    def next_event(self) -> Data | type[h11.NEED_DATA | h11.PAUSED]:  # type: ignore[override]
        if self.buffer and not self._stream.handshake.accepted:
            return h11.PAUSED
        return super().next_event()


class _TaskGroup:
    """``AppTasks`` in the shape that Hypercorn's streams expect."""

    def __init__(self, tasks: AppTasks, nursery: trio.Nursery) -> None:
        self.tasks = tasks
        self.nursery = nursery
        self.protocol: GuardedProtocol

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        async def finish() -> None:
            await send(None)

        return self.tasks.start(scope, self.protocol.joining(send), finish)

    def spawn(self, func: Callable[..., Awaitable[object]], *args: object) -> None:
        self.nursery.start_soon(func, *args)


async def _unheard(event: Event) -> None:
    """Where events of a connection go that is over."""


class GuardedProtocol(H11Protocol):
    """One connection's HTTP/1.1, and the WebSocket that it may become.

    Fed by one task through :meth:`receive`; the app tasks it starts send through it. A head waits
    for the first body message of its answer, also an empty one, and the last body message for the
    end, so that most answers are one send (the ASGI specification lets the head wait so).
    """

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        driver: Driver,
        tasks: AppTasks,
        nursery: trio.Nursery,
        gate: ReadGate,
        *,
        client: Address | None,
        server: Address | None,
    ) -> None:
        self._task_group = task_group = _TaskGroup(tasks, nursery)
        task_group.protocol = self
        super().__init__(
            ASGIWrapper(app),
            config,
            WorkerContext(None),
            task_group,  # type: ignore[arg-type] # nobody enters it: the nursery is open
            ConnectionState({}),
            False,
            client,
            server,
            self._on_event,
        )
        self.can_read = _GateEvent(gate)
        self._driver = driver
        self._reading_head = False
        self._held_head: h11.Response | None = None
        self._held_body = b""
        self._body_is_last = False

    # What the connection calls

    async def receive(self, data: bytes) -> None:
        """Takes bytes of the peer; waits while what they contain can't be taken in yet.

        Raises:
            PeerClosed, trio.BrokenResourceError, trio.ClosedResourceError: the peer left while
                this waited.
            Exception: the peer's bytes, or a fault in a library, ended the connection.
        """
        if not self._reading_head and self.connection.their_state is h11.IDLE:
            # RFC 9112 section 2.2: empty lines before a request are to be ignored. h11 takes
            # them for a bad request.
            data = data.lstrip(b"\r\n")
            if not data:
                return
            self._reading_head = True
            self._driver.head_began()
        try:
            await self.handle(RawData(data))
        except _RefusedVersion:
            self._driver.finish()
        if isinstance(self.stream, WSStream):
            incoming = self.stream.buffer
            if incoming.length > incoming.max_length:
                # Hypercorn has said 1009 but would go on collecting the message.
                self._driver.finish()

    async def end(self) -> None:
        """Tells the app that the connection is over. Never waits."""
        await self.handle(Closed())

    def let_go(self) -> None:
        """Gives up what refers back here, once the connection is over and its tasks have ended: so
        all of it is freed at once, and not when the garbage collector finds the circles."""
        self.send = _unheard
        del self._task_group.protocol

    @property
    def peer_may_still_send(self) -> bool:
        """Whether bytes may come, or lie unread, that nobody will take."""
        if isinstance(self.connection, h11.Connection):
            return self.connection.their_state not in _COMPLETE or bool(
                self.connection.trailing_data[0]
            )
        return True

    # What the app's task calls

    def joining(
        self, send: Callable[[ASGISendEvent], Awaitable[None]]
    ) -> Callable[[ASGISendEvent], Awaitable[None]]:
        """``send`` of one request, with the head and the end of an answer joined to its body."""

        async def send_joined(message: ASGISendEvent) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            more_body = message.get("more_body", False)
            self._body_is_last = not more_body
            try:
                await send(message)
            finally:
                self._body_is_last = False
            if more_body and not message.get("body"):
                await self._flush_head()

        return send_joined

    # What Hypercorn calls

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._driver.transmit(event.data)
        elif isinstance(event, Updated):
            # Only ever "busy": the other one belongs to _maybe_recycle, which is ours.
            self._reading_head = False
            self._driver.request_began()
        elif isinstance(event, Closed):
            self._driver.finish()

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response):
            if self._must_close():
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
            await super().stream_send(event)
            # A WebSocket that was accepted reads on.
            await self.can_read.set()
            return
        if isinstance(event, StreamClosed) and self._held_head is not None:
            # The app failed after its head, but nothing has left yet: the truth can be told.
            self._held_head = None
            await self._send_error_response(500)
        await super().stream_send(event)

    def _must_close(self) -> bool:
        # An answer before the end of the request body ends the connection: the rest of the body
        # may be huge, and may never come.
        return self._driver.draining or self.connection.their_state is h11.SEND_BODY

    async def _check_protocol(self, event: h11.Request) -> None:
        # "Upgrade: h2c" is an offer that may be ignored (RFC 9110 section 7.8), and is. A client
        # that begins with HTTP/2 has made its decision and is turned away.
        if event.http_version not in (b"1.0", b"1.1"):
            await self._send_error_response(505)
            raise _RefusedVersion

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(request)
        if isinstance(self.stream, WSStream) and isinstance(self.connection, H11WSConnection):
            self.connection = _UpgradedConnection(self.connection.h11_connection, self.stream)
            if self.stream.closed:  # a bad handshake has been answered; Hypercorn would wait on
                self._driver.finish()

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response):
            self._held_head = event
            return
        data = self._encode(event)
        if isinstance(event, h11.Data) and self._body_is_last:
            self._held_body = data
            return
        if isinstance(event, h11.EndOfMessage):
            data = self._held_body + data
            self._held_body = b""
        if data:
            await self._driver.transmit(data)

    def _encode(self, event: H11SendableEvent) -> bytes:
        head, self._held_head = self._held_head, None
        try:
            data = b"" if head is None else self.connection.send(head)
            return data + self.connection.send(event)
        except h11.LocalProtocolError:
            # After a request that broke the protocol the rest of its answer goes nowhere.
            if self.connection.their_state is not h11.ERROR:
                raise
            return b""

    async def _flush_head(self) -> None:
        head, self._held_head = self._held_head, None
        if head is not None:
            await self._driver.transmit(self.connection.send(head))

    async def _maybe_recycle(self) -> None:
        await self._close_stream()
        connection = self.connection
        if (
            isinstance(connection, h11.Connection)
            and connection.our_state is h11.DONE
            and connection.their_state is h11.DONE
            and not self._driver.draining
        ):
            self._driver.request_ended()
            self._await_next_request(connection)
            await self.can_read.set()
        else:
            self._driver.finish()

    def _await_next_request(self, connection: h11.Connection) -> None:
        unread, _ = connection.trailing_data
        if not unread:
            connection.start_next_cycle()
            return
        # Bytes came after the request: the next one, or stray line ends, which are to be ignored
        # as in receive(). h11 has no way to drop bytes, so a new connection takes the others.
        self.connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        unread = unread.lstrip(b"\r\n")
        if unread:
            self.connection.receive_data(unread)
            self._reading_head = True
            self._driver.head_began()
