"""How much work a framer does, counted instead of timed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def allocated_bytes() -> Iterator[Callable[[Callable[[], object]], int]]:
    """The bytes of memory that one call newly takes at its peak: what it copies, it allocates."""
    tracemalloc.start()

    def measure(call: Callable[[], object]) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
        return max(0, peak - before)

    yield measure
    tracemalloc.stop()
