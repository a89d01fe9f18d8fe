"""The life of one instance of an actor, and what the instance can do in its place.

Actors start actors: :class:`ActorParent` builds a child from a factory, the child's life gives the
instance an :class:`ActorContext`, and that is an :class:`ActorParent` again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar, TypeVarTuple

import trio

from forebay.actors.kernel._actor import Actor
from forebay.actors.kernel._children import ABORT_GRACE, Children
from forebay.actors.kernel._failures import LOGGER
from forebay.actors.kernel._mailbox import Mailbox
from forebay.actors.kernel._messages import MessageT
from forebay.actors.kernel._node import CURRENT_NODE, Node
from forebay.actors.kernel._refs import Ref
from forebay.actors.kernel._restarts import RestartPolicy
from forebay.actors.kernel._serving import serve
from forebay.actors.kernel._supervisor import Supervisor
from forebay.actors.kernel._waits import WaitGraph

ChildMessageT = TypeVar("ChildMessageT")
ArgumentTs = TypeVarTuple("ArgumentTs")

_DEFAULT_RESTART = RestartPolicy()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all actors of one system share."""

    waits: WaitGraph | None
    random: Random


class ActorParent:
    """What can start actors: the system, and an actor through its context."""

    def __init__(self, node: Node, children: Children, surroundings: Surroundings) -> None:
        self._node = node
        self._children = children
        self._surroundings = surroundings

    async def start(
        self,
        factory: Callable[[], Actor[ChildMessageT]],
        *,
        name: str,
        capacity: int = 16,
        layer: int | None = None,
        restart: RestartPolicy = _DEFAULT_RESTART,
        shutdown_timeout: float = 5.0,
        on_rest: Callable[[Exception], None] | None = None,
    ) -> Ref[ChildMessageT]:
        """Start an actor below this place, and wait until its ``started`` hook is done.

        It ends with its parent, at the latest. If it crashes too often it takes its parent along:
        the parent crashes too, or the system ends; unless its restart policy lets it rest. If this
        call is cancelled, so is the start.

        Args:
            factory: makes an instance, at the start and at each restart.
            name: unique among its siblings, without ``/``.
            capacity: messages that have a place in the mailbox. With 0, a sender waits until the
                actor takes its message, and if it gives up before that it leaves nothing behind.
            layer: where given, waits between actors with layers go to greater numbers only.
            restart: when to start it again after a crash.
            shutdown_timeout: seconds that it may drain when its parent ends in order.
            on_rest: called with what it crashed of, whenever it crashed too often and begins to
                rest. If this raises, the actor dies of that.

        Raises:
            ValueError: one of the arguments can't be used; the message names it.
            ActorNotRunning: this place has begun to end its children.
            ActorStopped: the actor was stopped before it was ready.
            Exception: what the factory or ``started`` raised.
        """
        node = Node(name, self._node, kind="", capacity=capacity, layer=layer)
        mailbox = Mailbox[ChildMessageT](capacity)
        node.mailbox = mailbox
        surroundings = self._surroundings
        supervisor = Supervisor(
            node,
            mailbox,
            restart=restart,
            shutdown_timeout=shutdown_timeout,
            random=surroundings.random,
            on_rest=on_rest,
        )
        ref = Ref(node, mailbox, surroundings.waits, supervisor)
        waiter = CURRENT_NODE.get()
        with (
            nullcontext()
            if waiter is None or surroundings.waits is None
            else surroundings.waits.wait(waiter, node)
        ):
            await self._children.launch(
                supervisor, _Lives(factory, ref, mailbox, supervisor, surroundings).live
            )
        return ref


class ActorContext(ActorParent, Generic[MessageT]):
    """An actor's side of its place in the tree, for the life of one instance."""

    def __init__(
        self,
        ref: Ref[MessageT],
        supervisor: Supervisor,
        children: Children,
        work: trio.Nursery,
        surroundings: Surroundings,
    ) -> None:
        super().__init__(supervisor.node, children, surroundings)
        self.ref = ref
        """The actor's own ref, to be given to others."""
        self._supervisor = supervisor
        self._work = work

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def path(self) -> str:
        return self._node.path

    @property
    def note(self) -> str:
        """What the actor is doing, for those who look at the tree. A restart keeps it."""
        return self._node.note

    @note.setter
    def note(self, text: str) -> None:
        self._node.note = text

    def start_soon(
        self,
        async_function: Callable[[*ArgumentTs], Awaitable[object]],
        *arguments: *ArgumentTs,
    ) -> None:
        """Run a function in a task of its own beside :meth:`Actor.run`, under the same rules."""
        self._work.start_soon(async_function, *arguments)

    def stop(self, deadline: float = math.inf) -> None:
        """Begin to drain this actor: refuse new messages, handle the queued ones, and end."""
        self._supervisor.begin_drain(deadline)


class _Lives(Generic[MessageT]):
    """Makes instances of one actor, and lives their lives."""

    def __init__(
        self,
        factory: Callable[[], Actor[MessageT]],
        ref: Ref[MessageT],
        mailbox: Mailbox[MessageT],
        supervisor: Supervisor,
        surroundings: Surroundings,
    ) -> None:
        self._factory = factory
        self._ref = ref
        self._mailbox = mailbox
        self._supervisor = supervisor
        self._surroundings = surroundings

    async def live(self) -> None:
        """Live one life, to the end of a drain.

        Raises:
            Exception: the instance crashed.
        """
        supervisor = self._supervisor
        actor = self._factory()
        supervisor.node.kind = type(actor).__name__
        if actor.concurrency < 1:
            raise ValueError(f"concurrency: must be 1 or more, not {actor.concurrency}")
        async with trio.open_nursery() as family:
            children = Children(family)
            try:
                async with trio.open_nursery() as work:
                    actor._context = ActorContext(
                        self._ref, supervisor, children, work, self._surroundings
                    )
                    await self._work(actor, work)
                    work.cancel_scope.cancel()
                await children.drain(math.inf)
            finally:
                if supervisor.scope.cancel_called:
                    supervisor.close_mailbox()  # before the children take their time
                with trio.CancelScope(shield=True, deadline=trio.current_time() + ABORT_GRACE):
                    await children.abort()
                self._let_go(actor)

    async def _work(self, actor: Actor[MessageT], work: trio.Nursery) -> None:
        supervisor = self._supervisor
        await actor.started()
        supervisor.instance_started()
        if type(actor).run is not Actor.run:  # most have none: no task for them
            work.start_soon(actor.run, name=f"{supervisor.node.path} run")
        await serve(actor, self._mailbox, supervisor.node, supervisor.scope)
        await actor.finish()

    def _let_go(self, actor: Actor[MessageT]) -> None:
        try:
            actor.stopped()
        except Exception:
            LOGGER.exception("stopped() of %s failed", self._supervisor.node.path)
