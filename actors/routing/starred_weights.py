"""The weights of a model whose name has a star: each holds for whatever the star stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from forebay.actors.config import Wildcard, has_star


class StarredWeights(Mapping[str, float]):
    """By the full names of targets. Equal if they were written alike."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """
        Args:
            weights: by full names, some with a star.
        """
        self._written = dict(weights)
        self._patterns = [
            (Wildcard.of(name), weight) for name, weight in weights.items() if has_star(name)
        ]

    def __getitem__(self, name: str) -> float:
        if name in self._written:
            return self._written[name]
        for wildcard, weight in self._patterns:
            if wildcard.star_in(name) is not None:
                return weight
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)
