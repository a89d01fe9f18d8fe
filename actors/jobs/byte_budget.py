"""How much memory the bodies of waiting requests may take together."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio


@dataclass(slots=True, eq=False)
class _Wait:
    """Somebody's turn to come."""

    number: int
    """In the order of arrival, over all holders."""
    amount: int
    granted: trio.Event = field(default_factory=trio.Event)


class ByteBudget:
    """A number of bytes, lent out.

    While there are too few, whoever holds the least is next, so that nobody's many requests stand
    in the way of another's few; among equals, and for one holder, who came first. Nobody passes
    who is next: else large requests would starve.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.lent = 0
        self._lent_to: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Wait]] = {}
        self._numbers = itertools.count()

    def change_total(self, total: int) -> None:
        """Lend out so much from now on. What is lent stays lent; who waits for more than there is
        gets it once nobody holds anything."""
        self.total = total
        self._lend()

    @property
    def waiting(self) -> int:
        """Tasks that wait for bytes."""
        return sum(map(len, self._waiting.values()))

    async def borrow(self, amount: int, *, holder: str = "") -> ByteLoan:
        """Wait until ``amount`` bytes are free, and take them. If cancelled, nothing is taken.

        Args:
            amount: bytes.
            holder: who will hold them, with all else that it holds.

        Raises:
            ValueError: more than there will ever be.
        """
        if amount > self.total:
            raise ValueError(f"{amount} bytes are more than the budget of {self.total}")
        if self._waiting or self.lent + amount > self.total:
            await self._wait(amount, holder)
        else:
            self._lend_to(holder, amount)
        return ByteLoan(self, holder, amount)

    async def _wait(self, amount: int, holder: str) -> None:
        entry = _Wait(next(self._numbers), amount)
        self._waiting.setdefault(holder, deque()).append(entry)
        self._lend()  # it may be next, and fit
        try:
            await entry.granted.wait()
        except trio.Cancelled:
            if entry.granted.is_set():
                self.give_back(amount, holder)
            else:
                self._leave(holder, entry)
                self._lend()
            raise

    def give_back(self, amount: int, holder: str) -> None:
        self.lent -= amount
        self._lent_to[holder] -= amount
        if not self._lent_to[holder]:
            del self._lent_to[holder]
        self._lend()

    def _lend(self) -> None:
        while self._waiting:
            holder, first = min(
                ((holder, entries[0]) for holder, entries in self._waiting.items()),
                key=lambda turn: (self._lent_to[turn[0]], turn[1].number),
            )
            if self.lent and self.lent + first.amount > self.total:
                return
            self._leave(holder, first)
            self._lend_to(holder, first.amount)
            first.granted.set()

    def _leave(self, holder: str, entry: _Wait) -> None:
        entries = self._waiting[holder]
        entries.remove(entry)
        if not entries:
            del self._waiting[holder]

    def _lend_to(self, holder: str, amount: int) -> None:
        self.lent += amount
        self._lent_to[holder] += amount


class ByteLoan:
    """Borrowed bytes; given back once."""

    __slots__ = ("_budget", "_holder", "amount")

    def __init__(self, budget: ByteBudget, holder: str, amount: int) -> None:
        self._budget = budget
        self._holder = holder
        self.amount = amount

    def shrink_to(self, amount: int) -> None:
        """Give back what was not needed."""
        if amount < self.amount:
            surplus = self.amount - amount
            self.amount = amount
            self._budget.give_back(surplus, self._holder)

    def give_back(self) -> None:
        self.shrink_to(0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give back at the end of a block."""
        try:
            yield
        finally:
            self.give_back()
