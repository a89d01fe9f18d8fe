"""What is made of exceptions on their way out: unwrapping groups, and logging each once."""

from __future__ import annotations

import logging

import trio

from forebay.actors.kernel._errors import ActorDied, ActorError

LOGGER = logging.getLogger("forebay.actors.kernel")

_NOTE = "Raised in actor "


def single(error: Exception) -> Exception:
    """The only exception in a group of one, at any depth; else the error itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def public_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What leaves the edge of a system whose nursery ended with ``group``.

    If actors died for good, that is what went wrong; the first of several speaks for all (each was
    logged), and for what the block then got from asking dead actors. Otherwise it is the exception
    of the block, if that alone is in the group.
    """
    failures = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
    deaths = [error for error in failures if isinstance(error, ActorDied) and error.__cause__]
    if deaths and all(isinstance(error, ActorError) for error in failures):
        return deaths[0]
    return group.exceptions[0] if len(group.exceptions) == 1 else group


def log_handler_failure(error: Exception, path: str, message: object) -> None:
    """Log what a handler raised in answer to an ask, and note on it where that was.

    An error that goes up through several askers keeps the first note, and is logged once.
    """
    if any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        return
    # The type only: what a message holds may be secret.
    where = f"{path} while it answered {type(message).__name__}"
    error.add_note(_NOTE + where)
    LOGGER.error("unexpected exception in %s", where, exc_info=error)
