"""The life of one connection: reading, its deadlines, and the ways it ends.

Owns the transport and the tasks of one connection. Knows of HTTP only when a request begins and
ends; that is what ``_hypercorn.py`` tells it.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import Final

import trio
from hypercorn.typing import ASGIFramework

from forebay.endpoints.serving._app_tasks import AppTasks, logger
from forebay.endpoints.serving._faults import in_one_line
from forebay.endpoints.serving._guarded_stream import GuardedStream, PeerClosed
from forebay.endpoints.serving._hypercorn import Address, GuardedProtocol, ServingConfig
from forebay.endpoints.serving._options import ServingOptions
from forebay.endpoints.serving._state import ServingState

LINGER_SILENCE: Final = 2.0
"""A peer that sends nothing for so long after the last answer has read it, or never will."""
LINGER_TOTAL: Final = 30.0
LINGER_BYTES: Final = 64 * 1024 * 1024


class _Ending(Enum):
    LAST_ANSWER = auto()
    """The protocol is through; what it sent is to reach the peer."""
    PEER_CLOSED = auto()
    """The peer closed its side. It may still read."""
    LOST = auto()
    """The transport is broken."""
    IDLE = auto()
    """Nothing was going on, for too long or when the drain began; or a head took too long."""
    FAULT = auto()
    """Something failed that nobody expected."""


class Connection:
    """Serves one connection; :meth:`run` returns when it is closed and its tasks have ended.

    One task reads and decides; the app tasks only ask it to stop, by cancelling its reading. The
    deadlines move on that same cancel scope, so that a request costs no task for them.
    """

    def __init__(
        self,
        app: ASGIFramework,
        stream: trio.abc.Stream,
        *,
        options: ServingOptions,
        config: ServingConfig,
        state: ServingState,
        client: Address | None,
        server: Address | None,
    ) -> None:
        self._app = app
        self._stream = GuardedStream(
            stream, write_timeout=options.write_timeout, hang_ups=state.hang_ups
        )
        self._options = options
        self._config = config
        self._state = state
        self._client = client
        self._server = server
        self._reading = trio.CancelScope()
        self._busy = False
        self._finished = False

    async def run(self) -> None:
        """Serves until the connection ends.

        Cancelling cuts it. No fault of the peer or of the app comes out of here, unless it hides
        in the libraries; a caller with other connections contains even that.
        """
        protocol: GuardedProtocol | None = None
        try:
            async with trio.open_nursery() as nursery:
                tasks = AppTasks(self._app, self._stream, self._state, nursery)
                protocol = GuardedProtocol(
                    self._app,
                    self._config,
                    self,
                    tasks,
                    nursery,
                    self._stream.new_gate(),
                    client=self._client,
                    server=self._server,
                )
                ending = await self._read(protocol)
                await self._take_leave(ending, protocol, tasks)
                # Cancels an app that did not end, and the pings of a WebSocket.
                nursery.cancel_scope.cancel()
        finally:
            self._state.leave(self)
            await self._stream.aclose()
            if protocol is not None:
                protocol.let_go()

    async def _read(self, protocol: GuardedProtocol) -> _Ending:
        self.request_ended()
        self._state.enter(self)
        try:
            with self._reading:
                while data := await self._stream.receive_some():
                    await protocol.receive(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return _Ending.LOST
        except PeerClosed:
            return _Ending.PEER_CLOSED
        except Exception as fault:
            logger.warning("connection of %s ended: %s", self._client, in_one_line(fault))
            return _Ending.FAULT
        if self._stream.broken:
            return _Ending.LOST
        if self._finished:
            return _Ending.LAST_ANSWER
        if self._reading.cancelled_caught:
            return _Ending.IDLE
        return _Ending.PEER_CLOSED

    async def _take_leave(
        self, ending: _Ending, protocol: GuardedProtocol, tasks: AppTasks
    ) -> None:
        if ending in (_Ending.PEER_CLOSED, _Ending.LOST, _Ending.FAULT):
            tasks.client_gone.set()
        await protocol.end()
        if ending is _Ending.LAST_ANSWER:
            await self._linger(protocol)
        if ending is not _Ending.PEER_CLOSED:
            await self._stream.aclose()
        if not tasks.running:
            return
        with trio.move_on_after(self._options.disconnect_grace) as grace:
            await tasks.ended()
        if grace.cancelled_caught:
            logger.warning(
                "the app went on for %g s after the connection of %s ended; cancelled",
                self._options.disconnect_grace,
                self._client,
            )

    async def _linger(self, protocol: GuardedProtocol) -> None:
        """Closes so that the peer gets the answer.

        Closing a socket with unread input makes the kernel reset the connection, and the peer may
        then lose the answer too (RFC 9112 section 9.6). So what still comes is read and thrown
        away, to a bound.
        """
        await self._stream.send_eof()
        if not (protocol.peer_may_still_send or self._stream.has_read_ahead):
            return
        with trio.move_on_after(LINGER_TOTAL):
            thrown_away = 0
            while thrown_away < LINGER_BYTES:
                with trio.move_on_after(LINGER_SILENCE) as silence:
                    try:
                        data = await self._stream.receive_some()
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return
                if silence.cancelled_caught or not data:
                    return
                thrown_away += len(data)

    def drain(self) -> None:
        """Ends the connection if it is idle; a request in progress ends it with its answer."""
        if not self._busy:
            self._reading.cancel()

    # What the protocol calls

    @property
    def draining(self) -> bool:
        """Whether connections are to end with the answer in progress."""
        return self._state.draining

    async def transmit(self, data: bytes) -> None:
        """Sends to the peer; if the peer is gone, returns and ends the connection."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if self._stream.broken:
                self._reading.cancel()

    def head_began(self) -> None:
        """From now on the peer has ``head_timeout`` to complete the head of its request."""
        self._reading.deadline = trio.current_time() + self._options.head_timeout

    def request_began(self) -> None:
        """The head is complete: the app may hold the request for as long as it likes."""
        self._busy = True
        self._reading.deadline = inf

    def request_ended(self) -> None:
        """The connection is idle, and may stay so for ``keep_alive_timeout``."""
        self._busy = False
        self._reading.deadline = trio.current_time() + self._options.keep_alive_timeout

    def finish(self) -> None:
        """Nothing more will be sent or understood: close as soon as the peer has the answer."""
        self._finished = True
        self._reading.cancel()
