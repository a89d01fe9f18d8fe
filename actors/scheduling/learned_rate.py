"""What rate an upstream lets through, estimated from the cycles between its refusals.

A *cycle* goes from one refused place that was let through to the next one. Two laws, since two
sorts of bucket look alike from outside:

- A bucket that saves up several calls loses nothing between two refusals, when it is known to be
  empty. What went through in the cycle, over its time, *is* the rate, and the mean of several
  cycles is ever more exact.
- A *tight* bucket saves up no more than one call. It overflows whenever the pace is below its
  rate, so a cycle's mean is too low; but then it refuses at the very call at which the pace
  exceeds the rate: the pace at the refusal is the rate.

Which one it is shows in the first refusal: how many calls were let through at once before it.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass

MOST_SURETY = 5
_SURE = 3
_CYCLES = 12
_FEW = 4
"""Calls: fewer in a cycle say little more than whether the rate is too high."""
_TESTS_APART = 16
"""Late cycles after which a bucket is taken for a tight one, on trial."""
_MOST_TESTS_APART = 64
_EARLY_IN_A_ROW = 3
_CYCLES_WITHOUT_LEAPS = 6
_RISEN = 1.3
"""A refusal at so much more than what went through, after a long calm: the limit has risen, and
the bucket has overflowed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What went through between two refused places."""

    amount: float
    """Units that went through."""
    lost: float
    """Units that were not asked for in time, by our own count."""
    calls: float
    """``amount`` in calls of mean size."""
    seconds: float
    """To when the second place was ready, as far as is known."""
    seconds_to_pass: float
    """To when it was let through."""
    blur: float
    """Seconds by which ``seconds`` may be wrong: places are tried again after pauses."""
    peak: float
    """The pace at the refusal."""
    share: float
    """Of the time for which the pace was to be held, how much went by until the refusal."""
    waited: float
    """How many calls could have gone through between the first refusal and the last."""
    is_cooled: bool
    """The upstream asked for a longer wait than was needed: nobody knows when it was ready."""
    is_silent: bool
    """The place was refused for long, again and again."""
    is_overdrawn: bool
    """The refusal was a matter of what can be saved up, not of the rate."""


class RateEstimate:
    """A rate and how sure it is, from 0 to ``MOST_SURETY``."""

    def __init__(self, rate: float, *, even: bool, tight: bool, tightness_is_known: bool) -> None:
        """
        Args:
            even: each call takes the same.
        """
        self.rate = rate
        self.surety = 0
        self.tight = tight
        self.even = even
        self._tightness_is_known = tightness_is_known
        self._cycles: deque[tuple[float, float]] = deque(maxlen=_CYCLES)
        self._leapt_from: float | None = None
        self._calm_cycles = 0
        self._late = 0
        self._early = 0
        self._tests_apart = _TESTS_APART
        self._untested_rate: float | None = None
        """The rate before the bucket was taken for a tight one on trial."""

    @property
    def surely_tight(self) -> bool:
        """Seen in the first refusal, not only tried."""
        return self.tight and self._tightness_is_known

    def copy(self) -> RateEstimate:
        other = copy(self)
        other._cycles = self._cycles.copy()
        return other

    def learn(self, cycle: Cycle) -> None:
        old = self.rate
        mean = min(cycle.amount / cycle.seconds, 4 * old)
        if mean < old:
            # What nobody asked for says nothing: at worst the rate is what it was taken for. But
            # an early refusal says that less was lost than we count.
            lost = 0.5 * cycle.lost if self.even and cycle.share < 1 else cycle.lost
            mean = min(old, (cycle.amount + lost) / cycle.seconds)
        leapt_from, self._leapt_from = self._leapt_from, None
        if leapt_from is not None and cycle.share < 1 and mean < (leapt_from * old) ** 0.5:
            self._calm_cycles = _CYCLES_WITHOUT_LEAPS
        lowest = cycle.amount / cycle.seconds_to_pass
        if cycle.is_overdrawn:
            if lowest < 0.8 * old:
                self._lower(max(lowest, 0.8 * old))
        elif cycle.is_silent:
            self._learn_from_silence(mean, cycle)
        elif cycle.calls < 2 * _FEW and mean > 1.1 * lowest:
            if cycle.share < 1:
                self._lower(max(lowest, 0.85 * min(old, mean)))
            elif mean < old:
                self._lower(mean)
        elif self.tight:
            self._learn_from_peak(mean, cycle)
        else:
            self._learn_from_mean(mean, cycle)
        self.rate = max(self.rate, 0.4 * old)

    def _lower(self, rate: float, by: int = 1) -> None:
        self.surety = 0 if rate < 0.8 * self.rate else max(0, self.surety - by)
        self.rate = rate
        self._cycles.clear()

    def _learn_from_silence(self, mean: float, cycle: Cycle) -> None:
        """A window was used up, and its mean is the rate; or the upstream was out for a while,
        which says nothing of its rate."""
        self._cycles.clear()
        if self.surety >= 2 and mean < 0.7 * self.rate:
            self.surety -= 1
            return
        agrees = abs(mean / self.rate - 1) < 0.1
        self.surety = min(MOST_SURETY, self.surety + 1) if agrees else _surety_after(cycle)
        self.rate = mean

    def _learn_from_mean(self, mean: float, cycle: Cycle) -> None:
        old = self.rate
        if cycle.calls < _FEW:
            if mean < 0.9 * old:
                self._lower(max(0.5 * old, mean), by=2)
            elif mean < old:
                self._lower(0.5 * (old + mean))
            return
        if self._leaps(mean, cycle):
            return
        tolerance = max(0.02, 1 / cycle.calls, cycle.blur / cycle.seconds)
        if abs(mean / old - 1) > tolerance:
            self._cycles.clear()
        self._cycles.append((mean * cycle.seconds, cycle.seconds))
        self.rate = sum(amount for amount, _ in self._cycles) / sum(t for _, t in self._cycles)
        change = abs(self.rate / old - 1)
        if change <= tolerance:
            if cycle.share > 0.5:
                self.surety = min(MOST_SURETY, self.surety + 1)
        elif change > 0.3:
            self.surety = min(self.surety, _surety_after(cycle))
        else:
            self.surety = min(self.surety, max(_surety_after(cycle), self.surety - 2))
        self._test_for_tightness(cycle)

    def _leaps(self, mean: float, cycle: Cycle) -> bool:
        """The refusal came so late that the bucket may have overflowed for most of the cycle. Then
        the rate is above the mean: go half the way to the pace that was refused, once."""
        highest = mean * (1 + cycle.blur / cycle.seconds)
        has_risen = self.surety >= _SURE and cycle.share > 1 and cycle.peak > _RISEN * highest
        if not has_risen:
            if self._calm_cycles and cycle.peak < 2 * mean:
                self._calm_cycles -= 1
                return False
            if not self.even or cycle.share < 2 or cycle.peak < 1.05 * mean:
                return False
        self.surety = 0 if cycle.peak > _RISEN * mean else min(self.surety, 1)
        self._leapt_from = mean
        self.rate = (cycle.peak * mean) ** 0.5
        self._cycles.clear()
        return True

    def _test_for_tightness(self, cycle: Cycle) -> None:
        if cycle.is_cooled or cycle.share <= 1 or self.surety < 2:
            return
        if cycle.peak > 1.005 * self.rate and self.even and not self._tightness_is_known:
            self._late += 1
            if self._late >= self._tests_apart:
                self._late = 0
                self.tight = True
                self._untested_rate = self.rate
                self.rate = cycle.peak

    def _learn_from_peak(self, mean: float, cycle: Cycle) -> None:
        if cycle.waited > 0.4 and cycle.calls < 2 * _FEW:
            # It had to wait too long for a bucket that was only just overdrawn: the rate fell.
            self.rate = min(cycle.peak, max(mean, 0.5 * cycle.peak))
            self.surety = 0
            return
        self.rate = max(cycle.peak, mean)
        if cycle.share > 0.5:
            self._untested_rate = None
            self._early = 0
            if cycle.share < 2 or self.surety < _SURE:
                self.surety = min(MOST_SURETY, self.surety + 1)
            return
        was_sure = self.surety >= 1
        self.surety = max(0, self.surety - 1)
        if self._untested_rate is not None:
            untested, self._untested_rate = self._untested_rate, None
            if mean < 0.5 * (untested + cycle.peak):
                self._is_not_tight(untested)
        elif was_sure and not self._tightness_is_known:
            self._early += 1
            if self._early >= _EARLY_IN_A_ROW:
                self._is_not_tight(mean if cycle.calls > _FEW else self.rate)

    def _is_not_tight(self, rate: float) -> None:
        self.tight = False
        self.rate = rate
        self._early = 0
        self._cycles.clear()
        self._tests_apart = min(_MOST_TESTS_APART, self._tests_apart * 2)


def _surety_after(cycle: Cycle) -> int:
    """How sure a rate is that one cycle alone has told."""
    return max(0, min(_SURE, int(cycle.calls).bit_length() - 3))
