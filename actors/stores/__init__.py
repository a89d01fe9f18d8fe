"""What the gateway keeps for its clients between requests."""

from forebay.actors.stores.learned import (
    ForgetfulLearnedStore,
    LearnedState,
    LearnedStore,
    StoreUnavailable,
)
from forebay.actors.stores.memory import MemoryResponseStore, StoreLimits
from forebay.actors.stores.responses import (
    KnownResponse,
    RemoteResponse,
    ResponseStore,
    StoredItem,
    StoredResponse,
)
from forebay.actors.stores.sqlite import SqliteLearnedStore

__all__ = [
    "ForgetfulLearnedStore",
    "KnownResponse",
    "LearnedState",
    "LearnedStore",
    "MemoryResponseStore",
    "RemoteResponse",
    "ResponseStore",
    "SqliteLearnedStore",
    "StoreLimits",
    "StoreUnavailable",
    "StoredItem",
    "StoredResponse",
]
