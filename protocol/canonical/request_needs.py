"""What a request itself needs of the model that serves it, read from what it says.

How long its prompt is in tokens is no business of this module: that differs from model to model.
"""

from __future__ import annotations

from typing import Final

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.needs import Needs
from forebay.protocol.canonical.request_readers import asks_to_think, parts_in, tools_in
from forebay.protocol.canonical.requests import Audio, ChatRequest, Image, OutputKind, Role

_CHAT: Final = frozenset({Capability.CHAT})
_TEXT: Final = frozenset({Capability.COMPLETION, Capability.CHAT})
"""What is asked to go on with a text may also be asked what comes next."""
PLAIN_CHAT: Final = Needs(capabilities=_CHAT)
EMBEDDINGS: Final = Needs(capabilities=frozenset({Capability.EMBEDDING}))


def needs_of_chat(request: ChatRequest) -> Needs:
    """What a chat, or a text to be gone on with, needs.

    Tools that the provider runs itself are no capability of the model's. That several calls at a
    time are allowed, and a last turn of the model's own, which most servers read as any other, is
    better met by a model that knows of it, but no other is ruled out.
    """
    needed: set[Capability] = set()
    wished: set[Capability] = set()
    for part in parts_in(request):
        if isinstance(part, Image):
            needed.add(Capability.VISION)
        elif isinstance(part, Audio):
            needed.add(Capability.AUDIO)
    if request.tools and any(True for _ in tools_in(request)):
        needed.add(Capability.TOOLS)
        if request.parallel_tool_calls:
            wished.add(Capability.PARALLEL_TOOLS)
    if request.output.kind is OutputKind.JSON_SCHEMA:
        needed.add(Capability.JSON_SCHEMA)
    if asks_to_think(request):
        needed.add(Capability.THINKING)
    if request.continues and request.completion is None:
        needed.add(Capability.PREFIX_CONTINUATION)
    elif request.turns and request.turns[-1].role is Role.ASSISTANT:
        wished.add(Capability.PREFIX_CONTINUATION)
    if request.completion is not None:
        wished.add(Capability.COMPLETION)
        return Needs(capabilities=frozenset(needed), any_of=_TEXT, wishes=frozenset(wished))
    if not needed and not wished:
        return PLAIN_CHAT
    return Needs(capabilities=_CHAT | needed, wishes=frozenset(wished))
