"""Actors on Trio: bounded mailboxes, typed refs, supervision and a tree that can be looked at.

The package depends on Trio alone and knows nothing of what its actors are for. The guide is
docs/actors.md; the names below are the whole public interface.
"""

from forebay.actors.kernel._actor import Actor
from forebay.actors.kernel._adoption import Adopted
from forebay.actors.kernel._errors import (
    ActorDied,
    ActorError,
    ActorNotRunning,
    ActorStopped,
    AskExpired,
    UpwardWait,
    WaitCycle,
)
from forebay.actors.kernel._life import ActorContext
from forebay.actors.kernel._messages import Message
from forebay.actors.kernel._refs import Ref, TellRef
from forebay.actors.kernel._restarts import RestartPolicy
from forebay.actors.kernel._system import ActorSystem, open_actor_system
from forebay.actors.kernel._tree import ActorSnapshot, ActorState

__all__ = [
    "Actor",
    "ActorContext",
    "ActorDied",
    "ActorError",
    "ActorNotRunning",
    "ActorSnapshot",
    "ActorState",
    "ActorStopped",
    "ActorSystem",
    "Adopted",
    "AskExpired",
    "Message",
    "Ref",
    "RestartPolicy",
    "TellRef",
    "UpwardWait",
    "WaitCycle",
    "open_actor_system",
]
