"""What can be seen of an actor: its state, and a snapshot of it and of all below it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ActorState(enum.StrEnum):
    """Where an actor is between its start and its end."""

    STARTING = "starting"
    """An instance is being made; also while a crashed actor waits for its restart."""
    RUNNING = "running"
    RESTING = "resting"
    """It crashed too often, and is left alone for the rest that its restart policy names."""
    DRAINING = "draining"
    """New messages are refused; what is queued is being handled, or is being given up."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ActorSnapshot:
    """One place in the tree, at the instant of the call. All of it is plain data, fit for JSON."""

    name: str
    path: str
    """The names from the system down to here, joined with ``/``."""
    kind: str
    """The name of the actor's class; ``system`` and ``adopted`` for the two that have none."""
    state: ActorState
    note: str
    """What the actor says that it is doing."""
    layer: int | None
    depth: int
    """Messages in the mailbox, without the one being handled."""
    capacity: int
    blocked_senders: int
    """Tasks that wait for a place in the mailbox."""
    handled: int
    """Messages handled so far, over all restarts, well or with an error."""
    restarts: int
    child_count: int
    """How many children there are, listed or not."""
    children: tuple[ActorSnapshot, ...]
    """In the order of their start."""
