"""A test app, a server for it on loopback or over memory streams, and a raw client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import h11
import pytest
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from trio.testing import memory_stream_pair

from forebay.endpoints.serving import (
    CLIENT_GONE,
    ClientDisconnected,
    ServingOptions,
    ServingState,
    serve,
    serve_stream,
)

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"


class App:
    """Answers by path; remembers what it lived through."""

    def __init__(self) -> None:
        self.release = trio.Event()
        """Lets /held answer."""
        self.events: list[tuple[str, float]] = []
        self.body_bytes = 0
        self.sent_bytes = 0
        self._changed = trio.Event()

    def note(self, event: str) -> None:
        self.events.append((event, trio.current_time()))
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, event: str) -> float:
        """Waits for ``event``; returns when it happened."""
        while True:
            for name, at in self.events:
                if name == event:
                    return at
            await self._changed.wait()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] != "lifespan"
        self.note(f"began {scope['path']}")
        try:
            if scope["type"] == "websocket":
                await self._echo(receive, send)
            else:
                handler = getattr(self, "_" + scope["path"].strip("/"), None)
                await (self._missing if handler is None else handler)(scope, receive, send)
        except* trio.Cancelled:
            self.note(f"cancelled {scope['path']}")
            raise
        except* ClientDisconnected:
            self.note(f"unreachable {scope['path']}")
            raise
        self.note(f"ended {scope['path']}")

    async def _hello(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._read_body(receive)
        await answer(send, 200, b"hello")

    async def _held(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._read_body(receive)
        self.note("held")

        async def watch() -> None:
            message = await receive()
            assert message["type"] == "http.disconnect"
            self.note("disconnect")
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await self.release.wait()
            nursery.cancel_scope.cancel()
        if self.release.is_set():
            await answer(send, 200, b"at last")

    async def _missing(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await answer(send, 404, b"no such thing")

    async def _unread(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Holds without ever receiving, as one does who waits for room for the body."""
        gone = scope["extensions"][CLIENT_GONE]  # type: ignore[typeddict-item]
        assert isinstance(gone, trio.Event)
        await gone.wait()
        self.note("gone")

    async def _stubborn(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Does not care whether anybody listens."""
        await trio.sleep_forever()

    async def _flood(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            self.sent_bytes += 65536

    async def _crash(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        raise RuntimeError("a bug in the app")

    async def _echo(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await trio.testing.wait_all_tasks_blocked()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        while (message := await receive())["type"] == "websocket.receive":
            await send(
                {"type": "websocket.send", "bytes": message["bytes"], "text": message["text"]}
            )
        assert message["type"] == "websocket.disconnect"
        self.note("disconnect")

    async def _read_body(self, receive: ASGIReceiveCallable) -> None:
        while (message := await receive())["type"] == "http.request":
            self.body_bytes += len(message["body"])
            if not message["more_body"]:
                return


async def answer(send: ASGISendCallable, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Client:
    """Sends bytes, whatever they are, and reads answers."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self) -> Answer:
        """The next answer. Fails if the connection ends before it is whole."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("host", "test")]))
        parser.send(h11.EndOfMessage())
        if self._unread:
            parser.receive_data(self._unread)
        head: h11.Response | None = None
        body = b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._unread = parser.trailing_data[0]
                assert head is not None
                return Answer(head.status_code, list(head.headers), body)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, which this then closes too."""
        data = self._unread
        self._unread = b""
        async for piece in self.stream:
            data += piece
        await self.aclose()
        return data

    async def aclose(self) -> None:
        await self.stream.aclose()


@dataclass(frozen=True)
class Server:
    """A server that runs in the same process."""

    address: tuple[str, int]
    state: ServingState
    shutdown: trio.Event
    ended: trio.Event
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(await trio.open_tcp_stream(*self.address))
        self.clients.append(client)
        return client

    async def says_hello(self) -> None:
        """Another client's request is served at once."""
        with trio.fail_after(5):
            client = await self.connect()
            await client.send(HELLO)
            assert (await client.answer()).body == b"hello"
            await client.aclose()


Serving = Callable[..., AbstractAsyncContextManager[Server]]
Linked = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def serving() -> Serving:
    """``async with serving(app, **options) as server``: over TCP; shut down at the end.

    A server that does not end soon after its drain time-out fails the test.
    """

    @asynccontextmanager
    async def running(app: ASGIFramework, **settings: float | str | None) -> AsyncIterator[Server]:
        options = replace(ServingOptions(port=0, drain_timeout=0.5), **settings)  # type: ignore[arg-type]
        state, shutdown, ended = ServingState(), trio.Event(), trio.Event()

        async def run(task_status: trio.TaskStatus[tuple[tuple[str, int], ...]]) -> None:
            await serve(app, options, shutdown=shutdown, state=state, task_status=task_status)
            ended.set()

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                addresses = await nursery.start(run)
                server = Server(addresses[0], state, shutdown, ended)
                yield server
                shutdown.set()
                with trio.fail_after(options.drain_timeout + 20):
                    await ended.wait()
                for client in server.clients:
                    await client.aclose()
        assert state.connections == 0
        assert state.requests_in_progress == 0

    return running


@pytest.fixture
def linked(request: pytest.FixtureRequest) -> Linked:
    """``async with linked(app, **options) as client``: one connection over memory streams."""
    limit = 10_000 if "autojump_clock" in request.fixturenames else 20

    @asynccontextmanager
    async def running(
        app: ASGIFramework, *, state: ServingState | None = None, **settings: float | str | None
    ) -> AsyncIterator[Client]:
        state = state or ServingState()
        options = replace(ServingOptions(), **settings)  # type: ignore[arg-type]
        near, far = memory_stream_pair()
        with trio.fail_after(limit):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(serve_stream, app, far, options=options, state=state))
                yield Client(near)
                await near.aclose()
        assert state.connections == 0
        assert state.requests_in_progress == 0

    return running
