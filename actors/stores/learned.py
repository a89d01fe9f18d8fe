"""What a store of learned state is: it keeps texts of each provider, with the time of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LearnedState:
    """What was known of one provider at one time."""

    text: bytes
    """A JSON object."""
    saved_at: float
    """Unix seconds."""


class StoreUnavailable(Exception):
    """What was kept can't be read, or nothing can be kept; the message says why."""


class LearnedStore(ABC):
    """Keeps what was learned of providers, over restarts or not."""

    @abstractmethod
    async def load(self) -> Mapping[str, LearnedState]:
        """All that is kept, by provider.

        Raises:
            StoreUnavailable: it can't be read.
        """

    @abstractmethod
    async def save(self, states: Mapping[str, LearnedState]) -> None:
        """Keep ``states`` in place of those of the same providers.

        Raises:
            StoreUnavailable: nothing was kept.
        """

    async def load_listings(self) -> Mapping[str, LearnedState]:
        """What providers listed last, by provider; nothing, where listings are not kept.

        Raises:
            StoreUnavailable: it can't be read.
        """
        return {}

    async def save_listings(self, states: Mapping[str, LearnedState]) -> None:
        """Keep ``states`` in place of those of the same providers.

        Raises:
            StoreUnavailable: nothing was kept.
        """


class ForgetfulLearnedStore(LearnedStore):
    """Keeps nothing."""

    async def load(self) -> Mapping[str, LearnedState]:
        return {}

    async def save(self, states: Mapping[str, LearnedState]) -> None:
        pass
