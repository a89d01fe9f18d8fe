"""A store of answers in memory: bounded in number, bytes and age.

Conversations repeat all that was said before, so an owner's equal items are held once. Where the
store is full, whoever holds most loses the oldest answer: nobody pushes out what others have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from forebay.actors.config import StateSettings
from forebay.actors.stores.responses import (
    KnownResponse,
    RemoteResponse,
    ResponseStore,
    StoredItem,
    StoredResponse,
)

_RESPONSE_OVERHEAD: Final = 512
_ITEM_OVERHEAD: Final = 320
_REFERENCE_BYTES: Final = 8
"""What Python takes for each besides its text, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """What a store may hold, all owners together."""

    responses: int
    bytes: int
    seconds: float
    """How long an answer is kept."""

    @classmethod
    def of(cls, settings: StateSettings) -> StoreLimits:
        """As they are configured."""
        return cls(
            responses=settings.max_responses,
            bytes=settings.max_bytes,
            seconds=settings.keep_ms / 1000,
        )


@dataclass(slots=True)
class _Held:
    """An item and how many answers have it."""

    item: StoredItem
    count: int = 0


@dataclass(slots=True)
class _Kept:
    response: KnownResponse
    until: float


@dataclass(slots=True)
class _Shelf:
    """What one owner has."""

    kept: dict[str, _Kept] = field(default_factory=dict)
    """By the id of the answer; the oldest first."""
    texts: dict[bytes, _Held] = field(default_factory=dict)
    latest: dict[str, list[StoredItem]] = field(default_factory=dict)
    """By the id of an item: all different ones that have it, the latest last."""
    size: int = 0

    def add(self, response: KnownResponse, until: float) -> None:
        if isinstance(response, StoredResponse):
            response = replace(
                response,
                input_items=tuple(map(self._hold, response.input_items)),
                output_items=tuple(map(self._hold, response.output_items)),
            )
        self.kept[response.id] = _Kept(response, until)
        self.size += _own_size(response)

    def remove(self, response_id: str) -> bool:
        kept = self.kept.pop(response_id, None)
        if kept is None:
            return False
        self.size -= _own_size(kept.response)
        if isinstance(kept.response, StoredResponse):
            for item in kept.response.items:
                self._let_go(item)
        return True

    def _hold(self, item: StoredItem) -> StoredItem:
        held = self.texts.get(item.text)
        if held is None:
            held = self.texts[item.text] = _Held(item)
            self.latest.setdefault(item.id, []).append(item)
            self.size += len(item.text) + _ITEM_OVERHEAD
        held.count += 1
        return held.item

    def _let_go(self, item: StoredItem) -> None:
        held = self.texts[item.text]
        held.count -= 1
        if held.count:
            return
        del self.texts[item.text]
        self.size -= len(item.text) + _ITEM_OVERHEAD
        same_id = self.latest[item.id]
        same_id.remove(item)
        if not same_id:
            del self.latest[item.id]


def _own_size(response: KnownResponse) -> int:
    if isinstance(response, RemoteResponse):
        return _RESPONSE_OVERHEAD
    references = len(response.input_items) + len(response.output_items)
    return len(response.body) + _RESPONSE_OVERHEAD + references * _REFERENCE_BYTES


class MemoryResponseStore(ResponseStore):
    """Forgets all when the process ends."""

    def __init__(
        self, limits: StoreLimits, *, clock: Callable[[], float] = trio.current_time
    ) -> None:
        """
        Args:
            clock: seconds, never going back.
        """
        self._limits = limits
        self._clock = clock
        self._shelves: dict[str, _Shelf] = {}

    def __len__(self) -> int:
        return sum(len(shelf.kept) for shelf in self._shelves.values())

    def change_limits(self, limits: StoreLimits) -> None:
        """Hold no more than that from the next answer on, and keep those that come for so long."""
        self._limits = limits

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        return sum(shelf.size for shelf in self._shelves.values())

    async def put(self, owner: str, response: KnownResponse) -> None:
        now = self._clock()
        self._forget_old(now)
        shelf = self._shelves.setdefault(owner, _Shelf())
        shelf.remove(response.id)
        shelf.add(response, now + self._limits.seconds)
        while self.size > self._limits.bytes:
            self._forget_one(lambda shelf: shelf.size)
        while len(self) > self._limits.responses:
            self._forget_one(lambda shelf: len(shelf.kept))

    async def get(self, owner: str, response_id: str) -> KnownResponse | None:
        self._forget_old(self._clock())
        shelf = self._shelves.get(owner)
        kept = None if shelf is None else shelf.kept.get(response_id)
        return None if kept is None else kept.response

    async def delete(self, owner: str, response_id: str) -> bool:
        self._forget_old(self._clock())
        shelf = self._shelves.get(owner)
        if shelf is None or not shelf.remove(response_id):
            return False
        self._drop_if_empty(owner)
        return True

    async def find_items(self, owner: str, item_ids: Iterable[str]) -> Mapping[str, StoredItem]:
        self._forget_old(self._clock())
        shelf = self._shelves.get(owner)
        if shelf is None:
            return {}
        return {
            item_id: shelf.latest[item_id][-1] for item_id in item_ids if item_id in shelf.latest
        }

    def _forget_one(self, holding: Callable[[_Shelf], int]) -> None:
        """Make room: the oldest answer of whoever holds most goes."""
        owner, shelf = max(self._shelves.items(), key=lambda entry: holding(entry[1]))
        shelf.remove(next(iter(shelf.kept)))
        self._drop_if_empty(owner)

    def _forget_old(self, now: float) -> None:
        for owner, shelf in list(self._shelves.items()):
            while shelf.kept:
                oldest_id, oldest = next(iter(shelf.kept.items()))
                if oldest.until > now:
                    break
                shelf.remove(oldest_id)
            self._drop_if_empty(owner)

    def _drop_if_empty(self, owner: str) -> None:
        if not self._shelves[owner].kept:
            del self._shelves[owner]
