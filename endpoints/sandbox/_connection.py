"""HTTP/1.1 on one connection: reads requests, performs the replies.

Two tasks: one reads from the client all the time, so that its going away is noticed whatever the
other is waiting for; the other takes requests one by one and answers them. Bytes that come while
an answer is under way are kept, up to a bound, for the next request.
"""

from __future__ import annotations

import logging
import socket
import struct
from contextlib import suppress
from urllib.parse import unquote

import h11
import trio

from forebay.endpoints.sandbox._http import Ending, Outcome, Piece, Reply, Request
from forebay.endpoints.sandbox._sandbox import Sandbox

_log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_KEPT_BYTES = 256 * 1024
_FLUSH_BYTES = 32 * 1024
_HEAD_BYTES = 64 * 1024


async def serve_connection(stream: trio.abc.Stream, sandbox: Sandbox) -> None:
    """Serve one client until it leaves, then close the stream; also when cancelled.

    Faults of the client or of the connection end it quietly.
    """
    connection = _Connection(stream, sandbox)
    try:
        with sandbox.connection():
            await connection.run()
    finally:
        # A connection that ended well has been closed already; this then does nothing.
        await trio.aclose_forcefully(stream)


class _Client:
    """The reading side: what the client has sent and nobody has taken yet."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._gone = False
        self._arrived = trio.Event()
        self._taken = trio.Event()
        self._watching: trio.CancelScope | None = None

    async def read(self) -> None:
        """Read until the client leaves; then cancel what is being done for it."""
        while not self._gone:
            if len(self._kept) > _KEPT_BYTES:
                self._taken = trio.Event()
                await self._taken.wait()
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                self._kept += data
            else:
                self._gone = True
                if self._watching is not None:
                    self._watching.cancel()
            self._arrived.set()

    async def take(self) -> bytes:
        """All bytes that have come, at least one; b"" when the client is gone."""
        while not self._kept and not self._gone:
            self._arrived = trio.Event()
            await self._arrived.wait()
        data = bytes(self._kept)
        self._kept.clear()
        self._taken.set()
        return data

    def cancel_when_gone(self, scope: trio.CancelScope | None) -> None:
        """Cancel this scope if the client leaves, or at once if it has."""
        self._watching = scope
        if scope is not None and self._gone:
            scope.cancel()


class _Connection:
    def __init__(self, stream: trio.abc.Stream, sandbox: Sandbox) -> None:
        self._stream = stream
        self._sandbox = sandbox
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._client = _Client(stream)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._client.read)
            await self._answer_all()
            nursery.cancel_scope.cancel()

    async def _answer_all(self) -> None:
        try:
            while True:
                request = await self._next_request()
                if request is None:
                    break
                await self._perform(self._respond(request), request)
                if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
                    break
                self._h11.start_next_cycle()
            await self._stream.aclose()
        except h11.RemoteProtocolError as fault:
            await self._refuse_bytes(fault)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def _respond(self, request: Request) -> Reply:
        try:
            return self._sandbox.respond(request)
        except Exception:
            _log.exception("the sandbox failed at %s %s", request.method, request.path)
            return self._sandbox.crashed(request)

    async def _next_request(self) -> Request | None:
        """The next whole request; None when there will be none."""
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        limit = self._sandbox.options.max_body_bytes
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            # One byte above the limit is enough to know; the rest is read and dropped.
            if len(body) <= limit:
                body += event.data[: limit + 1 - len(body)]
        if not isinstance(event, h11.EndOfMessage):
            return None
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = head.target.decode("latin-1").partition("?")
        if "%" in path:
            path = unquote(path)
        return Request(
            method=head.method.decode("latin-1"),
            path=path,
            headers=headers,
            body=bytes(body),
            arrived_at=trio.current_time(),
            query=query,
        )

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # h11 does not narrow its sentinels
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._send(self._h11.send(go_on))
            self._h11.receive_data(await self._client.take())

    async def _perform(self, reply: Reply, request: Request) -> None:
        """Play a reply. Its lease is finished in any case, before the last bytes leave.

        Raises:
            trio.BrokenResourceError: the client went away.
            trio.ClosedResourceError: the reply ended with the connection.
        """
        is_head = request.method == "HEAD"
        delivered = False
        with trio.CancelScope() as scope:
            self._client.cancel_when_gone(scope)
            try:
                if reply.delay > 0:
                    await trio.sleep_until(request.arrived_at + reply.delay)
                if not reply.sends_head:
                    await self._end(reply, b"")
                elif reply.pieces is None or is_head:
                    await self._send_whole(reply, is_head=is_head)
                else:
                    await self._send_pieces(reply, reply.pieces)
                delivered = True
            finally:
                self._client.cancel_when_gone(None)
                if reply.lease is not None and not delivered:
                    reply.lease.finish(Outcome.CANCELLED)
                    reply.lease.client_was_gone()
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client went away")

    async def _send_whole(self, reply: Reply, *, is_head: bool) -> None:
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        out = self._h11.send(h11.Response(status_code=reply.status, headers=headers)) or b""
        if reply.body and not is_head:
            out += self._h11.send(h11.Data(data=reply.body)) or b""
        await self._end(reply, out)

    async def _send_pieces(self, reply: Reply, pieces: list[Piece]) -> None:
        """Send a stream. What is due at the same time leaves as one chunk."""
        headers = [*reply.headers, (b"transfer-encoding", b"chunked")]
        head = self._h11.send(h11.Response(status_code=reply.status, headers=headers)) or b""
        due_at = trio.current_time()
        batch: list[bytes] = []
        batch_bytes = content = 0
        paced = False
        for piece in pieces:
            wait = piece.pause + (reply.interval if piece.is_content and paced else 0.0)
            waits = wait > 0
            if waits or batch_bytes > _FLUSH_BYTES:
                await self._send(head + self._chunk(batch))
                head, batch_bytes = b"", 0
                batch.clear()
                if reply.lease is not None:
                    reply.lease.count_pieces(content)
                content = 0
            if waits:
                due_at += wait
                await trio.sleep_until(due_at)
            batch.append(piece.data)
            batch_bytes += len(piece.data)
            if piece.is_content:
                paced = True
                content += 1
        if reply.lease is not None:
            reply.lease.count_pieces(content)
        await self._end(reply, head + self._chunk(batch))

    def _chunk(self, batch: list[bytes]) -> bytes:
        return self._h11.send(h11.Data(data=b"".join(batch))) or b"" if batch else b""

    async def _end(self, reply: Reply, last: bytes) -> None:
        """Send the last bytes and end as the reply says."""
        if reply.ending is not Ending.HANG and reply.lease is not None:
            # The slot is free when the answer is: whoever reads its last byte may call again.
            reply.lease.finish(reply.outcome)
        if reply.ending is Ending.COMPLETE:
            last += self._h11.send(h11.EndOfMessage()) or b""
        await self._send(last)
        match reply.ending:
            case Ending.COMPLETE:
                pass
            case Ending.CUT:
                await self._stream.aclose()
                raise trio.ClosedResourceError
            case Ending.RESET:
                await self._reset()
                raise trio.ClosedResourceError
            case Ending.HANG:
                await trio.sleep_forever()

    async def _reset(self) -> None:
        """Close so that the peer gets a reset rather than an end, where the stream has resets."""
        if isinstance(self._stream, trio.SocketStream):
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await trio.aclose_forcefully(self._stream)

    async def _send(self, data: bytes | None) -> None:
        if data:
            await self._stream.send_all(data)

    async def _refuse_bytes(self, fault: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP, if nothing has been answered yet, and close."""
        try:
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                body = b'{"error":{"message":"not a valid HTTP request","type":'
                body += b'"invalid_request_error","param":null,"code":null}}'
                headers = [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(body)),
                    (b"connection", b"close"),
                ]
                status = fault.error_status_hint
                out = self._h11.send(h11.Response(status_code=status, headers=headers)) or b""
                out += self._h11.send(h11.Data(data=body)) or b""
                await self._send(out + (self._h11.send(h11.EndOfMessage()) or b""))
            await self._stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
