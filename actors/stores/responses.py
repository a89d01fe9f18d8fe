"""What a store of answers is: who keeps them, and for whom, is all that it knows.

An answer is kept as JSON texts; or, where its provider keeps it, only where that is. Every
operation names the *owner*, the client that the answer was given to: whatever is another owner's
does not exist for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class StoredItem(NamedTuple):
    """One item of a conversation."""

    id: str
    text: bytes
    """A JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One answer, and what a conversation needs to go on from it."""

    id: str
    body: bytes
    """The answer as its client has seen it: a JSON object."""
    input_items: tuple[StoredItem, ...]
    """The full input, earlier answers included."""
    output_items: tuple[StoredItem, ...]
    """With all that the next turn needs."""

    @property
    def items(self) -> tuple[StoredItem, ...]:
        return (*self.input_items, *self.output_items)

    @property
    def size(self) -> int:
        """Bytes of all texts."""
        return len(self.body) + sum(len(item.text) for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteResponse:
    """An answer that its provider keeps: what must be known here to ask for it there."""

    id: str
    """The provider's own, which is what the client knows it by."""
    provider: str
    """As configured."""
    model_id: str
    """The provider's own name of the model that was asked."""


KnownResponse: TypeAlias = StoredResponse | RemoteResponse


class ResponseStore(ABC):
    """Keeps answers. What it has no room for, or has had for long, it forgets."""

    @abstractmethod
    async def put(self, owner: str, response: KnownResponse) -> None:
        """Keep ``response``, in place of one that has the same id."""

    @abstractmethod
    async def get(self, owner: str, response_id: str) -> KnownResponse | None: ...

    @abstractmethod
    async def delete(self, owner: str, response_id: str) -> bool:
        """Forget an answer; whether there was one."""

    @abstractmethod
    async def find_items(self, owner: str, item_ids: Iterable[str]) -> Mapping[str, StoredItem]:
        """By id, those of the items that an answer which is kept has; the latest where several
        have one id."""
