"""Whether a client's own bytes may go on to a server of this API."""

from __future__ import annotations

from forebay.protocol.canonical.requests import ChatRequest, Thinking
from forebay.protocol.dialects.openai.responses._reasoning import is_made_here


def can_relay(request: ChatRequest) -> bool:
    """Not with reasoning that a gateway gave out, which no provider knows; nor where the gateway
    keeps itself what the request builds on."""
    if request.state is not None and request.state.kept_here:
        return False
    return not any(
        isinstance(part, Thinking) and is_made_here(part)
        for turn in request.turns
        for part in turn.parts
    )
