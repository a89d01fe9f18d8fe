"""Limits that nobody told us: found by refusals, few of them.

A refusal without a word of explanation means one of two things, and the gate tells them apart by
the number of calls in flight:

- More calls in flight than were ever accepted together lately: the upstream bounds *concurrency*
  (:mod:`~forebay.actors.scheduling.learned_slots`).
- No more than were accepted together lately: the upstream bounds a *rate*. The refused place is
  tried again soon, then after pauses that double, until it is let through: there the upstream's
  bucket held just that call. From such crossings follow the rate
  (:mod:`~forebay.actors.scheduling.learned_rate`), at which calls are paced
  (:mod:`~forebay.actors.scheduling.learned_pace`), and the unit that the limit counts
  (:mod:`~forebay.actors.scheduling.learned_units`).

A refused call comes back within a moment, an answer may take a minute: a call that was not refused
within a few times that moment counts as accepted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import (
    Backlog,
    Call,
    Demand,
    Ending,
    Gate,
    Outcome,
    RefusedBy,
    Unit,
)
from forebay.actors.scheduling.learned_calls import CallsUnderWay, Sent
from forebay.actors.scheduling.learned_episode import Episode
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_rate import RateEstimate
from forebay.actors.scheduling.learned_slots import SlotSearch
from forebay.actors.scheduling.learned_units import Crossing, Crossings, Sums
from forebay.actors.scheduling.slots import ServiceTime

_RECENT_CALLS = 20
_UNKNOWN_PATIENCE = 2.0
_LONGEST_PATIENCE = 5.0
_SILENCE_SECONDS = 2.0
_SILENCE_CALLS = 4.0
"""A place that is refused for longer than this tells of a window that was used up."""
_STUCK = 3
"""Refusals in a row after which a place is tried by one call alone."""
_QUIET_SECONDS = 5.0
"""After so long without calls a new burst begins."""
_ESTABLISHED = 4
"""As sure as this, a pace stays when another unit turns out to be limited, too."""
_SAME_COUNT = 4
_TIGHT = 1.5
_NOTHING_SENT = frozenset({Ending.UNUSED, Ending.UNREACHABLE, Ending.OVERLOADED})


class LearnedLimit(Gate):
    """Concurrency and rates of one upstream, learned from what it accepts and refuses."""

    def __init__(
        self,
        name: str,
        random: Random,
        *,
        initial_slots: int = 8,
        refusals_to_pace: int = 2,
    ) -> None:
        """
        Args:
            initial_slots: calls in flight to begin with; doubles as calls are accepted.
            refusals_to_pace: refusals among the last 20 calls that begin pacing. More where a
                rate is configured and a refusal is likely a matter of clocks.
        """
        super().__init__(name)
        self._calls = CallsUnderWay()
        self._service = ServiceTime()
        self._slots = SlotSearch(initial_slots, self._service)
        self._paces: list[Pace] = []
        self._sums = Sums(0.0, 0.0, 0.0)
        """What was sent and not refused."""
        self._crossings = Crossings()
        self._episode: Episode | None = None
        self._passed_serial = 0
        """The call that ended the last one."""
        self._refusals_to_pace = refusals_to_pace
        self._recent: deque[bool] = deque(maxlen=_RECENT_CALLS)
        self._busy_at_refusals: deque[int] = deque(maxlen=_SAME_COUNT)
        self._any_accepted = False
        self._paused_until = -inf
        self._backoff = Backoff(initial=0.05, cap=20.0, random=random)
        self._round_trip = 0.0
        self._patience = _UNKNOWN_PATIENCE
        self._last_take = -inf
        self._burst_from = (-inf, self._sums)
        self._first_burst: Sums | None = None
        """What was let through at once before the first refusal of all."""
        self._largest = 1.0

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    # Calls.

    def ready_at(self, demand: Demand, now: float) -> float:
        ready = self._paused_until
        if len(self._calls) >= self._slots.limit:
            ready = max(ready, self._slots.ready_at(self._patience))
        for pace in self._paces:
            ready = max(ready, pace.ready_at(demand.of(pace.unit), now))
        return ready

    def take(self, call: Call, now: float) -> None:
        demand = call.demand
        before = self._sums
        level = self._calls.add(call, before)
        if now - self._last_take > _QUIET_SECONDS:
            self._burst_from = (now, before)
        self._last_take = now
        self._sums = Sums(
            before.requests + 1, before.tokens + demand.tokens, before.output + demand.output
        )
        if demand.tokens > self._largest:
            self._largest = demand.tokens
        if level >= self._slots.limit:
            self._slots.took(level, now)
        for pace in self._paces:
            pace.take(demand.of(pace.unit), now)
        if self._episode is not None:
            self._go_on(self._episode, call, now)

    def accepted(self, call: Call, now: float) -> None:
        sent = self._calls.get(call)
        if sent is None:
            return
        self._backoff.reset()
        self._recent.append(True)
        self._any_accepted = True
        self._slots.accepted(sent.level, now)
        if self._episode is not None and self._episode.candidate is call:
            self._close(self._episode, now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        if outcome.ending is Ending.REFUSED:
            sent = self._calls.remove_refused(call)
            self._revert(call.demand)
            self._refused(call, sent, outcome, now)
            return
        self._calls.remove(call)
        self._slots.ended()
        if outcome.ending is Ending.SERVED:
            self._service.add(now - call.started_at)
        else:
            self._slots.disturbed(now)
            if outcome.ending in _NOTHING_SENT:
                self._revert(call.demand)
                return
        if outcome.tokens is not None:
            self._settle(call.demand, Demand(outcome.tokens, outcome.output))

    def _settle(self, taken: Demand, used: Demand) -> None:
        if used == taken:
            return
        self._sums = Sums(
            self._sums.requests,
            self._sums.tokens + used.tokens - taken.tokens,
            self._sums.output + used.output - taken.output,
        )
        for pace in self._paces:
            pace.give_back(taken.of(pace.unit) - used.of(pace.unit))

    def _revert(self, demand: Demand) -> None:
        """The upstream did not count the call."""
        self._sums = self._sums.less(demand)
        for pace in self._paces:
            pace.give_back(demand.of(pace.unit))

    # Refusals.

    def _refused(self, call: Call, sent: Sent, outcome: Outcome, now: float) -> None:
        if self._first_burst is None:
            self._first_burst = Sums(
                sent.before.requests - self._burst_from[1].requests,
                sent.before.tokens - self._burst_from[1].tokens,
                sent.before.output - self._burst_from[1].output,
            )
        self._round_trip = max(now - call.started_at, 0.9 * self._round_trip)
        self._patience = min(_LONGEST_PATIENCE, 2 * self._round_trip + 0.01)
        busy = self._calls.older_than(self._patience, now)
        self._slots.prove(busy, now)
        tried = len(self._calls) + 1
        hint = outcome.hint
        is_told_rate = hint is not None and hint.unit is not None
        if (hint is not None and hint.unit is None) or (
            not is_told_rate and self._slots.is_suspect(tried)
        ):
            self._refused_for_slots(tried, outcome, now)
            return
        self._slots.disturbed(now)
        if not self._calls:
            # Not even one call is let through: that says nothing about how many may run at once
            # when it is over, which is to be found out as fast as at the start.
            self._slots.start_again()
        self._recent.append(False)
        if hint is not None and hint.unit is not None:
            self._pace_as_told(hint, hint.unit, call.demand, now)
        if not self._is_news(call, sent, now):
            return
        episode = self._episode
        if episode is None:
            self._busy_at_refusals.append(busy)
            if not self._paces and self._always_refused_at(busy):
                self._refused_for_slots(busy + 1, outcome, now)
                return
            culprit = self._culprit(hint)
            episode = self._episode = Episode(call.started_at, culprit)
        self._pause(episode, call, outcome, now)

    def _refused_for_slots(self, tried: int, outcome: Outcome, now: float) -> None:
        self._slots.refused(tried, min(len(self._calls), tried - 1), outcome.retry_after or 0, now)
        if outcome.hint is not None and outcome.hint.unit is None and outcome.hint.limit:
            self._slots.set_limit(outcome.hint.limit)

    def _always_refused_at(self, busy: int) -> bool:
        """Whether it was the same number of calls that ran each time: slots, and fewer than it
        was lately."""
        if busy < 4 or self._busy_at_refusals.count(busy) < _SAME_COUNT:
            return False
        self._busy_at_refusals.clear()
        return True

    def _culprit(self, hint: RefusedBy | None) -> Pace | None:
        if hint is not None and hint.unit is not None:
            for pace in self._paces:
                if pace.unit is hint.unit:
                    return pace
        return min(self._paces, key=_slack, default=None)

    def _is_news(self, call: Call, sent: Sent, now: float) -> bool:
        """Whether a refusal says more than the one before."""
        episode = self._episode
        if episode is None:
            return sent.serial > self._passed_serial
        if episode.candidate is None:
            return sent.serial > episode.heard_serial or not episode.times
        if episode.candidate is call:
            return True
        if sent.serial < episode.candidate_serial:
            episode.sums = episode.sums.less(call.demand)
            return False
        self._close(episode, now)
        return True

    def _pause(self, episode: Episode, call: Call, outcome: Outcome, now: float) -> None:
        """The place is refused, once more perhaps: it is tried again after a pause."""
        if episode.candidate is not None:
            episode.candidate = None
            if episode.created is not None:
                self._paces.remove(episode.created)
                episode.created = None
            elif episode.crossed and episode.pace is not None:
                episode.pace.uncross()
            episode.crossed = False
        episode.times += 1
        episode.last_at = call.started_at
        episode.heard_serial = self._calls.serial
        episode.asked_wait = outcome.retry_after or 0.0
        if episode.pace is None:
            wait = self._backoff.next()
        else:
            amount = call.demand.of(episode.pace.unit)
            wait = episode.pace.refused(amount, episode.times, episode.asked_wait, now)
        self._paused_until = now + wait

    # From a refused place to where it is let through.

    def _go_on(self, episode: Episode, call: Call, now: float) -> None:
        if episode.candidate is None:
            self._try_again(episode, call, now)
        elif now - episode.candidate.started_at > self._patience:
            self._close(episode, now)

    def _try_again(self, episode: Episode, call: Call, now: float) -> None:
        """What will have been learned if this call is not refused is made use of at once."""
        episode.candidate = call
        episode.candidate_serial = self._calls.serial
        episode.sums = self._sums
        if episode.times >= _STUCK:
            self._paused_until = now + self._patience
        pace = episode.pace
        if pace is None:
            episode.created = self._begin_pacing(episode, call.demand, now)
            return
        silence = max(_SILENCE_SECONDS, _SILENCE_CALLS * pace.amount / pace.rate)
        pace.cross(
            self._sums.of(pace.unit),
            episode.last_at,
            is_silent=now - episode.since > silence,
            now=now,
        )
        episode.crossed = True

    def _begin_pacing(self, episode: Episode, demand: Demand, now: float) -> Pace | None:
        begins = self._any_accepted and self._recent.count(False) >= self._refusals_to_pace
        if self._paces or not begins:
            return None
        refused_for = now - episode.since
        rate = 1 / max(refused_for, 1e-3)
        if episode.asked_wait or refused_for > _SILENCE_SECONDS:
            # Nobody knows when it was ready again, but how much came before is known.
            last = self._crossings.last
            began_at, before = self._burst_from
            if last is not None and last.passed_at > began_at:
                began_at, before = last.passed_at, last.sums
            through = max(1.0, self._sums.requests - before.requests)
            rate = through / max(0.05, now - began_at)
        return self._add_pace(Unit.REQUESTS, rate, 1.0, now)

    def _add_pace(self, unit: Unit, rate: float, amount: float, now: float) -> Pace:
        burst = self._first_burst or Sums(1.0, self._largest, 0.0)
        is_tight = unit is Unit.REQUESTS and burst.requests < _TIGHT
        estimate = RateEstimate(
            rate, even=unit is Unit.REQUESTS, tight=is_tight, tightness_is_known=is_tight
        )
        cap = min(burst.of(unit), 60 * rate)
        if unit is not Unit.REQUESTS:
            cap = max(cap, self._largest)
        pace = Pace(unit, estimate, amount=amount, cap=cap, now=now)
        pace.begin(self._sums.of(unit), now)
        self._paces.append(pace)
        return pace

    def _close(self, episode: Episode, now: float) -> None:
        """The place was let through."""
        assert episode.candidate is not None
        self._episode = None
        self._passed_serial = episode.candidate_serial
        self._paused_until = min(self._paused_until, now)
        self._crossings.add(Crossing(episode.last_at, episode.candidate.started_at, episode.sums))
        if episode.pace is not None and episode.pace in self._paces:
            better = self._crossings.better_unit(episode.pace.unit)
            if better is not None:
                self._change_unit(episode.pace, better, now)

    def _change_unit(self, pace: Pace, unit: Unit, now: float) -> None:
        rate, amount = self._crossings.recent_line(unit)
        self._paces = [
            other
            for other in self._paces
            if other.unit is not unit and (other is not pace or pace.surety >= _ESTABLISHED)
        ]
        self._add_pace(unit, rate, amount, now).estimate.surety = 1

    def _pace_as_told(self, hint: RefusedBy, unit: Unit, demand: Demand, now: float) -> None:
        """The upstream said which unit it counts, and perhaps how many of it."""
        if any(pace.unit is unit for pace in self._paces):
            return
        amount = demand.of(unit)
        if hint.limit is not None:
            self._add_pace(unit, hint.limit, amount, now).estimate.surety = _ESTABLISHED
        elif self._episode is None and self._crossings.last is not None:
            last = self._crossings.last
            through = self._sums.of(unit) - last.sums.of(unit)
            seconds = now - last.passed_at
            if through > 0 and seconds > 0:
                self._add_pace(unit, through / seconds, amount, now)

    # For others.

    def memory(self, now: float) -> dict[str, float]:
        """Rates by unit, how sure they are, and slots, as far as they were learned."""
        known: dict[str, float] = {}
        if self._slots.is_known:
            known["slots"] = float(self._slots.limit)
        for pace in self._paces:
            known |= pace.memory()
        return known

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        if "slots" in memory:
            self._slots.set_limit(memory["slots"])
        self._paces = [
            pace
            for unit in Unit
            if (pace := Pace.recalled(unit, memory, remembered_at)) is not None
        ]

    def room(self, now: float) -> float:
        room = max(0.0, 1 - self.in_flight / max(1, self._slots.limit))
        return min([room, *(pace.fullness(now) for pace in self._paces)])

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        wait = max(0.0, self._paused_until - now)
        for pace in self._paces:
            wait = max(wait, pace.time_until(ahead.of(pace.unit) + demand.of(pace.unit), now))
        beyond = ahead.calls + 1 - (self._slots.limit - self.in_flight)
        if beyond > 0 and self._service.mean is not None:
            wait = max(wait, beyond * self._service.mean / max(1, self._slots.limit))
        return wait

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        per_minute = {pace.unit: round(pace.rate * 60, 3) for pace in self._paces}
        return {
            "in_flight": self.in_flight,
            "slots": self._slots.limit,
            "per_minute": per_minute.get(Unit.REQUESTS),
            **{
                f"{unit.value}_per_minute": rate
                for unit, rate in per_minute.items()
                if unit is not Unit.REQUESTS
            },
            "paused_for_seconds": round(max(0.0, self._paused_until - now), 3),
        }


def _slack(pace: Pace) -> float:
    return pace.slack
