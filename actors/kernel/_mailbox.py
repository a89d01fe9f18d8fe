"""A bounded mailbox: a memory channel that can refuse, run empty and give up what it holds.

It belongs to the place of an actor in the tree, not to the actor's instance, so a restart loses
only the message that was being handled. Order is the channel's: first in, first out, and blocked
senders get their places in the order in which they began to wait.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Generic, Protocol, Self

import trio

from forebay.actors.kernel._messages import Call, MessageT


class _Signal(enum.Enum):
    LOOK_UP = enum.auto()
    """Wakes a waiting receiver, so that it sees that the mailbox refuses now."""


class AnyMailbox(Protocol):
    """A mailbox, to those who don't care what is in it."""

    @property
    def capacity(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def blocked_senders(self) -> int: ...
    def refuse(self) -> None: ...
    def close(self, failure: Callable[[], Exception]) -> int: ...


class Mailbox(Generic[MessageT]):
    """Bounded, ordered, and closed in two steps.

    :meth:`refuse` ends the taking in; what is inside, blocked senders included, can still be
    taken out. :meth:`close` ends that too.
    """

    __slots__ = ("_closed", "_receive", "_refusing", "_send", "capacity")

    def __init__(self, capacity: int) -> None:
        if capacity < 0:
            raise ValueError(f"capacity: must be 0 or more, not {capacity}")
        self.capacity = capacity
        self._send, self._receive = trio.open_memory_channel["MessageT | Call[MessageT] | _Signal"](
            capacity
        )
        self._refusing = False
        self._closed = False

    @property
    def depth(self) -> int:
        """Messages that have a place inside."""
        return self._send.statistics().current_buffer_used

    @property
    def blocked_senders(self) -> int:
        """Tasks that wait in :meth:`put`."""
        return self._send.statistics().tasks_waiting_send

    @property
    def would_block(self) -> bool:
        """Whether :meth:`put`, called now, would wait."""
        statistics = self._send.statistics()
        return (
            not statistics.tasks_waiting_receive and statistics.current_buffer_used >= self.capacity
        )

    def put_nowait(self, item: MessageT | Call[MessageT]) -> None:
        """Put an item in at once.

        Raises:
            trio.WouldBlock: there is no place.
            trio.ClosedResourceError: the mailbox refuses, or is closed.
        """
        if self._refusing:
            raise trio.ClosedResourceError
        self._send.send_nowait(item)

    async def put(self, item: MessageT | Call[MessageT]) -> None:
        """Put an item in, waiting for a place in the order of arrival.

        If cancelled, the item is not inside and holds no place.

        Raises:
            trio.ClosedResourceError: the mailbox refuses, or was closed during the wait.
        """
        if self._refusing:
            raise trio.ClosedResourceError
        await self._send.send(item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MessageT | Call[MessageT]:
        """Take the oldest item out; a cancelled call has taken nothing.

        Raises:
            StopAsyncIteration: nothing is left in it and nothing will come.
        """
        try:
            if not self._refusing:
                item = await self._receive.receive()
                if not isinstance(item, _Signal):
                    return item
            await trio.lowlevel.checkpoint()
            item = self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None
        assert not isinstance(item, _Signal)  # it is handed to a waiting receiver, never stored
        return item

    def refuse(self) -> None:
        """Take nothing in from now on. Blocked senders came before, and keep their turn."""
        if self._refusing:
            return
        self._refusing = True
        if self._receive.statistics().tasks_waiting_receive:
            self._send.send_nowait(_Signal.LOOK_UP)

    def close(self, failure: Callable[[], Exception]) -> int:
        """Answer every queued ask with a failure and turn all blocked senders away.

        Returns:
            The number of told messages that were given up.
        """
        self._refusing = True
        if self._closed:
            return 0
        self._closed = True
        # In this order: with the sending end closed, blocked senders are gone before the buffer is
        # emptied, and none of them moves up into it and believes itself taken.
        self._send.close()
        given_up = 0
        while True:
            try:
                item = self._receive.receive_nowait()
            except trio.EndOfChannel:
                break
            if isinstance(item, Call):
                item.fail(failure())
            else:
                given_up += 1
        self._receive.close()
        return given_up
