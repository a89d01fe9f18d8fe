"""What Hugging Face's servers tell of themselves (``GET /info``): TGI's and TEI's lengths, how many
requests they take at once, and whether the model embeds."""

from __future__ import annotations

from typing import Final

from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.listings import count_of
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers.base import Details

_WRITES: Final = frozenset({Capability.CHAT, Capability.COMPLETION})
_EMBEDS: Final = frozenset({Capability.EMBEDDING})


def read_info(info: JsonObject, listed: ListedModel) -> ListedModel | None:
    """Of the one model that the server has: TGI writes, TEI embeds or ranks."""
    total = count_of(info.get("max_total_tokens"))
    if total is not None:
        return ListedModel(listed.id, total, capabilities=_WRITES, lacks=_EMBEDS)
    kind = info.get("model_type")
    if not isinstance(kind, dict):
        return None
    embeds = "embedding" in kind
    return ListedModel(
        listed.id,
        count_of(info.get("max_input_length")),
        capabilities=_EMBEDS if embeds else frozenset(),
        lacks=_WRITES if embeds else _WRITES | _EMBEDS,
    )


def read_slots(info: JsonObject) -> int | None:
    """Beyond these it answers 429."""
    return count_of(info.get("max_concurrent_requests"))


SERVER_INFO: Final = Details(
    path="/info", beside=True, read=read_info, read_slots=read_slots, at_default=False
)
