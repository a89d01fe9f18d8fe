"""The children of one parent: started in order, ended in reverse order.

Whatever was started first may be needed by all that came later, until these have ended. So each
child is ended, and waited for, while its elders still work: at a drain, after a crash of the
parent, and when the parent is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from forebay.actors.kernel._errors import ActorNotRunning, ActorStopped
from forebay.actors.kernel._failures import LOGGER
from forebay.actors.kernel._supervisor import Supervisor

ABORT_GRACE = 5.0
"""Seconds for all children of a parent to end after an abort before it is said in the log, and the
rest are aborted at the same time. Only code that shields itself, or never awaits, takes so long."""


class Children:
    """The actors that one parent has started."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._supervisors: dict[Supervisor, None] = {}
        self._closing = False

    async def launch(self, supervisor: Supervisor, live: Callable[[], Awaitable[None]]) -> None:
        """Start an actor and wait until it is ready.

        If cancelled, the actor is aborted.

        Raises:
            ValueError: the name can't be used.
            ActorNotRunning: the parent is ending its children, or has ended.
            ActorStopped: the actor was stopped before it was ready.
            Exception: what the start failed with.
        """
        node = supervisor.node
        if self._closing:
            assert node.parent is not None
            raise ActorNotRunning(node.parent.path, node.parent.state)
        node.enter()
        self._supervisors[supervisor] = None
        self._nursery.start_soon(self._supervise, supervisor, live, name=node.path)
        try:
            await supervisor.settled.wait()
        except BaseException:
            supervisor.abort()
            raise
        if not supervisor.has_started:
            raise supervisor.failure or ActorStopped(node.path)

    async def drain(self, deadline: float) -> None:
        """Drain one after the other, the last first.

        Each gets its shutdown timeout, within the deadline, and is aborted after it. If cancelled,
        the rest goes on as it is; follow with :meth:`abort`.
        """
        self._closing = True
        for supervisor in reversed(list(self._supervisors)):
            now = trio.current_time()
            supervisor.begin_drain(min(deadline, now + supervisor.shutdown_timeout))
            await supervisor.ended.wait()
        await trio.lowlevel.checkpoint()

    async def abort(self) -> None:
        """Abort one after the other, the last first. If cancelled, all the rest at once."""
        self._closing = True
        for supervisor in reversed(list(self._supervisors)):
            supervisor.abort()
            try:
                await supervisor.ended.wait()
            except trio.Cancelled:
                LOGGER.error("%s goes on in spite of being aborted", supervisor.node.path)
                for elder in self._supervisors:
                    elder.abort()
                raise
        await trio.lowlevel.checkpoint()

    async def _supervise(self, supervisor: Supervisor, live: Callable[[], Awaitable[None]]) -> None:
        try:
            await supervisor.run(live)
        finally:
            del self._supervisors[supervisor]
