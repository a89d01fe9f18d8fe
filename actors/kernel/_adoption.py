"""Adoption: a task that somebody else made takes a place in the tree for a while.

There is no supervisor and no restart: the task's own nursery looks after it. It costs a few
microseconds and no task, so that thousands are no matter.
"""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Generic, Self

from forebay.actors.kernel._errors import ActorNotRunning, ActorStopped
from forebay.actors.kernel._mailbox import Mailbox
from forebay.actors.kernel._messages import Call, MessageT
from forebay.actors.kernel._node import CURRENT_NODE, Node
from forebay.actors.kernel._refs import TellRef
from forebay.actors.kernel._tree import ActorState
from forebay.actors.kernel._waits import WaitGraph


class Adopted(Generic[MessageT]):
    """The place of an adopted task, held by ``with``; see :meth:`ActorSystem.adopt`.

    What the block awaits of other actors counts as awaited by this place.
    """

    __slots__ = ("_mailbox", "_node", "_token", "_waits")

    def __init__(self, node: Node, waits: WaitGraph | None) -> None:
        self._node = node
        self._waits = waits
        self._mailbox: Mailbox[MessageT] | None = None
        self._token: Token[Node | None] | None = None

    def __enter__(self) -> Self:
        node = self._node
        if node.state is not ActorState.STARTING:
            raise RuntimeError(f"{node.path} was entered before; adopt the task anew")
        assert node.parent is not None
        if node.parent.state is ActorState.STOPPED:
            raise ActorNotRunning(node.parent.path, node.parent.state)
        node.enter()
        node.state = ActorState.RUNNING
        self._token = CURRENT_NODE.set(node)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        CURRENT_NODE.reset(self._token)
        close_adopted(self._node)
        self._node.leave()

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def path(self) -> str:
        return self._node.path

    @property
    def note(self) -> str:
        """What the task is doing, for those who look at the tree."""
        return self._node.note

    @note.setter
    def note(self, text: str) -> None:
        self._node.note = text

    @property
    def ref(self) -> TellRef[MessageT]:
        """Sends messages to this task. It can't be asked: it has no handler."""
        return TellRef(self._node, self._open_mailbox(), self._waits)

    async def receive(self) -> MessageT:
        """Wait for the next message. If cancelled, none was taken.

        Raises:
            ActorStopped: the system has ended.
        """
        try:
            message = await anext(self._open_mailbox())
        except StopAsyncIteration:
            raise ActorStopped(self.path) from None
        assert not isinstance(message, Call)  # the ref has no ask
        self._node.handled += 1
        return message

    def _open_mailbox(self) -> Mailbox[MessageT]:
        mailbox = self._mailbox
        if mailbox is None:
            mailbox = self._mailbox = Mailbox(self._node.capacity)
            self._node.mailbox = mailbox
            if self._node.state is ActorState.STOPPED:
                close_adopted(self._node)
        return mailbox


def close_adopted(node: Node) -> None:
    """End the place of an adopted task: whoever waits for its mailbox, at either end, is told."""
    node.state = ActorState.STOPPED
    if node.mailbox is not None:
        path = node.path
        node.mailbox.close(lambda: ActorStopped(path))
