"""What ``POST /api/show`` tells of a model: what it can do, and how much it takes."""

from __future__ import annotations

import re
from typing import Final

from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.jsontext import JsonObject, dumps

_COMPLETE: Final = frozenset(
    {
        Capability.CHAT,
        Capability.COMPLETION,
        Capability.TOOLS,
        Capability.VISION,
        Capability.AUDIO,
        Capability.THINKING,
    }
)
"""What its list of words has a word for: it is complete. But its servers make embeddings with any
model, whether it was made for that or not."""
_CONTEXT: Final = re.compile(r"^\s*num_ctx\s+(\d+)\s*$", re.MULTILINE)
"""In ``parameters``, which is text: a name and a value a line."""


def ask_to_show(model_id: str) -> bytes:
    """The body of the request."""
    return dumps({"model": model_id})


def decode_shown(shown: JsonObject, listed: ListedModel) -> ListedModel | None:
    """What the answer tells of the model. The context that the model is loaded with by its own
    parameters counts, before the one that it was trained with."""
    told = read_entry(listed.id, {**_context(shown), "capabilities": shown.get("capabilities")})
    if not told.capabilities:
        return told if told.context_tokens is not None else None
    schema = frozenset({Capability.JSON_SCHEMA} if Capability.CHAT in told.capabilities else ())
    return ListedModel(
        listed.id,
        told.context_tokens,
        capabilities=told.capabilities | schema,
        lacks=_COMPLETE - told.capabilities,
    )


def _context(shown: JsonObject) -> JsonObject:
    parameters = shown.get("parameters")
    if isinstance(parameters, str) and (said := _CONTEXT.search(parameters)) is not None:
        return {"context_length": int(said[1])}
    info = shown.get("model_info")
    if isinstance(info, dict):
        architecture = info.get("general.architecture")
        length = info.get(f"{architecture}.context_length")
        if isinstance(length, int):
            return {"context_length": length}
    return {}
