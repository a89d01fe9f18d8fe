"""Actors on Trio, and the gateway built of them.

This name is the actor library alone (:mod:`forebay.actors.kernel`), which knows nothing of
language models. The gateway is :mod:`forebay.actors.gateway`.
"""

from forebay.actors.kernel import (
    Actor,
    ActorContext,
    ActorDied,
    ActorError,
    ActorNotRunning,
    ActorSnapshot,
    ActorState,
    ActorStopped,
    ActorSystem,
    Adopted,
    AskExpired,
    Message,
    Ref,
    RestartPolicy,
    TellRef,
    UpwardWait,
    WaitCycle,
    open_actor_system,
)

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
