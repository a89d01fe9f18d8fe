"""Listeners and shutdown: which connections there are, and when they must be gone."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import trio
from hypercorn.typing import ASGIFramework

from forebay.endpoints.serving._app_tasks import logger
from forebay.endpoints.serving._connection import Connection
from forebay.endpoints.serving._faults import in_one_line
from forebay.endpoints.serving._hypercorn import Address, ServingConfig
from forebay.endpoints.serving._options import ServingOptions
from forebay.endpoints.serving._state import ServingState

# A held request sends nothing for minutes; without probes a client whose machine vanished would
# be waited on until the deadline. These notice it after two minutes.
_KEEPALIVE_PROBES: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Waitable(Protocol):
    """Anything that can be waited for: a :class:`trio.Event`, say."""

    async def wait(self) -> object:
        """Returns when it has happened."""
        ...


async def serve(
    app: ASGIFramework,
    options: ServingOptions,
    *,
    shutdown: Waitable,
    state: ServingState | None = None,
    task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves ``app`` until ``shutdown`` has happened and every connection has ended.

    The shutdown: the listeners close; idle connections close at once; a request in progress gets
    its answer, with ``connection: close``; what is left after ``drain_timeout`` is cut. Cancelling
    cuts everything at once. ``task_status.started`` gets the addresses that are listened at, when
    clients can connect. ``app`` gets no lifespan events: whoever calls this owns its life.

    Raises:
        OSError: ``options.host`` and ``options.port`` can't be listened at.
    """
    state = ServingState() if state is None else state
    config = ServingConfig(options)
    listeners = await trio.open_tcp_listeners(
        options.port, host=options.host, backlog=options.backlog
    )

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await _run_connection(
                app, stream, options=options, config=config, state=state, client=None
            )
        finally:
            state.give_place()

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                probe_silent_peers(listener.socket)
            addresses = tuple(_address(listener.socket.getsockname()) for listener in listeners)
            capped = [_CappedListener(listener, options, state) for listener in listeners]
            accepting.start_soon(
                partial(trio.serve_listeners, handle, capped, handler_nursery=connections)
            )
            task_status.started(addresses)
            await shutdown.wait()
            accepting.cancel_scope.cancel()
        state.begin_drain()
        connections.cancel_scope.deadline = trio.current_time() + options.drain_timeout


async def serve_stream(
    app: ASGIFramework,
    stream: trio.abc.Stream,
    *,
    options: ServingOptions | None = None,
    state: ServingState | None = None,
    client: Address | None = None,
) -> None:
    """Serves one connection over any stream, which it closes; returns when that has ended.

    Over memory streams everything runs in virtual time. ``client`` is the peer's address as the
    app will see it, unless the stream is a socket, which knows better.
    """
    options = ServingOptions() if options is None else options
    state = ServingState() if state is None else state
    state.take_place()
    try:
        await _run_connection(
            app,
            stream,
            options=options,
            config=ServingConfig(options),
            state=state,
            client=client,
        )
    finally:
        state.give_place()


async def _run_connection(
    app: ASGIFramework,
    stream: trio.abc.Stream,
    *,
    options: ServingOptions,
    config: ServingConfig,
    state: ServingState,
    client: Address | None,
) -> None:
    server: Address | None = None
    if isinstance(stream, trio.SocketStream):
        try:
            client = _address(stream.socket.getpeername())
            server = _address(stream.socket.getsockname())
        except OSError:  # gone before we came to look
            await stream.aclose()
            return
    connection = Connection(
        app, stream, options=options, config=config, state=state, client=client, server=server
    )
    try:
        await connection.run()
    except* Exception as faults:
        # Connections contain their own faults; this one hid in a library. It stays here.
        logger.warning("connection of %s failed: %s", client, in_one_line(faults))


def _address(name: tuple[object, ...] | str) -> Address:
    # IPv6 names have two more fields; other families have no port.
    if isinstance(name, tuple) and len(name) >= 2 and isinstance(name[1], int):
        return (str(name[0]), name[1])
    return (str(name), 0)


def probe_silent_peers(listening: trio.socket.SocketType) -> None:
    """Lets the kernel find out, by the accepted sockets, which peers are no longer there."""
    # They inherit it from the listening one, where it is known at all.
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE_PROBES.items():
            if hasattr(socket, name):
                listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _CappedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts only while there is room; the place is taken with the connection."""

    def __init__(
        self, listener: trio.SocketListener, options: ServingOptions, state: ServingState
    ) -> None:
        self._listener = listener
        self._max_connections = options.max_connections
        self._state = state
        self._was_full = False

    async def accept(self) -> trio.SocketStream:
        full = self._state.connections >= self._max_connections
        if full and not self._was_full:
            logger.warning(
                "max_connections (%d) reached: accepting goes on as connections end",
                self._max_connections,
            )
        # Hysteresis, so that a server at its cap does not log for every connection.
        self._was_full = full or (
            self._was_full and self._state.connections >= 0.9 * self._max_connections
        )
        await self._state.wait_for_room(self._max_connections)
        stream = await self._listener.accept()
        self._state.take_place()
        return stream

    async def aclose(self) -> None:
        await self._listener.aclose()
