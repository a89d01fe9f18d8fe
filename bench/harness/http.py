"""A small HTTP/1.1 client: bytes made in advance, sockets used directly.

It shares two cores with the gateway that it measures, so it does only what the figures need. It
understands whole answers with a length and chunked ones, from a server that keeps to HTTP/1.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, cast

import trio

from forebay.protocol.jsontext import JsonObject

_READ_BYTES: Final = 65_536
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Disconnected(Exception):
    """The server closed or reset the connection before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and when it went to and fro (trio's clock)."""

    head: bytes
    body: bytes
    """As it came: chunks are not taken apart."""
    sent_at: float
    """Just before the request was given to the socket."""
    answered_at: float

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    @property
    def seconds(self) -> float:
        return self.answered_at - self.sent_at

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return _header(self.head, name.encode())


def _header(head: bytes, name: bytes) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        field, _, value = line.partition(b":")
        if field.lower() == name:
            return value.strip().decode("latin-1")
    return None


def request_bytes(
    path: str, body: bytes | None = None, *, headers: dict[str, str] | None = None
) -> bytes:
    """A whole request: a POST of JSON, or a GET where there is no body."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Connection:
    """One connection; one request at a time."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.socket = sock

    @classmethod
    async def open(cls, port: int) -> Connection:
        sock = trio.socket.socket()
        try:
            await sock.connect(("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def close(self) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await self.socket.send(view) :]

    async def receive(self) -> bytes:
        """What comes next, at least one byte."""
        try:
            data = await self.socket.recv(_READ_BYTES)
        except ConnectionError as fault:
            raise Disconnected(str(fault)) from None
        if not data:
            raise Disconnected("the server closed the connection")
        return data

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and read its answer.

        Raises:
            Disconnected: the answer did not come to its end.
        """
        sent_at = trio.current_time()
        try:
            await self.send(request)
        except ConnectionError as fault:
            raise Disconnected(str(fault)) from None
        data = await self.receive()
        while (head_end := data.find(b"\r\n\r\n")) < 0:
            data += await self.receive()
        head, body = data[:head_end], data[head_end + 4 :]
        length = _header(head, b"content-length")
        while not body.endswith(_LAST_CHUNK) if length is None else len(body) < int(length):
            body += await self.receive()
        return Answer(head, body, sent_at, trio.current_time())


class Connections:
    """Connections to one server, opened as needed and kept for the next request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def exchange(self, request: bytes) -> Answer:
        """Like :meth:`Connection.exchange`, over a connection that nobody uses."""
        connection = self._idle.pop() if self._idle else await Connection.open(self._port)
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop().close()


async def fetch_json(
    port: int, path: str, change: JsonObject | None = None, *, key: str | None = None
) -> JsonObject:
    """A page of a server as JSON: read by GET, or given ``change`` by POST.

    Raises:
        Disconnected: the answer did not come to its end.
        ValueError: the answer is not a 200.
    """
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    body = None if change is None else json.dumps(change).encode()
    connection = await Connection.open(port)
    try:
        answer = await connection.exchange(request_bytes(path, body, headers=headers))
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"{path}: {answer.status} {answer.body[:500]!r}")
    return cast("JsonObject", json.loads(answer.body))
