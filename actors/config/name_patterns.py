"""Names with stars in them, each of which stands for any text: ``gpt-*``, ``openai/*``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

STAR: Final = "*"


def has_star(name: str) -> bool:
    return STAR in name


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A name with one star."""

    head: str
    tail: str

    @classmethod
    def of(cls, pattern: str) -> Wildcard:
        """``pattern`` has one star."""
        head, _, tail = pattern.partition(STAR)
        return cls(head, tail)

    @property
    def specificity(self) -> tuple[int, int]:
        """The greater, the fewer names it can mean."""
        return len(self.head) + len(self.tail), len(self.head)

    def star_in(self, name: str) -> str | None:
        """What the star stands for in ``name``, at least one character; None: it is no match."""
        if (
            len(name) > len(self.head) + len(self.tail)
            and name.startswith(self.head)
            and name.endswith(self.tail)
        ):
            return name[len(self.head) : len(name) - len(self.tail)]
        return None


def with_star(pattern: str, star: str) -> str:
    """``pattern`` with ``star`` in the place of its star, if it has one."""
    return pattern.replace(STAR, star)


class NameList:
    """Names, some of which may have stars, as many as they like."""

    __slots__ = ("_exact", "_patterns")

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._exact = frozenset(name for name in names if not has_star(name))
        self._patterns = tuple(tuple(name.split(STAR)) for name in names if has_star(name))

    def holds(self, name: str) -> bool:
        """Whether ``name`` is on the list. Takes time in proportion to its length."""
        return name in self._exact or any(_matches(parts, name) for parts in self._patterns)


def _matches(parts: tuple[str, ...], name: str) -> bool:
    """Whether ``name`` is ``parts`` with any texts between them. The leftmost place will do for
    each part in the middle: what is between may be empty."""
    head, *middle, tail = parts
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
