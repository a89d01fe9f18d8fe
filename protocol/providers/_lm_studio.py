"""What LM Studio's own listing (``GET /api/v0/models``) tells beyond the one in OpenAI's style: the
context that a model is loaded with, its type and its capabilities."""

from __future__ import annotations

from typing import Final

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers.base import Details


def read_own_listing(listing: JsonObject, listed: ListedModel) -> ListedModel | None:
    """Of one of the models in it."""
    entries = listing.get("data")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("id") == listed.id:
            return read_entry(listed.id, entry)
    return None


LM_STUDIO_MODELS: Final = Details(
    path="/api/v0/models",
    beside=True,
    read=read_own_listing,
    of_owners=frozenset({"organization_owner"}),
)
