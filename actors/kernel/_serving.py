"""The loop that takes messages out of a mailbox and has one instance of an actor handle them."""

from __future__ import annotations

from typing import Generic

import trio

from forebay.actors.kernel._actor import Actor
from forebay.actors.kernel._errors import ActorDied, ActorStopped, AskExpired
from forebay.actors.kernel._failures import log_handler_failure
from forebay.actors.kernel._mailbox import Mailbox
from forebay.actors.kernel._messages import Call, MessageT
from forebay.actors.kernel._node import Node


async def serve(
    actor: Actor[MessageT], mailbox: Mailbox[MessageT], node: Node, scope: trio.CancelScope
) -> None:
    """Handle messages until the mailbox is drained and the last one is handled.

    Every ask that was taken out is answered, also if this is cancelled: with
    :class:`ActorStopped` if ``scope`` was cancelled, that of the actor, else with
    :class:`ActorDied`.

    Raises:
        Exception: what the handler of a told message raised.
    """
    handler = _Handler(actor, node, scope)
    if actor.concurrency == 1:
        async for item in mailbox:
            await handler.handle(item)
    else:
        await _serve_concurrently(handler, mailbox, actor.concurrency)


async def _serve_concurrently(
    handler: _Handler[MessageT], mailbox: Mailbox[MessageT], limit: int
) -> None:
    room = trio.Semaphore(limit)

    async def handle(item: MessageT | Call[MessageT]) -> None:
        try:
            await handler.handle(item)
        finally:
            room.release()

    async with trio.open_nursery() as nursery:
        # Room first, so that a message that has no task yet is still in the mailbox.
        await room.acquire()
        async for item in mailbox:
            nursery.start_soon(handle, item)
            await room.acquire()


class _Handler(Generic[MessageT]):
    def __init__(self, actor: Actor[MessageT], node: Node, scope: trio.CancelScope) -> None:
        self._actor = actor
        self._node = node
        self._scope = scope

    async def handle(self, item: MessageT | Call[MessageT]) -> None:
        if isinstance(item, Call):
            if item.abandoned:
                item.fail(AskExpired(self._node.path))
                return
            await self._answer(item)
        else:
            await self._actor.handle(item)
        self._node.handled += 1

    async def _answer(self, call: Call[MessageT]) -> None:
        try:
            with call.scope:
                call.reply(await self._actor.handle(call.message))
        except Exception as error:
            log_handler_failure(error, self._node.path, call.message)
            call.fail(error)
        finally:
            if not call.answered:
                call.fail(self._reason(call))

    def _reason(self, call: Call[MessageT]) -> Exception:
        """Why the handler came to its end without an answer."""
        if call.scope.cancelled_caught:
            return AskExpired(self._node.path)
        if self._scope.cancel_called:
            return ActorStopped(self._node.path)
        return ActorDied(self._node.path)
