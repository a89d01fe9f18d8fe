"""How much memory the bodies of waiting requests may take together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class ByteBudget:
    """A number of bytes, lent out first come, first served."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.lent = 0
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    @property
    def waiting(self) -> int:
        """Tasks that wait for bytes."""
        return len(self._waiting)

    async def borrow(self, amount: int) -> ByteLoan:
        """Wait until ``amount`` bytes are free, and take them. If cancelled, nothing is taken.

        Raises:
            ValueError: more than there will ever be.
        """
        if amount > self.total:
            raise ValueError(f"{amount} bytes are more than the budget of {self.total}")
        if self._waiting or self.lent + amount > self.total:
            await self._wait(amount)
        else:
            self.lent += amount
        return ByteLoan(self, amount)

    async def _wait(self, amount: int) -> None:
        entry = (amount, trio.Event())
        self._waiting.append(entry)
        try:
            await entry[1].wait()
        except trio.Cancelled:
            if entry[1].is_set():
                self.give_back(amount)
            else:
                self._waiting.remove(entry)
                self._lend()
            raise

    def give_back(self, amount: int) -> None:
        self.lent -= amount
        self._lend()

    def _lend(self) -> None:
        while self._waiting and self.lent + self._waiting[0][0] <= self.total:
            amount, granted = self._waiting.popleft()
            self.lent += amount
            granted.set()


class ByteLoan:
    """Borrowed bytes; given back once."""

    __slots__ = ("_budget", "amount")

    def __init__(self, budget: ByteBudget, amount: int) -> None:
        self._budget = budget
        self.amount = amount

    def shrink_to(self, amount: int) -> None:
        """Give back what was not needed."""
        if amount < self.amount:
            surplus = self.amount - amount
            self.amount = amount
            self._budget.give_back(surplus)

    def give_back(self) -> None:
        self.shrink_to(0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give back at the end of a block."""
        try:
            yield
        finally:
            self.give_back()
