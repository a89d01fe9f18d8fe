"""The supervisor of one actor: its restarts, its states and its end.

It is one task in the nursery of the actor's parent. It has one instance after another live, until
one ends in order, the supervisor is stopped, or crashes come too often: then it dies itself, into
the parent's nursery, or lets the actor rest. It keeps what outlives an instance: the place in the
tree and the mailbox. What an instance is and does is not known here.

It runs in a shielded cancel scope of its own, which :meth:`Supervisor.abort` and a drain's deadline
cancel. A cancellation from outside would end all actors of a tree at the same time. So it reaches
only the parents, and these end their children one by one, see :mod:`_children`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import trio

from forebay.actors.kernel._errors import ActorDied, ActorStopped
from forebay.actors.kernel._failures import LOGGER, single
from forebay.actors.kernel._mailbox import AnyMailbox
from forebay.actors.kernel._node import CURRENT_NODE, Node
from forebay.actors.kernel._restarts import RestartHistory, RestartPolicy
from forebay.actors.kernel._tree import ActorState


class Supervisor:
    """Keeps one actor alive until its end. Compared by identity."""

    def __init__(
        self,
        node: Node,
        mailbox: AnyMailbox,
        *,
        restart: RestartPolicy,
        shutdown_timeout: float,
        random: Random,
        on_rest: Callable[[Exception], None] | None = None,
    ) -> None:
        if not shutdown_timeout >= 0:
            raise ValueError(f"shutdown_timeout: must be 0 or more seconds, not {shutdown_timeout}")
        self.node = node
        self.scope = trio.CancelScope(shield=True)
        self.shutdown_timeout = shutdown_timeout
        self.has_started = False
        self.settled = trio.Event()
        """Set when the first start has succeeded or failed."""
        self.ended = trio.Event()
        self.failure: Exception | None = None
        """Once ended: what it died of, if it did."""
        self._mailbox = mailbox
        self._history = RestartHistory(restart, random)
        self._rest = restart.rest
        self._on_rest = on_rest
        self._drain_began = trio.Event()

    async def run(self, live: Callable[[], Awaitable[None]]) -> None:
        """Call ``live`` until the actor's end.

        A failed first start is no crash: it ends the actor, for the starter to see in
        :attr:`failure`. Neither is a crash too many of an actor that would have rested after it
        and is to end anyway: it is logged.

        Raises:
            ActorDied: crashes came more often than the policy allows, or ``on_rest`` failed.
        """
        CURRENT_NODE.set(self.node)
        try:
            with self.scope:
                await self._live_and_restart(live)
        except Exception as error:
            self.failure = single(error)
        finally:
            self._end()
        if self.failure is None or not self.has_started:
            return
        if self.scope.cancel_called:
            LOGGER.error("%s failed while it was aborted", self.node.path, exc_info=self.failure)
            return
        if self._rest is not None and self._drain_began.is_set():
            LOGGER.error("%s failed while it was drained", self.node.path, exc_info=self.failure)
            return
        LOGGER.error("%s died", self.node.path)
        raise ActorDied(self.node.path, f"died: {self.failure!r}") from self.failure

    def instance_started(self) -> None:
        """To be called by ``live`` when messages can be handled."""
        if self.node.state is ActorState.STARTING:
            self.node.state = ActorState.RUNNING
        self.has_started = True
        self.settled.set()

    def begin_drain(self, deadline: float) -> None:
        """Refuse new messages; abort at the deadline, the earliest if there were several."""
        if not self.ended.is_set():
            self.node.state = ActorState.DRAINING
            self._mailbox.refuse()
            self._drain_began.set()
            self.scope.deadline = min(self.scope.deadline, deadline)

    def abort(self) -> None:
        """Cancel the instance, and answer what is queued."""
        if not self.ended.is_set():
            self.node.state = ActorState.DRAINING
            self.scope.cancel()
            self.close_mailbox()

    def close_mailbox(self) -> None:
        """Answer every queued ask, because no instance will."""
        path = self.node.path
        died = self.failure is not None
        given_up = self._mailbox.close(lambda: ActorDied(path) if died else ActorStopped(path))
        if given_up:
            LOGGER.warning("%s was stopped with %d told messages unread", path, given_up)

    async def _live_and_restart(self, live: Callable[[], Awaitable[None]]) -> None:
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()  # aborted before the task's first step
            try:
                await live()
            except Exception as error:
                delay = self._history.delay_after_crash(trio.current_time())
                if not self.has_started or (delay is None and not self._may_rest):
                    raise
                self._note_crash(single(error), delay)
            else:
                return
            await self._pause(delay)

    def _note_crash(self, failure: Exception, delay: float | None) -> None:
        """Say what becomes of the actor; ``delay`` is None for one crash too many."""
        node = self.node
        node.restarts += 1
        if delay is not None:
            LOGGER.error("%s crashed and restarts in %.3f s", node.path, delay, exc_info=failure)
            if node.state is not ActorState.DRAINING:
                node.state = ActorState.STARTING
            return
        LOGGER.error(
            "%s crashed too often and rests for %g s", node.path, self._rest, exc_info=failure
        )
        node.state = ActorState.RESTING
        if self._on_rest is not None:
            self._on_rest(failure)

    async def _pause(self, delay: float | None) -> None:
        """The wait for the restart; a drain ends a rest, for what is queued to be handled."""
        if delay is not None:
            await trio.sleep(delay)
            return
        assert self._rest is not None
        with trio.move_on_after(self._rest):
            await self._drain_began.wait()
        if self.node.state is ActorState.RESTING:
            self.node.state = ActorState.STARTING

    @property
    def _may_rest(self) -> bool:
        return self._rest is not None and not self._drain_began.is_set()

    def _end(self) -> None:
        self.node.state = ActorState.STOPPED
        self.close_mailbox()
        self.node.leave()
        self.ended.set()
        self.settled.set()
