"""What may go to Anthropic as a client wrote it."""

from __future__ import annotations

from forebay.protocol.canonical.requests import ChatRequest, Thinking


def can_relay(request: ChatRequest) -> bool:
    """Not with thinking that has no signature: it was another provider's, and the API refuses
    it."""
    return not any(
        isinstance(part, Thinking) and part.signature is None and part.redacted is None
        for turn in request.turns
        for part in turn.parts
    )
