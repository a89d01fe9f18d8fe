"""The sandbox's own rate limits: continuously refilled buckets, and slots.

A limit is exact: over any span of t seconds it admits at most ``burst + rate * t`` requests (or
tokens, plus one request larger than the bucket, which a full bucket lets pass and pays off later).
A refused call takes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from forebay.endpoints.sandbox._options import SandboxOptions

# Refilling in steps adds up rounding errors; a billionth of a request is not worth a refusal.
_ROUNDING = 1e-9


class LimitScope(Enum):
    """Which limit refused a call."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"


@dataclass(frozen=True, slots=True)
class BucketView:
    """A bucket at one moment."""

    per_second: float
    remaining: float
    full_after: float
    """Seconds until nothing is missing."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """The limits that headers tell of, at one moment; None: not limited."""

    requests: BucketView | None
    tokens: BucketView | None


@dataclass(frozen=True, slots=True)
class LimitRefusal:
    """Why a call may not start now."""

    scope: LimitScope
    retry_after: float | None
    """Seconds until it would fit; None where nobody can know (concurrency)."""


class Bucket:
    """A token bucket, full at first."""

    def __init__(self, *, per_second: float, size: float, now: float) -> None:
        self._per_second = per_second
        self._size = size
        self._level = size
        self._updated_at = now

    def wait_for(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` may be taken; 0: now. More than the size waits for all of it."""
        self._refill(now)
        missing = min(amount, self._size) - self._level
        return 0.0 if missing <= _ROUNDING else missing / self._per_second

    def take(self, amount: float) -> None:
        """Take ``amount``, into debt if that is more than there is."""
        self._level -= amount

    def resized(self, *, per_second: float, size: float, now: float) -> Bucket:
        """A bucket of another rate and size that holds what this one holds, if it fits."""
        self._refill(now)
        bucket = Bucket(per_second=per_second, size=size, now=now)
        bucket._level = min(self._level, size)
        return bucket

    def view(self, now: float) -> BucketView:
        self._refill(now)
        return BucketView(
            per_second=self._per_second,
            remaining=max(0.0, self._level),
            full_after=max(0.0, self._size - self._level) / self._per_second,
        )

    def _refill(self, now: float) -> None:
        passed = now - self._updated_at
        self._level = min(self._size, self._level + passed * self._per_second)
        self._updated_at = now


@dataclass(frozen=True, slots=True)
class _Window:
    """One configured rate: how much per how many seconds."""

    scope: LimitScope
    seconds: int
    amount: float
    burst: int | None

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds

    @property
    def size(self) -> float:
        return max(1.0, self.amount) if self.burst is None else self.burst


def _windows(options: SandboxOptions) -> list[_Window]:
    requests, tokens = LimitScope.REQUESTS, LimitScope.TOKENS
    rates = (
        (requests, 60, options.requests_per_minute, options.burst),
        (requests, 1, options.requests_per_second, options.burst),
        (tokens, 60, options.tokens_per_minute, None),
    )
    return [
        _Window(scope, seconds, amount, burst)
        for scope, seconds, amount, burst in rates
        if amount is not None
    ]


class Limiter:
    """All limits of one sandbox; a call takes from all of them or from none."""

    def __init__(self, options: SandboxOptions, *, now: float) -> None:
        self._buckets: dict[tuple[LimitScope, int], Bucket] = {}
        self._concurrency: int | None = None
        self.change(options, now=now)

    def change(self, options: SandboxOptions, *, now: float) -> None:
        """Follow new options; a bucket that stays keeps what it holds, as far as it fits."""
        old = self._buckets
        self._buckets = {}
        for window in _windows(options):
            key = (window.scope, window.seconds)
            before = old.get(key)
            if before is None:
                bucket = Bucket(per_second=window.per_second, size=window.size, now=now)
            else:
                bucket = before.resized(per_second=window.per_second, size=window.size, now=now)
            self._buckets[key] = bucket
        self._concurrency = options.concurrency

    def admit(self, *, tokens: int, in_flight: int, now: float) -> LimitRefusal | None:
        """Take for one call, or say what is in its way and for how long."""
        if self._concurrency is not None and in_flight >= self._concurrency:
            return LimitRefusal(LimitScope.CONCURRENCY, None)
        longest = 0.0
        blocked_by: LimitScope | None = None
        for (scope, _), bucket in self._buckets.items():
            wait = bucket.wait_for(_amount(scope, tokens), now)
            if wait > longest:
                longest, blocked_by = wait, scope
        if blocked_by is not None:
            return LimitRefusal(blocked_by, longest)
        for (scope, _), bucket in self._buckets.items():
            bucket.take(_amount(scope, tokens))
        return None

    def view(self, now: float) -> LimitView:
        """What headers tell: of two requests buckets the one with less left."""
        views: dict[LimitScope, BucketView] = {}
        for (scope, _), bucket in self._buckets.items():
            view = bucket.view(now)
            if scope not in views or view.remaining < views[scope].remaining:
                views[scope] = view
        return LimitView(views.get(LimitScope.REQUESTS), views.get(LimitScope.TOKENS))


def _amount(scope: LimitScope, tokens: int) -> int:
    return tokens if scope is LimitScope.TOKENS else 1
