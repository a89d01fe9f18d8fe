"""A server that answers what a test tells it to, for APIs that the sandbox does not have.

In memory it is plugged into a :class:`MemoryNetwork`; for clients that know nothing of trio it
listens at a loopback port, in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import h11
import trio


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Imitated:
    """One answer."""

    body: bytes | tuple[bytes, ...] = b"{}"
    """Whole, or in pieces that are sent one by one."""
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0
    """Seconds before every piece."""
    is_cut: bool = False
    """The connection ends before the answer does."""


Answers = Mapping[str, Imitated | Callable[[Received], Imitated]]
"""By method and path: ``POST /v1/rerank``. All else is answered 404, as FastAPI says it."""

_NOT_THERE = Imitated(b'{"detail":"Not Found"}', status=404)


class Imitation:
    """What the server answers, and what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = dict(answers)
        self.requests: list[Received] = []
        self.cut_off = 0
        """Answers whose readers left before their end."""

    @property
    def last(self) -> Received:
        return self.requests[-1]

    def to(self, path: str) -> list[Received]:
        """The requests to one path."""
        return [request for request in self.requests if request.path == path]

    def answer_to(self, request: Received) -> Imitated:
        answer = self.answers.get(f"{request.method} {request.path}", _NOT_THERE)
        return answer if isinstance(answer, Imitated) else answer(request)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, until either side ends it."""
        parser = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while (request := await _receive(stream, parser)) is not None:
                    self.requests.append(request)
                    answer = self.answer_to(request)
                    if not await self._send(stream, parser, request, answer):
                        return
                    parser.start_next_cycle()
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                return

    async def _send(
        self,
        stream: trio.abc.Stream,
        parser: h11.Connection,
        request: Received,
        answer: Imitated,
    ) -> bool:
        """Whether the connection can go on."""
        pieces = (answer.body,) if isinstance(answer.body, bytes) else answer.body
        headers = {"content-type": answer.content_type, **answer.headers}
        if isinstance(answer.body, bytes):
            headers.setdefault("content-length", str(len(answer.body)))
        else:
            headers["transfer-encoding"] = "chunked"
        head = h11.Response(status_code=answer.status, headers=list(headers.items()))
        try:
            await stream.send_all(parser.send(head) or b"")
            for piece in pieces if request.method != "HEAD" else ():
                await trio.sleep(answer.pause)
                await stream.send_all(parser.send(h11.Data(data=piece)) or b"")
        except trio.BrokenResourceError:
            self.cut_off += 1
            return False
        if answer.is_cut:
            return False
        await stream.send_all(parser.send(h11.EndOfMessage()) or b"")
        return parser.our_state is h11.DONE and parser.their_state is h11.DONE


async def _receive(stream: trio.abc.Stream, parser: h11.Connection) -> Received | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = parser.next_event()
        match event:
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                assert head is not None
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                return Received(head.method.decode(), head.target.decode(), headers, bytes(body))
            case h11.ConnectionClosed():
                return None
            case _:
                parser.receive_data(bytes(await stream.receive_some()))


@contextmanager
def live_imitation(imitation: Imitation) -> Iterator[str]:
    """``imitation`` at a loopback port as long as the block lasts; gives its URL."""
    ready: Future[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = Future()

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                serve = partial(trio.serve_tcp, imitation.serve, 0, host="127.0.0.1")
                listeners: list[trio.SocketListener] = await nursery.start(serve)
                port = listeners[0].socket.getsockname()[1]
                token = trio.lowlevel.current_trio_token()
                ready.set_result((f"http://127.0.0.1:{port}", token, scope))

    with ThreadPoolExecutor(1, thread_name_prefix="imitation") as executor:
        running = executor.submit(trio.run, main)
        url, token, scope = ready.result(timeout=10)
        try:
            yield url
        finally:
            token.run_sync_soon(scope.cancel)
            running.result(timeout=10)
