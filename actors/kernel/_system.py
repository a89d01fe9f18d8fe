"""An actor system: the root of one tree, for as long as a block lasts."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Never, overload

import trio

from forebay.actors.kernel._adoption import Adopted, close_adopted
from forebay.actors.kernel._children import ABORT_GRACE, Children
from forebay.actors.kernel._failures import public_failure
from forebay.actors.kernel._life import ActorParent, Surroundings
from forebay.actors.kernel._messages import MessageT
from forebay.actors.kernel._node import Node
from forebay.actors.kernel._tree import ActorSnapshot, ActorState
from forebay.actors.kernel._waits import WaitGraph


class ActorSystem(ActorParent):
    """The root of a tree of actors; made by :func:`open_actor_system`."""

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def state(self) -> ActorState:
        return self._node.state

    @overload
    def adopt(self, name: str, *, layer: int | None = None) -> Adopted[Never]: ...
    @overload
    def adopt(
        self, name: str, messages: type[MessageT], *, capacity: int = 1, layer: int | None = None
    ) -> Adopted[MessageT]: ...
    def adopt(
        self,
        name: str,
        messages: type[MessageT] | None = None,
        *,
        capacity: int = 1,
        layer: int | None = None,
    ) -> Adopted[MessageT]:
        """Give the running task a place in the tree, for the length of a ``with`` block.

        Example::

            with system.adopt("session-17", Hangup) as me:
                me.note = "waiting"
                reply = await gateway.ask(Submit(..., answer_to=me.ref))

        The place ends with the block; those who wait to send to it get :class:`ActorNotRunning`.
        If the system ends first, the task goes on, and the place is stopped.

        Args:
            name: unique among the system's own children, without ``/``.
            messages: what its mailbox takes: a class, or a base class of several.
            capacity: messages that have a place in the mailbox, which is made at its first use.
            layer: as for :meth:`start`.

        Raises:
            ValueError: on entering: the name can't be used.
            ActorNotRunning: on entering: the system has ended.
        """
        node = Node(name, self._node, kind="adopted", capacity=capacity, layer=layer)
        return Adopted(node, self._surroundings.waits)

    def tree(self, *, limit: int | None = None) -> ActorSnapshot:
        """What all places are doing now, with at most ``limit`` children listed of each.

        Some microseconds per place; the caller's task does not let others run in between.
        """
        return self._node.snapshot(limit)

    async def drain(self, deadline: float = math.inf) -> None:
        """End all actors in order, the last started first: each handles what is queued.

        Each has its own shutdown timeout for that, within the deadline (a
        :func:`trio.current_time`), and is aborted after it. Actors can't be started any more;
        adopted tasks are left to those who made them. If cancelled, the rest stays undrained.
        """
        self._node.state = ActorState.DRAINING
        await self._children.drain(deadline)

    async def abort(self) -> None:
        """End all actors at once, the last started first, and wait for their end."""
        self._node.state = ActorState.DRAINING
        await self._children.abort()


@asynccontextmanager
async def open_actor_system(
    name: str = "system", *, check_waits: bool = False, random: Random | None = None
) -> AsyncIterator[ActorSystem]:
    """Open a system of actors around a block of code.

    At the end of the block the system is drained, as by :meth:`ActorSystem.drain`. If the block
    raises or is cancelled, all actors are aborted, the last started first.

    Example::

        async with open_actor_system("shop", check_waits=True) as system:
            till = await system.start(Till, name="till")
            await till.tell(Sell("bread"))

    Args:
        name: the first part of every actor's path.
        check_waits: raise :class:`WaitCycle` where actors would deadlock, for tests and debugging.
        random: draws the jitter of restarts; give a seeded one to repeat a run.

    Raises:
        ActorDied: a top-level actor crashed more often than its restart policy allows; the block
            was cancelled for it.
        BaseException: what the block raised, as it was.
    """
    surroundings = Surroundings(WaitGraph() if check_waits else None, random or Random())
    node = Node(name, None, kind="system")
    try:
        async with trio.open_nursery() as nursery:
            system = ActorSystem(node, Children(nursery), surroundings)
            node.state = ActorState.RUNNING
            try:
                yield system
                await system.drain()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + ABORT_GRACE):
                    await system.abort()
    except BaseExceptionGroup as group:
        failure = public_failure(group)
        if failure is group:
            raise
        raise failure from failure.__cause__
    finally:
        node.state = ActorState.STOPPED
        for adopted in node.children.values():  # all actors are gone by now
            close_adopted(adopted)
