"""A whole gateway over a sandbox on loopback TCP, in the test's own trio loop, and a raw client.

For what only real sockets show. The client sends whatever bytes a test wants, and reads answers
with a parser of its own; the gateway is seen from outside only, as its clients see it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import trio

from forebay.actors.config import parse_settings
from forebay.endpoints.running import serve_gateway
from forebay.endpoints.sandbox import Sandbox, SandboxOptions, serve_sandbox
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

_DRAIN_MS = 1000
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``is_whole`` is False where the connection ended before it did."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    is_whole: bool = True

    def json(self) -> JsonObject:
        return loads_object(self.body)


class RawClient:
    """One connection. Sends bytes, whatever they are, and reads answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, to a request of ``method``.

        Raises:
            EOFError: the connection ended before the head of an answer was whole.
        """
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "test")]))
        parser.send(h11.EndOfMessage())
        if self._unread:
            parser.receive_data(self._unread)
        head: h11.Response | None = None
        body = bytearray()
        whole = True
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                whole = False
                break
            if event is h11.NEED_DATA:
                try:
                    parser.receive_data(bytes(await self.stream.receive_some()))
                except trio.BrokenResourceError:
                    whole = False
                    break
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._unread = parser.trailing_data[0]
                break
            elif isinstance(event, h11.ConnectionClosed):
                whole = False
                break
        if head is None:
            raise EOFError("the connection ended without an answer")
        headers: dict[str, str] = {}
        for name, value in head.headers:
            headers.setdefault(name.decode(), value.decode("latin-1"))
        return Answer(head.status_code, headers, bytes(body), whole)

    async def at_end(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return not self._unread and await self.stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True

    async def aclose(self) -> None:
        await self.stream.aclose()


@dataclass
class Loopback:
    """A gateway that listens, and the sandbox behind it."""

    host: str
    port: int
    sandbox: Sandbox
    shutdown: trio.Event
    ended: trio.Event
    clients: list[RawClient] = field(default_factory=list)

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    async def connect(self) -> RawClient:
        """A new connection; it is closed with the gateway, at the latest."""
        client = RawClient(await trio.open_tcp_stream(self.host, self.port))
        self.clients.append(client)
        return client

    def head(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        host: str | None = "",
        version: str = "1.1",
    ) -> bytes:
        """The bytes of a request's head. ``host``: "" for the right one, None for none."""
        lines = [f"{method} {path} HTTP/{version}"]
        if host is not None:
            lines.append(f"host: {host or self.authority}")
        lines += (f"{name}: {value}" for name, value in (headers or {}).items())
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
        host: str | None = "",
        version: str = "1.1",
    ) -> Answer:
        """One request on a connection of its own, and its answer."""
        fields = dict(headers or {})
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else dumps(body)
            fields.setdefault("content-length", str(len(content)))
        client = await self.connect()
        try:
            head = self.head(method, path, fields, host=host, version=version)
            await client.send(head + content)
            return await client.answer(method)
        finally:
            self.clients.remove(client)
            await client.aclose()

    async def status(self) -> JsonObject:
        """The operators' view."""
        answer = await self.request("GET", "/forebay/status")
        assert answer.status == 200, answer
        return answer.json()

    async def until(
        self, condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 5
    ) -> float:
        """Look again and again until ``condition`` holds; return how long it took.

        Raises:
            trio.TooSlowError: it does not hold after ``seconds``.
        """
        began = trio.current_time()
        with trio.fail_after(seconds):
            while True:
                held = condition()
                if held if isinstance(held, bool) else await held:
                    return trio.current_time() - began
                await trio.sleep(0.005)

    async def is_at_rest(self) -> bool:
        """Nothing waits, is under way or held, here and at the sandbox."""
        status = await self.status()
        held = status["waiting_bytes"]
        assert isinstance(held, dict)
        here = (status["waiting"], status["in_flight"], held["in_use"])
        return here == (0, 0, 0) and self.sandbox.statistics().in_flight == 0

    async def serves(self) -> None:
        """Somebody else is served, and at once."""
        with trio.fail_after(5):
            answer = await self.request("POST", "/v1/chat/completions", body=chat_body())
        assert answer.status == 200, answer


def chat_body(text: str = "hello", **fields: object) -> JsonObject:
    """An OpenAI chat request for the model that every loopback gateway has."""
    body: JsonObject = {"model": "fast", "messages": [{"role": "user", "content": text}]}
    body.update(fields)  # type: ignore[arg-type]  # tests give JSON values
    return body


@asynccontextmanager
async def open_loopback(
    config: Mapping[str, object] | None = None,
    *,
    sandbox: SandboxOptions | None = None,
    provider: Mapping[str, object] | None = None,
    server: Mapping[str, object] | None = None,
) -> AsyncIterator[Loopback]:
    """A gateway as long as the block lasts; then it is told to stop.

    A gateway that does not end soon after its drain time fails the test.

    Args:
        config: of the gateway; ``providers`` and ``models`` have defaults: a provider ``up`` at
            the sandbox, of kind ``openai_compatible``, and a model ``fast`` there.
        provider: settings of that provider.
        server: settings of the section ``server``.
    """
    box = Sandbox(sandbox)
    shutdown, ended = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        sandbox_port = await nursery.start(serve_sandbox, box)
        root = f"http://127.0.0.1:{sandbox_port}"
        up: dict[str, object] = {"kind": "openai_compatible", **(provider or {})}
        if "base_url" not in up and "hosts" not in up:
            up["base_url"] = f"{root}/v1" if str(up["kind"]).startswith("openai") else root
        settings = parse_settings(
            {
                "providers": {"up": up},
                "models": {"fast": {"targets": ["up/sandbox-chat"]}},
                **(config or {}),
                "server": {"drain_ms": _DRAIN_MS, **(server or {}), "port": 0},
            }
        )

        async def run(
            task_status: trio.TaskStatus[tuple[tuple[str, int], ...]],
        ) -> None:
            await serve_gateway(settings, shutdown=shutdown, task_status=task_status)
            ended.set()

        with trio.fail_after(60):
            addresses = await nursery.start(run)
            host, port = addresses[0]
            loopback = Loopback(host, port, box, shutdown, ended)
            try:
                yield loopback
            finally:
                for client in loopback.clients:
                    await trio.aclose_forcefully(client.stream)
                shutdown.set()
            with trio.fail_after(settings.server.drain_ms / 1000 + _END_SECONDS):
                await ended.wait()
        nursery.cancel_scope.cancel()
