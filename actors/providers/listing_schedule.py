"""When a provider is asked for its models again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

_FIRST_RETRY: Final = 60.0
_SOONEST: Final = 5.0
"""However often clients ask for a model that is not there."""
_LONGEST_TOLD: Final = 86_400.0
"""Whatever a provider says."""
_JITTER: Final = 0.1
"""Part of a pause by which it is shorter, so that providers are not all asked at once."""


@dataclass(frozen=True, slots=True)
class ListingPause:
    """Between two questions, in seconds."""

    shortest: float
    """However much somebody wants a fresh listing."""
    longest: float


class ListingSchedule:
    """Of one provider."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def after_answer(self, refresh: float) -> ListingPause:
        """The pause after a good answer.

        Args:
            refresh: seconds, as configured.
        """
        self._failures = 0
        return ListingPause(_SOONEST, self._spread(refresh))

    def after_failure(self, refresh: float, told: float | None) -> ListingPause:
        """The pause after a failure: a minute, doubling up to ``refresh``, and never less than the
        provider ``told`` to wait."""
        pause = min(refresh, _FIRST_RETRY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        told = min(told or 0.0, _LONGEST_TOLD)
        return ListingPause(max(_SOONEST, told), max(told, self._spread(pause)))

    def _spread(self, pause: float) -> float:
        return max(_SOONEST, pause * self._random.uniform(1 - _JITTER, 1))
