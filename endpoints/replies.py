"""One HTTP answer and its commit point.

Until its first byte is sent an answer may still become any status. Once *committed* it is a 200
whose body goes on, and the only honest way to fail is to break it off: the transfer then lacks
its proper end, which every client takes for the error that it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio
from hypercorn.typing import ASGISendEvent

from forebay.protocol.jsontext import JsonObject, dumps

Send = Callable[[ASGISendEvent], Awaitable[None]]

_LONGEST_VALUE = 1024


def raw_headers(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header fields as they are sent. Values may repeat a client's own words (a model's name, a
    field's), so what a header can't hold is shown as ``?``, and what is very long is cut."""
    return [(name.encode("ascii"), _field_value(value)) for name, value in fields.items()]


def _field_value(value: str) -> bytes:
    shown = "".join(char if " " <= char <= "~" else "?" for char in value[:_LONGEST_VALUE])
    return shown.strip().encode("ascii")


class Reply:
    """Writes one answer. Several tasks of its session may write; writes never interleave."""

    def __init__(
        self, send: Send, headers: Callable[[float], Mapping[str, str]], json_content_type: str
    ) -> None:
        """
        Args:
            headers: sent with the head whatever the answer will be; made of the seconds that it
                took.
            json_content_type: what the client's dialect calls JSON.
        """
        self._send = send
        self._headers = headers
        self._json_content_type = json_content_type
        self._began = trio.current_time()
        self._lock = trio.Lock()
        self.committed = False
        self.finished = False
        self.last_write = trio.current_time()
        """On trio's clock; the start of the request before anything was written."""

    async def commit(self, content_type: str, headers: Mapping[str, str]) -> None:
        """Begin a 200 whose body is still to come. Again: does nothing."""
        await self._take_turn()
        try:
            await self._commit(content_type, headers)
        finally:
            self._lock.release()

    async def write(self, data: bytes) -> None:
        """More of a committed body."""
        if not data:
            return
        await self._take_turn()
        try:
            await self._write(data)
        finally:
            self._lock.release()

    async def keep_alive(
        self, frame: Callable[[], bytes | None], content_type: str, headers: Mapping[str, str]
    ) -> None:
        """Commit if need be, and write what ``frame`` makes; nothing where it returns None or
        the answer is finished."""
        await self._take_turn()
        try:
            if self.finished:
                return
            data = frame()
            if data is None:
                return
            await self._commit(content_type, headers)
            await self._write(data)
        finally:
            self._lock.release()

    async def finish(self) -> None:
        """End a committed body properly."""
        await self._take_turn()
        try:
            self.finished = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._lock.release()

    async def whole(
        self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> None:
        """A whole answer: status, head and body. After a keep-alive only a 200 is possible, and
        only its body is sent."""
        await self._take_turn()
        try:
            self.finished = True
            if not self.committed:
                self.committed = True
                await self._start(
                    status, content_type, {**headers, "content-length": str(len(body))}
                )
            self.last_write = trio.current_time()
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
        finally:
            self._lock.release()

    async def json(self, status: int, body: JsonObject, headers: Mapping[str, str]) -> None:
        await self.whole(status, dumps(body), self._json_content_type, headers)

    async def _take_turn(self) -> None:
        """Take the lock. From here to the socket nothing is interrupted, unless the client does
        not read: a session that is cut either has not begun a write, or has sent it."""
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self._lock.release()
            raise

    async def _commit(self, content_type: str, headers: Mapping[str, str]) -> None:
        if not self.committed:
            self.committed = True
            await self._start(200, content_type, headers)

    async def _start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        own = self._headers(trio.current_time() - self._began)
        fields = {**own, "content-type": content_type, **headers}
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": raw_headers(fields),
            }
        )

    async def _write(self, data: bytes) -> None:
        self.last_write = trio.current_time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
