"""Noticing that a peer hangs up although nobody reads what it has sent.

A stream tells of a close only behind the bytes that came before it, and whoever does not want
these bytes yet must leave them where they are: with the kernel. Linux tells of the close itself
(``EPOLLRDHUP``), at once for a reset. An orderly close is a segment like any other, which the
peer's kernel sends only after all bytes before it; so the kernel here is allowed to take in some
more of them. What all connections of a server may so leave unread has one bound. Beyond it, and on
other systems, a close is noticed when reading goes on.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import trio

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""What the kernel may keep unread for all watched connections of a server together, on top of the
receive buffer that each has anyway."""
_MOST_FOR_ONE: Final = 6 * 1024 * 1024
"""A peer's kernel usually keeps at most 4 MiB unsent (``tcp_wmem``); its book-keeping counts."""
_LEAST_FOR_ONE: Final = 256 * 1024
_SHARE: Final = 8
"""One connection gets at most this part of what is left, so that others get some too."""


class HangUpWatch:
    """Watches sockets that are not being read; one for all connections of a server."""

    def __init__(self, unread_bytes: int = UNREAD_BYTES) -> None:
        self._left = unread_bytes

    @property
    def left(self) -> int:
        """Bytes of the bound that no watched connection has been given."""
        return self._left

    async def hung_up(self, sock: trio.socket.SocketType) -> bool:
        """Returns once the peer has closed; whatever it sent stays unread.

        Waits for ever where the system can't tell. Whoever closes the socket meanwhile cancels
        this too: it would not notice.

        Returns:
            Whether the peer can still be sent to: True after an orderly close of its side, False
            after a reset.
        """
        if sys.platform != "linux":
            await trio.sleep_forever()
        try:
            watched = select.epoll()
        except OSError:  # no file descriptor left for this
            await trio.sleep_forever()
        with watched, self._room_for_more(sock):
            watched.register(sock.fileno(), select.EPOLLRDHUP)
            while not (seen := watched.poll(0)):
                await trio.lowlevel.wait_readable(watched.fileno())
        return not seen[0][1] & (select.EPOLLERR | select.EPOLLHUP)

    @contextmanager
    def _room_for_more(self, sock: trio.socket.SocketType) -> Iterator[None]:
        amount = min(_MOST_FOR_ONE, self._left // _SHARE)
        if amount < _LEAST_FOR_ONE:
            yield
            return
        self._left -= amount
        try:
            # "Don't wake me for less" makes the kernel provide for that much, without a limit of
            # SO_RCVBUF's or an end to its tuning. To the peer it shows with its next probe of the
            # closed window, after 0.2 s or somewhat more.
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, amount)
            yield
        finally:
            self._left += amount
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
