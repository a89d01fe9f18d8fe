"""What only ``/api/generate`` can do: fields that change what the model reads."""

from __future__ import annotations

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.ollama._names import OLLAMA

_FIELDS = ("template", "context")


def generate_only_field(request: ChatRequest) -> str | None:
    """The name of a field of the request that nothing but Ollama's ``/api/generate`` can honour
    (a template of the client's own, token ids of an earlier answer), if it has one. Serving the
    request by another API would answer a different question. What servers of other dialects can
    do as well, to complete a text as it stands, is in ``request.completion``."""
    for name in _FIELDS:
        if request.extra(OLLAMA, name):
            return name
    return None
