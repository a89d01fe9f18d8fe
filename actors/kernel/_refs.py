"""Refs: what one holds of an actor to send it messages, across all its restarts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, cast

import trio

from forebay.actors.kernel._errors import ActorNotRunning, WaitCycle
from forebay.actors.kernel._mailbox import Mailbox
from forebay.actors.kernel._messages import Askable, Call, ReplyT
from forebay.actors.kernel._node import CURRENT_NODE, Node
from forebay.actors.kernel._tree import ActorState
from forebay.actors.kernel._waits import WaitGraph, check_not_below, check_place

MessageT_contra = TypeVar("MessageT_contra", contravariant=True)


class Lifecycle(Protocol):
    """How a ref reaches the supervisor of its actor."""

    ended: trio.Event
    failure: Exception | None

    def begin_drain(self, deadline: float) -> None: ...
    def abort(self) -> None: ...


class TellRef(Generic[MessageT_contra]):
    """Sends messages to a mailbox; there are no answers.

    Where ``await`` would mean waiting for somebody who may wait for you (upwards in the layers),
    use :meth:`tell_nowait`.
    """

    __slots__ = ("_mailbox", "_node", "_waits")

    def __init__(
        self, node: Node, mailbox: Mailbox[MessageT_contra], waits: WaitGraph | None
    ) -> None:
        self._node = node
        self._mailbox = mailbox
        self._waits = waits

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} {self.state}>"

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def path(self) -> str:
        return self._node.path

    @property
    def state(self) -> ActorState:
        return self._node.state

    async def tell(self, message: MessageT_contra) -> None:
        """Put a message into the mailbox, waiting while it is full.

        Senders that wait are served in the order in which they began to. If cancelled, the message
        was not sent.

        Raises:
            ActorNotRunning: the actor drains or has ended, or did while this call waited.
            WaitCycle: the caller is the actor itself, or an actor that must not wait for it.
        """
        waiter = CURRENT_NODE.get()
        try:
            if waiter is None:
                await self._mailbox.put(message)
            elif waiter is self._node:
                # Also while there is room: a mistake should not wait for a busy day to show.
                raise WaitCycle(
                    (self.path, self.path),
                    f"{self.path} may not wait for a place in its own mailbox; use tell_nowait",
                )
            else:
                check_place(waiter, self._node)
                if self._waits is not None and self._mailbox.would_block:
                    with self._waits.wait(waiter, self._node):
                        await self._mailbox.put(message)
                else:
                    await self._mailbox.put(message)
        except trio.ClosedResourceError:
            raise self._not_running() from None

    def tell_nowait(self, message: MessageT_contra) -> None:
        """Put a message into the mailbox at once, or not at all.

        Raises:
            trio.WouldBlock: the mailbox is full.
            ActorNotRunning: the actor drains or has ended.
        """
        try:
            self._mailbox.put_nowait(message)
        except trio.ClosedResourceError:
            raise self._not_running() from None

    def _not_running(self) -> ActorNotRunning:
        return ActorNotRunning(self.path, self.state)


class Ref(TellRef[MessageT_contra]):
    """Sends messages to an actor, asks it, and ends it.

    A ref stays good over restarts, and belongs to everybody who is given it.
    """

    __slots__ = ("_lifecycle",)

    def __init__(
        self,
        node: Node,
        mailbox: Mailbox[MessageT_contra],
        waits: WaitGraph | None,
        lifecycle: Lifecycle,
    ) -> None:
        super().__init__(node, mailbox, waits)
        self._lifecycle = lifecycle

    async def ask(self, message: Askable[MessageT_contra, ReplyT]) -> ReplyT:
        """Send a message and wait for its reply, in all at most until the caller's deadline.

        The handler works under the deadline that is in effect here. If cancelled, whether by that
        deadline or otherwise, the handler is cancelled too (this call does not wait for it), and a
        message that is still queued will be skipped, though it keeps its place until then.

        Raises:
            ActorNotRunning: the actor drains or has ended: nothing was done.
            ActorStopped: the actor was stopped with this message queued or in hand.
            ActorDied: the actor crashed with this message in hand, or for good.
            AskExpired: the caller's deadline at the time of the ask passed, and was moved since.
            WaitCycle: the caller is the actor itself, or an actor that must not wait for it.
            Exception: whatever the handler raised, unchanged.
        """
        call = Call(cast("MessageT_contra", message), trio.current_effective_deadline())
        waiter = CURRENT_NODE.get()
        if waiter is None:
            return cast("ReplyT", await self._exchange(call))
        if waiter is self._node:
            raise WaitCycle((self.path, self.path))
        check_place(waiter, self._node)
        if self._waits is None:
            return cast("ReplyT", await self._exchange(call))
        with self._waits.wait(waiter, self._node):
            return cast("ReplyT", await self._exchange(call))

    async def drain(self, deadline: float = math.inf) -> None:
        """Refuse new messages now, have the queued ones handled, and wait for the actor's end.

        What is not done at the deadline (a :func:`trio.current_time`) is aborted. Of several
        drains the earliest deadline counts. If cancelled, the drain goes on without the caller.

        Raises:
            WaitCycle: called by the actor itself or below it; there, use ``context.stop``.
        """
        with self._waiting_for_end():
            self._lifecycle.begin_drain(deadline)
            await self._lifecycle.ended.wait()

    def abort(self) -> None:
        """End the actor at once: cancel what it does, and answer what is queued.

        Those who asked get :class:`ActorStopped`. :meth:`wait_stopped` waits for the end.
        """
        self._lifecycle.abort()

    async def wait_stopped(self) -> Exception | None:
        """Wait until the actor has ended for good, and return what it died of, if it did.

        Raises:
            WaitCycle: called by the actor itself or below it.
        """
        with self._waiting_for_end():
            await self._lifecycle.ended.wait()
        return self._lifecycle.failure

    async def _exchange(self, call: Call[MessageT_contra]) -> object:
        try:
            await self._mailbox.put(call)
            await call.wait()
        except trio.ClosedResourceError:
            raise self._not_running() from None
        except BaseException:
            call.scope.cancel()
            raise
        return call.result()

    @contextmanager
    def _waiting_for_end(self) -> Iterator[None]:
        check_not_below(self._node)
        waiter = CURRENT_NODE.get()
        if self._waits is None or waiter is None:
            yield
        else:
            with self._waits.wait(waiter, self._node):
                yield
