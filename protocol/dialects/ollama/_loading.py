"""Requests that ask for no answer: they load a model into memory, or take it out."""

from __future__ import annotations

from enum import StrEnum

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.ollama._keep_alive import keep_alive_seconds
from forebay.protocol.dialects.ollama._names import OLLAMA


class LoadAction(StrEnum):
    """What is asked for; the value is the ``done_reason`` of the answer."""

    LOAD = "load"
    UNLOAD = "unload"


def load_reply(request: ChatRequest) -> LoadAction | None:
    """What a request of this dialect without messages (or with an empty prompt) asks for; None
    for a request that wants an answer.

    Such a request is answered by the codec's ``encode_load_reply``, whole even where it asks for a
    stream, and without a call upstream.
    """
    if request.turns:
        return None
    unload = keep_alive_seconds(request.extra(OLLAMA, "keep_alive")) == 0
    return LoadAction.UNLOAD if unload else LoadAction.LOAD
