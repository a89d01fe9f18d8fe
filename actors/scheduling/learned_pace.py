"""Pacing calls so that an upstream's bucket, whose rate is being learned, is used up and hardly
ever refuses.

A pace keeps its own picture of the upstream's bucket: ``level`` units are believed to be in it. At
a refusal there was less than the call's amount, so the picture is set right; after it the place is
tried again in a moment, then after pauses that double. Between refusals the pace is *held* at the
estimated rate, for longer the surer the rate is (a *tight* bucket, which a pace below its rate
wastes, is approached from a little below instead, as TCP's CUBIC approaches the window at which it
lost a packet). After that the pace grows with the cube of time, to find out whether the limit has
risen: hardly at first, to double within half a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from forebay.actors.scheduling.gates import Unit
from forebay.actors.scheduling.learned_rate import MOST_SURETY, Cycle, RateEstimate

_HOLD_CALLS = 3.0
_LONGEST_HOLD_CALLS = 64.0
_HOLD_SECONDS = 1.0
_LONGEST_HOLD_SECONDS = 5.0
_GROWTH_CALLS = 2.0
_LONGEST_GROWTH_CALLS = 25.0
_GROWTH_SECONDS = 2.0
_LONGEST_GROWTH_SECONDS = 20.0
_LONGEST_COSTLY_HOLD = 60.0
_UNEVEN_HASTE = 0.55
_DIPS = (0.2, 0.1, 0.05, 0.025, 0.0125, 0.006)
"""By how much the pace for a tight bucket starts below its rate, by surety."""
_TIGHT_STEP = 0.1
_FIRST_STEP = 0.2
_LEAST_STEP, _MOST_STEP = 0.05, 0.5
_SURE_OF_STEP = 4
_LONGEST_WAIT = 10.0
_SMOOTHING = 0.05
_DRAINS_TO_GROW, _MOST_DRAINS_TO_GROW = 4, 64
_CAP_GROWTH = 1.3
_ROUNDING = 1e-9
"""Seconds: what sums of intervals may be off by is no time to wait for."""


class Pace:
    """The pace of one unit."""

    def __init__(
        self, unit: Unit, estimate: RateEstimate, *, amount: float, cap: float, now: float
    ) -> None:
        """
        Args:
            amount: the mean of calls, in units.
            cap: units that the bucket is believed to save up.
        """
        self.unit = unit
        self.estimate = estimate
        self._before_crossing = estimate
        self.amount = amount
        self.cap = max(cap, amount)
        self.level = 0.0
        self._at = now
        self._pace = estimate.rate
        self._lost = 0.0
        """Units that came while the bucket was believed to be full."""
        self._lost_at_refusal = 0.0
        self._cycle_from = (now, 0.0, 0.0)
        self._before_cycle = self._cycle_from
        """When it began, what had gone through then, and what was lost."""
        self._held_from = now
        self._hold = 1.0
        self._hold_until = inf
        self._growth_seconds = 1.0
        self._dip = 0.0
        self._step = _FIRST_STEP
        """Part of a call that is waited for after a refusal."""
        self._wait = 0.0
        self._waited = 0.0
        self._blur = 0.0
        """Seconds that the place which began the cycle may have been ready sooner or later."""
        self._asked_wait = 0.0
        """What refusals ask for; recent ones count most."""
        self._peak = estimate.rate
        self._share = 0.0
        self._highest = 0.0
        self._highest_at = now
        self._is_overdrawn = False
        self._was_full = False
        self._drains = 0
        self._drains_to_grow = _DRAINS_TO_GROW

    def memory(self) -> dict[str, float]:
        """What :meth:`recalled` makes the same pace of."""
        name = self.unit.value
        return {
            f"{name}_per_second": self.rate,
            f"{name}_surety": float(self.surety),
            f"{name}_cap": self.cap,
            f"{name}_mean": self.amount,
            f"{name}_tight": float(self.estimate.tight),
        }

    @classmethod
    def recalled(cls, unit: Unit, memory: Mapping[str, float], now: float) -> Pace | None:
        """The pace of ``unit`` that ``memory`` tells of, if it does.

        Raises:
            KeyError, ValueError: it tells of something else.
        """
        name = unit.value
        rate = memory.get(f"{name}_per_second")
        if rate is None:
            return None
        if not 0 < rate < inf:
            raise ValueError(f"{name}_per_second must be above 0, not {rate}")
        tight = memory[f"{name}_tight"] > 0
        estimate = RateEstimate(
            rate, even=unit is Unit.REQUESTS, tight=tight, tightness_is_known=tight
        )
        estimate.surety = max(0, min(MOST_SURETY - 1, int(memory[f"{name}_surety"])))
        amount, cap = memory[f"{name}_mean"], memory[f"{name}_cap"]
        pace = cls(unit, estimate, amount=amount, cap=cap, now=now)
        pace.begin(0.0, now)
        return pace

    @property
    def rate(self) -> float:
        return self.estimate.rate

    @property
    def surety(self) -> int:
        return self.estimate.surety

    # Calls.

    def ready_at(self, amount: float, now: float) -> float:
        missing = min(amount, self.cap) - self.level - (now - self._at) * self._pace
        wait = missing / self._pace
        return now if wait < _ROUNDING else now + wait

    def take(self, amount: float, now: float) -> None:
        self._advance(now)
        if self.level >= self._highest:
            self._highest = self.level
            self._highest_at = now
        self.level -= amount
        self.amount += _SMOOTHING * (amount - self.amount)
        if self._was_full and self.level < 0.5 * self.amount:
            self._was_full = False
            self._drains += 1
            if self._drains >= self._drains_to_grow:
                self._drains = 0
                self.cap *= _CAP_GROWTH

    def give_back(self, amount: float) -> None:
        """A call did not use so much of what it took; less than nothing: it used more."""
        self.level += amount

    def time_until(self, amount: float, now: float) -> float:
        """Seconds until so much in sum may have passed."""
        return max(0.0, (amount - self.level) / self.rate - (now - self._at))

    def fullness(self, now: float) -> float:
        level = self.level + (now - self._at) * self._pace
        return max(0.0, min(1.0, level / self.cap))

    @property
    def slack(self) -> float:
        """Seconds for which it could refill no more and calls would still pass."""
        return self.level / self.rate

    def _advance(self, now: float) -> None:
        level = self.level + (now - self._at) * self._pace
        # A tight bucket saves up no more than one call, so nobody may come sooner after another.
        most = self.amount if self.estimate.surely_tight else self.cap
        if level > most:
            excess = level - most
            if excess > 1e-6 * self.amount:
                self._was_full = True
            self._lost += excess
            level = most
            if self._hold_until < inf:
                # It is not the pace that holds calls back, so it finds nothing out by growing.
                idle = now - self._at if excess > 0.3 * self.amount else excess / self._pace
                self._hold_until += idle
                self._held_from += idle
        self.level = level
        self._at = now
        over = now - self._hold_until
        if over > 0:
            self._pace = self.rate * (1 + (over / self._growth_seconds) ** 3)
        elif self._dip:
            self._pace = self.rate * (1 - self._dip * (-over / self._hold) ** 3)

    # Refusals.

    def foretells_refusals(self, now: float) -> bool:
        """Whether it goes faster than the rate of a tight bucket that is known well, and holds
        calls back all the same."""
        is_probing = self.estimate.surely_tight and now > self._hold_until
        return is_probing and self.surety >= _SURE_OF_STEP and self.level < 2 * self.amount

    def refused(self, amount: float, times: int, asked_wait: float, now: float) -> float:
        """A call of ``amount``, which was given back already, was refused for the ``times``-th
        time in a row.

        Returns:
            Seconds to wait before it is tried again.
        """
        if times == 1:
            self._note_refusal(asked_wait, now)
        self._advance(now)
        if times == 1:
            self._learn_cap(amount, now)
        self.cap = max(self.cap, amount)
        self._lost_at_refusal = self._lost
        if self.estimate.tight:
            step = _TIGHT_STEP
        else:
            step = self._step if self.surety >= _SURE_OF_STEP else _FIRST_STEP
        wait = step * 2.0 ** min(20, times - 1) * max(amount, self.amount) / self.rate
        self._wait = min(_LONGEST_WAIT, wait)
        self._waited += self._wait
        self.level = min(self.level, amount) - self._wait * self.rate
        self._stand()
        return self._wait

    def _note_refusal(self, asked_wait: float, now: float) -> None:
        self._share = (now - self._held_from) / self._hold
        self._peak = self._pace
        over = now - self._hold_until
        if over > 0:
            # What was let through last was paced by one call's growth less.
            growth = 3 * self.rate * over**2 / self._growth_seconds**3
            self._peak = max(self.rate, self._pace - growth * self.amount / self._pace)
            self._step = max(_LEAST_STEP, self._step * 0.8)
        else:
            self._step = min(_MOST_STEP, self._step * 1.5)
        self._asked_wait = max(0.9 * self._asked_wait, asked_wait)
        self._waited = 0.0

    def _learn_cap(self, amount: float, now: float) -> None:
        """What was sent at once, out of what was saved up, is all that can be saved up."""
        drawn = self._highest - self.level
        refilled = (now - self._highest_at) * self.rate
        self._is_overdrawn = drawn > 0.5 * self.amount and refilled < 0.5 * drawn
        if self._is_overdrawn:
            self.cap = max(drawn, amount)
            self._drains_to_grow = min(_MOST_DRAINS_TO_GROW, self._drains_to_grow * 2)
        self._highest = 0.0
        self._was_full = False

    def _stand(self) -> None:
        """No growth and no dip until the refused place has been let through."""
        self._pace = self.rate
        self._dip = 0.0
        self._hold_until = inf

    def begin(self, through: float, now: float) -> None:
        """The first cycle begins, when ``through`` units have gone through."""
        self._cycle_from = (now, through, self._lost)
        self._start_hold(now)

    def cross(self, through: float, refused_at: float, *, is_silent: bool, now: float) -> None:
        """The place that was refused is tried again now: a cycle ends, unless it is refused once
        more.

        Args:
            through: units that have gone through up to now, with this call.
            refused_at: when the call was sent that was refused last.
        """
        self._before_crossing = self.estimate
        blur = min(now - refused_at, self._wait) / 2
        ready_at = refused_at + blur
        began_at, before, lost_before = self._cycle_from
        if through > before and ready_at > began_at:
            self.estimate = self.estimate.copy()
            self.estimate.learn(
                Cycle(
                    amount=through - before,
                    lost=self._lost_at_refusal - lost_before,
                    calls=(through - before) / self.amount,
                    seconds=ready_at - began_at,
                    seconds_to_pass=now - began_at,
                    blur=blur + self._blur,
                    peak=self._peak,
                    share=self._share,
                    waited=self._waited * self.rate / self.amount,
                    is_cooled=now - ready_at > 2 * self._wait,
                    is_silent=is_silent,
                    is_overdrawn=self._is_overdrawn,
                )
            )
        self._before_cycle = self._cycle_from
        self._blur = blur
        if self.estimate.tight:
            self._cycle_from = (now, through, self._lost)
        else:
            self._cycle_from = (ready_at, through, self._lost_at_refusal)
        self._start_hold(now)

    def uncross(self) -> None:
        """It was refused once more."""
        self.estimate = self._before_crossing
        self._cycle_from = self._before_cycle
        self._stand()

    def _start_hold(self, now: float) -> None:
        grown = 2.0**self.surety
        call = self.amount / self.rate
        # Where calls differ in size, it takes more of them to know the rate.
        haste = 1.0 if self.estimate.even else _UNEVEN_HASTE
        longest = _LONGEST_HOLD_SECONDS / haste**3
        self._hold = max(
            min(_HOLD_CALLS / haste * grown, _LONGEST_HOLD_CALLS) * call,
            min(_HOLD_SECONDS * grown, longest),
        )
        if self.surety >= MOST_SURETY - 1:
            # A refusal costs what can't be saved up while the upstream asks to wait.
            cost = min(1.0, self._asked_wait - (self.cap - self.amount) / self.rate)
            self._hold = max(self._hold, _LONGEST_COSTLY_HOLD * cost)
        self._held_from = now
        self._hold_until = now + self._hold
        self._growth_seconds = max(
            min(_GROWTH_CALLS / haste * grown, _LONGEST_GROWTH_CALLS) * call,
            min(_GROWTH_SECONDS * grown, _LONGEST_GROWTH_SECONDS),
        )
        self._dip = _DIPS[self.surety] if self.estimate.tight else 0.0
        self._pace = self.rate * (1 - self._dip)
