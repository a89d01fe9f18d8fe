"""The app's side of a connection: a task per request, and the inbox it receives from.

Stands where Hypercorn has its ``TaskGroup``, for three reasons. Its channel blocks whoever puts
the disconnect into it, and after an early answer that is the app's own task: a deadlock. It is
bounded in messages, not in bytes. And an app that never ends would keep a dead connection.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, Scope

from forebay.endpoints.serving._guarded_stream import GuardedStream
from forebay.endpoints.serving._state import ServingState

logger = logging.getLogger("forebay.serving")

CLIENT_GONE: Final = "forebay.client_gone"
"""Key in ``scope["extensions"]`` of a :class:`trio.Event`, set when the client has left. It lets
an app notice that while it leaves the body unread; else ``http.disconnect`` says the same."""

INBOX_BYTES = 64 * 1024
_MESSAGE_OVERHEAD_BYTES = 512

Send = Callable[[ASGISendEvent], Awaitable[None]]


class ClientDisconnected(OSError):
    """Raised by the app's ``send`` when nothing can reach the client any more."""


class Inbox:
    """What the app has not yet received of one request: bounded, in order, first in first out.

    The reader puts, the app receives. A put that goes over the bound makes the reader wait, and
    with it the peer; a disconnect is never held up.
    """

    def __init__(self, stream: GuardedStream) -> None:
        self._messages: deque[ASGIReceiveEvent] = deque()
        self._held_bytes = 0
        self._end: ASGIReceiveEvent | None = None
        self._room = stream.new_gate()
        self._arrival = trio.Event()

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Adds ``message`` at once, then waits until the inbox is below its bound.

        Raises:
            PeerClosed, trio.BrokenResourceError, trio.ClosedResourceError: the peer left while
                this waited; the message stays in the inbox.
        """
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self._end = message
            self._room.open()
        elif self._end is None:
            self._messages.append(message)
            self._held_bytes += _weight(message)
            if self._held_bytes >= INBOX_BYTES:
                self._room.shut()
            else:
                self._room.open()
        self._arrival.set()
        if not self._room.is_open:
            await self._room.passage()

    async def receive(self) -> ASGIReceiveEvent:
        """The next message. Pieces of a body that lie ready come as one; after the end of the
        request or the connection every call returns the disconnect."""
        await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._end is not None:
                return self._end
            if self._arrival.is_set():
                self._arrival = trio.Event()
            await self._arrival.wait()
        message = self._messages.popleft()
        self._held_bytes -= _weight(message)
        if message["type"] == "http.request" and self._messages:
            message = self._join(message["body"])
        if self._held_bytes < INBOX_BYTES:
            self._room.open()
        return message

    def _join(self, first: bytes) -> ASGIReceiveEvent:
        pieces = [first]
        more_body = True
        while self._messages and (message := self._messages[0])["type"] == "http.request":
            self._messages.popleft()
            self._held_bytes -= _weight(message)
            pieces.append(message["body"])
            more_body = message["more_body"]
        return {"type": "http.request", "body": b"".join(pieces), "more_body": more_body}


def _weight(message: ASGIReceiveEvent) -> int:
    # The overhead keeps a body of one-byte chunks from taking fifty times its size in objects.
    if message["type"] == "http.request":
        return len(message["body"]) + _MESSAGE_OVERHEAD_BYTES
    if message["type"] == "websocket.receive":
        return len(message["bytes"] or message["text"] or b"") + _MESSAGE_OVERHEAD_BYTES
    return _MESSAGE_OVERHEAD_BYTES


def _name(scope: Scope) -> str:
    return scope["type"] if scope["type"] == "lifespan" else ascii(scope["path"])


class AppTasks:
    """The app tasks of one connection, at most one of them with an unfinished answer."""

    def __init__(
        self, app: ASGIFramework, stream: GuardedStream, state: ServingState, nursery: trio.Nursery
    ) -> None:
        self._app = app
        self._stream = stream
        self._state = state
        self._nursery = nursery
        self._all_ended = trio.Event()
        self.running = 0
        """App tasks that have not ended."""
        self.client_gone = trio.Event()
        """What the app finds under ``CLIENT_GONE``."""

    def start(
        self, scope: Scope, send: Send, finish: Callable[[], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Starts the app on a request; returns what puts messages into its inbox.

        ``finish`` is awaited when the app has returned or failed; it completes the answer.
        """
        inbox = Inbox(self._stream)
        if scope["type"] != "lifespan":
            scope["extensions"][CLIENT_GONE] = self.client_gone  # type: ignore[assignment]
        self.running += 1
        self._state.requests_in_progress += 1
        self._nursery.start_soon(self._run, scope, inbox, send, finish)
        return inbox.put

    async def _run(
        self, scope: Scope, inbox: Inbox, send: Send, finish: Callable[[], Awaitable[None]]
    ) -> None:
        async def send_to_client(message: ASGISendEvent) -> None:
            if not self._stream.broken:
                await send(message)
            if self._stream.broken:
                raise ClientDisconnected("the client has disconnected")

        try:
            try:
                await self._app(scope, inbox.receive, send_to_client)
            except* ClientDisconnected:
                pass
            except* Exception as group:
                # A fault of the app, not of the client: worth its traceback.
                logger.error("the app failed on %s", _name(scope), exc_info=group)
            await finish()
        finally:
            self.running -= 1
            self._state.requests_in_progress -= 1
            if self.running == 0:
                self._all_ended.set()

    async def ended(self) -> None:
        """Returns when no app task is left. No task may be started afterwards."""
        self._all_ended = trio.Event()
        if self.running:
            await self._all_ended.wait()
