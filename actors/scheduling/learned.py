"""Limits that nobody told us: found by refusals, few of them.

A refusal without a word of explanation means one of two things, and the gate tells them apart by
the number of calls in flight:

- More calls in flight than were ever accepted together lately: the upstream bounds *concurrency*
  (:mod:`~forebay.actors.scheduling.learned_slots`).
- No more than were accepted together lately: the upstream bounds a *rate*, smoothly or in windows
  (:mod:`~forebay.actors.scheduling.learned_rate_search`).

A refused call comes back within a moment, an answer may take a minute: a call that was not refused
within a few times that moment counts as accepted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from random import Random

from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Ending, Gate, Outcome
from forebay.actors.scheduling.learned_calls import CallsUnderWay, Sent
from forebay.actors.scheduling.learned_hints import Hints
from forebay.actors.scheduling.learned_rate_search import RateSearch
from forebay.actors.scheduling.learned_slots import SlotSearch
from forebay.actors.scheduling.slots import ServiceTime

_UNKNOWN_PATIENCE = 2.0
_LONGEST_PATIENCE = 5.0
_SAME_COUNT = 4
_NOTHING_SENT = frozenset({Ending.UNUSED, Ending.UNREACHABLE, Ending.OVERLOADED})


class LearnedLimit(Gate):
    """Concurrency and rates of one upstream, learned from what it accepts and refuses."""

    def __init__(
        self,
        name: str,
        random: Random,
        *,
        initial_slots: int = 8,
        cooldown: Cooldown | None = None,
    ) -> None:
        """
        Args:
            initial_slots: calls in flight to begin with; doubles as calls are accepted.
            cooldown: waits for as long as refusals ask for, and hears of them before this gate.
        """
        super().__init__(name)
        self._calls = CallsUnderWay()
        self._service = ServiceTime()
        self._slots = SlotSearch(initial_slots, self._service)
        self._hints = Hints(cooldown)
        self._rates = RateSearch(random, self._hints)
        self._busy_at_refusals: deque[int] = deque(maxlen=_SAME_COUNT)
        self._round_trip = 0.0
        self._patience = _UNKNOWN_PATIENCE

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    # Calls.

    def ready_at(self, demand: Demand, now: float) -> float:
        ready = self._rates.ready_at(demand, self._patience, now)
        if len(self._calls) >= self._slots.limit:
            return max(ready, self._slots.ready_at(self._patience))
        return ready

    def take(self, call: Call, now: float) -> None:
        level = self._calls.add(call, self._rates.sums)
        if level >= self._slots.limit:
            self._slots.took(level, now)
        self._rates.take(call, self._calls.serial, self._patience, now)

    def accepted(self, call: Call, now: float) -> None:
        sent = self._calls.get(call)
        if sent is not None:
            self._slots.accepted(sent.level, now)
            self._rates.accepted(call, now)

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        if outcome.ending is Ending.REFUSED and not outcome.has_begun:
            sent = self._calls.remove_refused(call)
            self._rates.revert(call)
            self._refused(call, sent, outcome, now)
            return
        self._calls.remove(call)
        self._slots.ended()
        if outcome.ending is Ending.SERVED:
            self._service.add(now - call.started_at)
        else:
            self._slots.disturbed(now)
            if outcome.ending in _NOTHING_SENT and not outcome.has_begun:
                self._rates.revert(call)
                return
        if outcome.tokens is not None:
            used = Demand(outcome.tokens, outcome.output)
            if used != call.demand:
                self._rates.settle(call, used)

    # Refusals.

    def _refused(self, call: Call, sent: Sent, outcome: Outcome, now: float) -> None:
        self._rates.note_first_burst(sent)
        self._round_trip = max(now - call.started_at, 0.9 * self._round_trip)
        self._patience = min(_LONGEST_PATIENCE, 2 * self._round_trip + 0.01)
        busy = self._calls.older_than(self._patience, now)
        self._slots.prove(busy, now)
        tried = len(self._calls) + 1
        if self._rates.refused_as_foretold(call, sent, outcome, now):
            self._slots.disturbed(now)
            return
        if self._is_matter_of_slots(tried, outcome, now):
            self._refused_for_slots(tried, outcome, now)
            return
        self._slots.disturbed(now)
        if not self._calls:
            # Not even one call is let through: that says nothing about how many may run at once
            # when it is over, which is to be found out as fast as at the start.
            self._slots.start_again()
        hint = outcome.hint
        if hint is not None and hint.unit is not None:
            self._rates.pace_as_told(hint.unit, hint.limit, call.demand, now)
        if not self._rates.is_news(call, sent, now):
            return
        if self._rates.knows_nothing and self._always_refused_at(busy):
            self._refused_for_slots(busy + 1, outcome, now)
            return
        self._rates.refused(call, outcome, self._calls.serial, now)

    def _is_matter_of_slots(self, tried: int, outcome: Outcome, now: float) -> bool:
        if outcome.hint is not None:
            return outcome.hint.unit is None
        return (
            not self._hints.speak_of_a_rate(outcome, self._service)
            and not self._rates.paces.foretell_refusals(now)
            and self._slots.is_suspect(tried)
        )

    def _refused_for_slots(self, tried: int, outcome: Outcome, now: float) -> None:
        asked, mean = outcome.retry_after or 0.0, self._service.mean
        if mean is not None and self._slots.is_known:
            # A slot comes free when a call ends, whatever the upstream asks for.
            asked = self._hints.honoured(outcome, mean)
        self._slots.refused(tried, min(len(self._calls), tried - 1), asked, now)
        if outcome.hint is not None and outcome.hint.unit is None and outcome.hint.limit:
            self._slots.set_limit(outcome.hint.limit)

    def _always_refused_at(self, busy: int) -> bool:
        """Whether it was the same number of calls that ran each time: slots, and fewer than it
        was lately."""
        self._busy_at_refusals.append(busy)
        if busy < 4 or self._busy_at_refusals.count(busy) < _SAME_COUNT:
            return False
        self._busy_at_refusals.clear()
        return True

    # For others.

    def memory(self, now: float) -> dict[str, float]:
        """Rates by unit, how sure they are, a window, and slots, as far as they were learned."""
        known = self._rates.memory(now)
        if self._slots.is_known:
            known["slots"] = float(self._slots.limit)
        return known

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        if "slots" in memory:
            self._slots.set_limit(memory["slots"])
        self._rates.recall(memory, remembered_at)

    def room(self, now: float) -> float:
        room = max(0.0, 1 - self.in_flight / max(1, self._slots.limit))
        return min(room, self._rates.fullness(now))

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        wait = self._rates.time_until(ahead, demand, now)
        beyond = ahead.calls + 1 - (self._slots.limit - self.in_flight)
        if beyond > 0 and self._service.mean is not None:
            slots = max(1, self._slots.limit)
            wait = max(wait, self._service.until_free(beyond, slots, self._calls, now))
        return wait

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {
            "in_flight": self.in_flight,
            "slots": self._slots.limit,
            **self._rates.snapshot(now),
        }
