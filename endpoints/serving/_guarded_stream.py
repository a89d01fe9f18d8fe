"""A stream with a deadline on writing, and with eyes for the peer while nobody reads.

Owns the bytes between the transport and the protocol; knows nothing of HTTP. Works over any Trio
stream; over a socket it sees in more detail whether a slow peer is moving.
"""

from __future__ import annotations

import socket
import struct
import sys

import trio

from forebay.endpoints.serving._hang_up import HangUpWatch

if sys.platform == "linux":
    import fcntl
    import termios

RECEIVE_BYTES = 64 * 1024
READ_AHEAD_BYTES = 64 * 1024
_PIECE_BYTES = 16 * 1024
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


class PeerClosed(Exception):
    """The peer closed its side while the reader was waiting for something else."""


def unacknowledged_bytes(sock: trio.socket.SocketType) -> int:
    """How many bytes the peer has not yet taken; 0 where the system can't tell."""
    if sys.platform != "linux" or sock.fileno() < 0:
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:  # not a socket that counts
        return 0
    return int.from_bytes(answer, sys.byteorder)


class GuardedStream:
    """One connection's transport. One task reads; any number may send.

    ``stream`` is owned: :meth:`aclose` closes it, or a send that fails or is cancelled.
    """

    def __init__(
        self, stream: trio.abc.Stream, *, write_timeout: float, hang_ups: HangUpWatch | None = None
    ) -> None:
        self._stream = stream
        self._hang_ups = hang_ups or HangUpWatch()
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._write_timeout = write_timeout
        self._send_lock = trio.Lock()
        self._ahead = bytearray()
        self.broken = False
        """Nothing can be sent any more."""

    @property
    def has_read_ahead(self) -> bool:
        """Whether bytes have been read that nobody has asked for yet."""
        return bool(self._ahead)

    async def receive_some(self) -> bytes:
        """The next bytes, or ``b""`` at the end. Cancelling it loses nothing.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the connection is gone.
        """
        if self._ahead:
            await trio.lowlevel.checkpoint()
            data = bytes(self._ahead)
            self._ahead.clear()
            return data
        return bytes(await self._stream.receive_some(RECEIVE_BYTES))

    async def read_ahead(self) -> None:
        """Keeps what the peer sends, to a bound, until cancelled.

        A close that comes after unread bytes can in a stream only be seen by reading them. Past
        the bound the bytes are left alone, so that the sender feels the backpressure, and a socket
        is watched for its peer hanging up.

        Raises:
            PeerClosed: the peer closed its side.
            trio.BrokenResourceError, trio.ClosedResourceError: the connection is gone.
        """
        while (room := READ_AHEAD_BYTES - len(self._ahead)) > 0:
            data = await self._stream.receive_some(room)
            if not data:
                raise PeerClosed
            self._ahead += data
        if self._socket is None:
            await trio.sleep_forever()
        if self.broken:
            raise trio.ClosedResourceError("the connection is gone")
        if await self._hang_ups.hung_up(self._socket):
            raise PeerClosed
        raise trio.BrokenResourceError("the peer has reset the connection")

    def new_gate(self) -> ReadGate:
        """A shut gate for the reading task to wait at."""
        return ReadGate(self)

    async def send_all(self, data: bytes) -> None:
        """Sends ``data``, whole and not mixed with what other tasks send.

        If it is cancelled when a part may have left, the connection is aborted: nothing that
        follows a torn piece would make sense to the peer.

        Raises:
            trio.BrokenResourceError: the peer is gone, or took nothing for ``write_timeout``.
            trio.ClosedResourceError: the stream was closed on our side.
        """
        # The fast path saves a trip through the scheduler for every send.
        try:
            self._send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._send_lock.acquire()
        try:
            if self.broken:
                raise trio.ClosedResourceError("the connection is gone")
            view = memoryview(data)
            while view:
                view = view[await self._send_some(view) :]
        except BaseException:
            self._reset_on_close()
            await self.aclose()
            raise
        finally:
            self._send_lock.release()

    async def _send_some(self, view: memoryview) -> int:
        while True:
            not_taken = 0 if self._socket is None else unacknowledged_bytes(self._socket)
            with trio.move_on_after(self._write_timeout):
                if self._socket is None:
                    piece = view[:_PIECE_BYTES]
                    await self._stream.send_all(piece)
                    return len(piece)
                # Not the stream's own send_all: cancelling that would not tell how far it came.
                try:
                    return await self._socket.send(view)
                except OSError as error:
                    raise trio.BrokenResourceError(f"sending failed: {error}") from error
            # The kernel asks for more only when a good part of its buffer is free again; a very
            # slow reader may not get there in time although it reads.
            if self._socket is None or unacknowledged_bytes(self._socket) >= not_taken:
                raise trio.BrokenResourceError(
                    f"the peer took nothing for {self._write_timeout:g} s"
                )

    async def send_eof(self) -> None:
        """Tells the peer that nothing more will come; does nothing if it can't be told."""
        async with self._send_lock:
            if not self.broken and isinstance(self._stream, trio.abc.HalfCloseableStream):
                try:
                    await self._stream.send_eof()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self.broken = True

    def _reset_on_close(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            # Else the kernel would keep the unsent bytes of a stalled reader for minutes.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)

    async def aclose(self) -> None:
        """Closes at once, without a checkpoint; bytes already accepted for sending still go out."""
        self.broken = True
        if self._socket is None:
            await trio.aclose_forcefully(self._stream)
        else:
            # All that the stream's own aclose does, without a cancel scope for its checkpoint.
            self._socket.close()


class ReadGate:
    """Where the reading task waits until others let it pass, listening to the peer meanwhile.

    Without this a paused reader would not see that the peer has left.
    """

    def __init__(self, stream: GuardedStream) -> None:
        self._stream = stream
        self._open = False
        self._waiting: trio.CancelScope | None = None

    @property
    def is_open(self) -> bool:
        """Whether :meth:`passage` would return."""
        return self._open

    def open(self) -> None:
        """Lets the reader pass, now or when it comes."""
        self._open = True
        if self._waiting is not None:
            self._waiting.cancel()

    def shut(self) -> None:
        """Makes the reader wait when it comes next."""
        self._open = False

    async def passage(self) -> None:
        """Returns once the gate is open. Only the reading task may call this.

        Raises:
            PeerClosed, trio.BrokenResourceError, trio.ClosedResourceError: the peer left first.
        """
        while not self._open:
            with trio.CancelScope() as self._waiting:
                try:
                    await self._stream.read_ahead()
                finally:
                    self._waiting = None
        await trio.lowlevel.checkpoint_if_cancelled()
