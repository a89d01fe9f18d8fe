"""What one writes to have an actor: a class with a handler, and hooks around its life."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic

import trio

from forebay.actors.kernel._messages import MessageT

if TYPE_CHECKING:
    from forebay.actors.kernel._life import ActorContext


class Actor(ABC, Generic[MessageT]):
    """One instance lives from a start to a stop or a crash; a restart makes a new one.

    So what an instance holds is lost in a crash. State worth keeping is made outside, and given
    in by the factory: ``system.start(lambda: Counter(ledger), name="counter")``.

    The hooks run in this order, all in the actor's own tasks: :meth:`started`, then :meth:`handle`
    for each message with :meth:`run` beside it, at a drain :meth:`finish`, and :meth:`stopped`.
    """

    concurrency: int = 1
    """How many messages are handled at once.

    With 1, messages are handled one after the other, in order. With more, each gets a task of its
    own: they begin in order, and :meth:`handle` meets itself.
    """

    _context: ActorContext[MessageT] | None = None

    @property
    def context(self) -> ActorContext[MessageT]:
        """The actor's side of its place in the tree; there from :meth:`started` on."""
        if self._context is None:
            raise RuntimeError("context: not there before started(); move its use there")
        return self._context

    @abstractmethod
    async def handle(self, message: MessageT) -> object:
        """Do what the message says. For an ask, the value returned is the reply.

        The reply should be what the message's class declares, ``Message[int]`` an int. Expected
        outcomes are replies. An exception out of an ask goes to the asker, is logged once, and
        the actor lives on; out of a tell, it is a crash of the actor.

        Cancelled when the asker stops waiting, when its deadline passes, and when the actor is
        aborted or crashes elsewhere.
        """

    async def started(self) -> None:
        """Get ready; messages are handled afterwards. An exception fails the start."""
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Work beside the mailbox: a pump, a timer.

        May return before the actor's end. An exception is a crash of the actor. Cancelled at the
        end, at a drain only after :meth:`finish`.
        """
        await trio.lowlevel.checkpoint()

    async def finish(self) -> None:
        """At a drain, when the last message has been handled: wait for what is still going on.

        Cut off at the drain's deadline, and not called at all when the actor is aborted or
        crashes. :meth:`run` and the actor's children are still there.
        """
        await trio.lowlevel.checkpoint()

    def stopped(self) -> None:
        """Let go of what the instance holds; called once, last, however its life ended.

        All its tasks and children are gone. An exception is logged, and changes nothing.
        """
