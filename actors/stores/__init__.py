"""What the gateway keeps for its clients between requests."""

from forebay.actors.stores.memory import MemoryResponseStore, StoreLimits
from forebay.actors.stores.responses import ResponseStore, StoredItem, StoredResponse

__all__ = [
    "MemoryResponseStore",
    "ResponseStore",
    "StoreLimits",
    "StoredItem",
    "StoredResponse",
]
