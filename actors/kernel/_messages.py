"""Messages that can be asked, and the envelope in which an ask travels.

An envelope is answered exactly once: whatever comes second is dropped. It owns the one-shot reply
and the cancel scope that ties the handler's work to its asker. Told messages travel without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import trio

MessageT = TypeVar("MessageT")
ReplyT = TypeVar("ReplyT")
_MessageT_co = TypeVar("_MessageT_co", covariant=True)
_ReplyT_co = TypeVar("_ReplyT_co", covariant=True)


class Message(Generic[ReplyT]):
    """Base of the messages that :meth:`Ref.ask` sends, with the type of their reply.

    Example::

        @dataclass(frozen=True, slots=True)
        class GetCount(Message[int]):
            word: str

        count = await ref.ask(GetCount("forebay"))  # an int
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # For type checkers only; see Askable.
        def _as_message(self) -> Self: ...
        def _as_reply(self) -> ReplyT: ...


class Askable(Protocol[_MessageT_co, _ReplyT_co]):
    """For type checkers: "a ``MessageT`` that is also a ``Message[ReplyT]``".

    Python has no intersection types. Two methods that exist for the checker alone say the same, so
    that :meth:`Ref.ask` refuses what the actor does not understand and still knows the reply.
    """

    def _as_message(self) -> _MessageT_co: ...
    def _as_reply(self) -> _ReplyT_co: ...


class Call(Generic[MessageT]):
    """A message on its way to one handler and one answer on its way back.

    The asker makes it, with its own effective deadline, and waits in :meth:`wait`. The handler
    works inside :attr:`scope`; the asker cancels that scope if it stops waiting.
    """

    __slots__ = ("_answered", "_failure", "_value", "message", "scope")

    def __init__(self, message: MessageT, deadline: float) -> None:
        self.message = message
        self.scope = trio.CancelScope(deadline=deadline)
        self._answered = trio.Event()
        self._value: object = None
        self._failure: Exception | None = None

    @property
    def abandoned(self) -> bool:
        """Nobody waits for the answer any more: the asker was cancelled, or its time is over."""
        return self.scope.cancel_called

    @property
    def answered(self) -> bool:
        return self._answered.is_set()

    def reply(self, value: object) -> None:
        """Answer with a value, unless there is an answer already."""
        if not self._answered.is_set():
            self._value = value
            self._answered.set()

    def fail(self, failure: Exception) -> None:
        """Answer with an exception, unless there is an answer already."""
        if not self._answered.is_set():
            self._failure = failure
            self._answered.set()

    async def wait(self) -> None:
        """Wait until there is an answer."""
        await self._answered.wait()

    def result(self) -> object:
        """The answer, once there is one.

        Raises:
            Exception: the one given to :meth:`fail`.
        """
        if self._failure is None:
            return self._value
        try:
            raise self._failure
        finally:
            # The traceback holds this frame, which would hold the exception: a circle that only
            # the garbage collector could break.
            self._failure = None
