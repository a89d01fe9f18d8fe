"""Every way in which a message, or a wait for an actor, can fail.

Named by what the caller can do about it. A full mailbox is no error: :meth:`TellRef.tell` and
:meth:`Ref.ask` wait, and :meth:`TellRef.tell_nowait` raises :class:`trio.WouldBlock`.
"""

from __future__ import annotations

from forebay.actors.kernel._tree import ActorState


class ActorError(Exception):
    """Base of what this package raises of its own accord."""


class ActorNotRunning(ActorError):
    """The message was not taken: the actor is draining or has ended, and nothing was done.

    The ref will never take a message again. The same message may go elsewhere.
    """

    def __init__(self, path: str, state: ActorState) -> None:
        super().__init__(f"{path} takes no messages: it is {state}")
        self.path = path
        self.state = state


class ActorStopped(ActorError):
    """The actor had taken the message, and was stopped before it had answered.

    It may have begun the work. The ref will never take a message again.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was stopped before it answered")
        self.path = path


class ActorDied(ActorError):
    """The actor crashed.

    Raised by an ask that was being handled when the actor crashed, or still queued when it
    crashed for the last time: the work may have been begun. If the actor is restarted, a repeated
    ask is served. Also raised at the edge of a system of which a top-level actor died for good;
    ``__cause__`` is then the exception that it died of.
    """

    def __init__(self, path: str, what: str = "crashed before it answered") -> None:
        super().__init__(f"{path} {what}")
        self.path = path


class AskExpired(ActorError):
    """The deadline that travelled with the ask passed before the answer came.

    Rarely seen: an asker whose deadline passes is cancelled by its own cancel scope. It is left
    over for an asker who moved that deadline after asking.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"the deadline of an ask passed before {path} had answered")
        self.path = path


class WaitCycle(ActorError):
    """Waiting here would close a circle of actors that all wait for the next, for ever.

    A mistake in the program, not a condition to handle: turn one of the waits round, into a
    reply or into ``tell_nowait``.
    """

    def __init__(self, paths: tuple[str, ...], reason: str = "") -> None:
        super().__init__(reason or "waiting would close a circle: " + " -> ".join(paths))
        self.paths = paths
        """The circle, first and last path the same."""


class UpwardWait(WaitCycle):
    """The wait goes to an actor of the same or a higher layer, so it could close a circle."""

    def __init__(self, waiter: str, waiter_layer: int, target: str, target_layer: int) -> None:
        super().__init__(
            (waiter, target),
            f"{waiter} (layer {waiter_layer}) may not wait for {target} (layer {target_layer}): "
            "waits go to greater layer numbers only",
        )
