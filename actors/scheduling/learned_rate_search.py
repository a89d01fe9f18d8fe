"""How fast calls may go, learned from the places in the queue that an upstream refuses.

A refused place is tried again soon, then after pauses that double, until it is let through: there
the upstream's bucket held just that call. From such crossings follow the rate
(:mod:`~forebay.actors.scheduling.learned_rate`), at which calls are paced
(:mod:`~forebay.actors.scheduling.learned_pace`), and the unit that the limit counts
(:mod:`~forebay.actors.scheduling.learned_units`). A place that is refused for seconds, while much
was let through before, is the end of a window rather than of a bucket
(:mod:`~forebay.actors.scheduling.learned_window_search`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf
from random import Random

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.gates import Backlog, Call, Demand, Outcome, RefusedBy, Unit
from forebay.actors.scheduling.learned_calls import Sent
from forebay.actors.scheduling.learned_episode import Episode
from forebay.actors.scheduling.learned_hints import Hints, surely_refused_for
from forebay.actors.scheduling.learned_pace import Pace
from forebay.actors.scheduling.learned_paces import Paces
from forebay.actors.scheduling.learned_units import NOTHING, Crossing, Crossings, Sums
from forebay.actors.scheduling.learned_window_search import WindowSearch

_RECENT_CALLS = 20
_REFUSALS_TO_PACE = 2
"""Of one place, or among the recent calls: one alone may be a matter of clocks."""
_SILENCE_SECONDS = 2.0
_SILENCE_CALLS = 4.0
"""A place that is refused for longer than this tells of a window that was used up."""
_STUCK = 3
"""Refusals in a row after which a place is tried by one call alone."""
_QUIET_SECONDS = 5.0
"""After so long without calls a new burst begins."""
_UNSURE = 1
"""Above that, a pace stays where a window may be limited instead."""
_SILENCES_APART = 150.0
"""Seconds: one silence may be an outage, two so soon after each other are not."""
_MOST_RATE = 1000.0
_PROMPT = 0.05
"""Seconds: a place is tried again so soon after its pause, unless other limits hold it."""


class RateSearch:
    """The paces, or the window, to which calls are held."""

    def __init__(self, random: Random, hints: Hints) -> None:
        self.paces = Paces()
        self.windows = WindowSearch()
        self.paused_until = -inf
        self.sums = NOTHING
        """What was sent and not refused."""
        self._hints = hints
        self._crossings = Crossings()
        self._episode: Episode | None = None
        self._passed_serial = 0
        """The call that ended the last one."""
        self._recent: deque[bool] = deque(maxlen=_RECENT_CALLS)
        self._any_accepted = False
        self._silent_at = -inf
        """When a place was let through after seconds of refusals."""
        self._backoff = Backoff(initial=0.05, cap=20.0, growth=3.0, random=random)
        self._last_take = -inf
        self._burst_from = (-inf, NOTHING)

    # Calls.

    def ready_at(self, demand: Demand, patience: float, now: float) -> float:
        """When the next call may be sent.

        Args:
            patience: seconds after which a call that was not refused counts as accepted.
        """
        ready = self.paused_until
        window = self.windows.window
        if window is None:
            return self.paces.ready_at(demand, ready, now)
        if self.windows.is_on_trial:
            ready = max(ready, self._last_take + patience)
        return max(ready, window.ready_at(demand, patience, now))

    def take(self, call: Call, serial: int, patience: float, now: float) -> None:
        demand = call.demand
        before = self.sums
        if now - self._last_take > _QUIET_SECONDS:
            self._burst_from = (now, before)
        self._last_take = now
        self.sums = before.plus(demand)
        self.paces.take(demand, now)
        if self.windows.is_watching:
            self.windows.take(call, serial, before, now)
        episode = self._episode
        if episode is None:
            return
        if episode.candidate is None:
            self._try_again(episode, call, serial, patience, now)
        elif now - episode.candidate.started_at > patience:
            self._close(episode, now)

    def accepted(self, call: Call, now: float) -> None:
        self._recent.append(True)
        self._any_accepted = True
        if self.windows.window is not None:
            self.windows.window.accepted(call, now)
        if self._episode is not None and self._episode.candidate is call:
            self._close(self._episode, now)

    def settle(self, call: Call, used: Demand) -> None:
        """It has used another amount than it was taken for."""
        self.sums = self.sums.settled(call.demand, used)
        self.paces.settle(call.demand, used)
        unit = self.windows.unit
        if unit is not Unit.REQUESTS:
            self.windows.settle(call.demand.of(unit) - used.of(unit), call)

    def revert(self, call: Call) -> None:
        """The upstream did not count the call."""
        self.sums = self.sums.less(call.demand)
        self.windows.take_back(call)
        self.paces.give_back(call.demand)

    # Refusals.

    def refused_as_foretold(self, call: Call, sent: Sent, outcome: Outcome, now: float) -> bool:
        """Whether the window that is known explains it: then nothing else is to be learned."""
        window = self.windows.window
        if window is None or (outcome.hint is not None and outcome.hint.unit is not window.unit):
            return False
        is_candidate = self._episode is not None and self._episode.candidate is call
        if is_candidate or not window.foretells(call.demand, sent, now):
            return False
        window.refused(sent, now)
        self._hints.honoured(outcome, window.free_at() - now)
        if window.surety > 0:
            self.paces.clear()
        return True

    def is_news(self, call: Call, sent: Sent, now: float) -> bool:
        """Whether a refusal says more than the one before."""
        self._recent.append(False)
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

    @property
    def knows_nothing(self) -> bool:
        """Whether a refusal may still be a matter of something else than a rate."""
        return self._episode is None and not self.paces and self.windows.window is None

    def refused(self, call: Call, outcome: Outcome, serial: int, now: float) -> None:
        """A refusal that is news.

        Args:
            serial: of the call that was sent last.
        """
        episode = self._episode
        if episode is None:
            if self.windows.disproves() and self.paces:
                return
            culprit = self._culprit(outcome.hint)
            episode = self._episode = Episode(call.started_at, culprit, self._began())
            episode.counts = self.windows.note_refusal(call.started_at)
        self._pause(episode, call, outcome, serial, now)

    def _culprit(self, hint: RefusedBy | None) -> Pace | None:
        told = self.paces.of(hint.unit) if hint is not None and hint.unit is not None else None
        return told or self.paces.tightest

    def _began(self) -> tuple[float, Sums]:
        """When calls were let through at first, after a refusal or a quiet time, and what had been
        sent by then."""
        last = self._crossings.last
        if last is not None and last.passed_at > self._burst_from[0]:
            return last.passed_at, last.sums
        return self._burst_from

    def note_first_burst(self, sent: Sent) -> None:
        """A call was refused: what was sent at once before the first refusal of all?"""
        if self.paces.first_burst is None:
            self.paces.first_burst = sent.before.since(self._burst_from[1])

    def pace_as_told(self, unit: Unit, rate: float | None, demand: Demand, now: float) -> None:
        """The upstream said which unit it counts, and perhaps how many of it a second."""
        window = self.windows.window
        if self.paces.of(unit) is not None or (window is not None and window.unit is unit):
            return
        amount = demand.of(unit)
        last = self._crossings.last
        if rate is not None:
            self.paces.add_as_told(unit, rate, amount, self.sums, now)
        elif self._episode is None and last is not None:
            through = self.sums.since(last.sums).of(unit)
            if through > 0 and now > last.passed_at:
                rate = through / (now - last.passed_at)
                self.paces.add(unit, rate, amount, self.sums, now)

    def _pause(
        self, episode: Episode, call: Call, outcome: Outcome, serial: int, now: float
    ) -> None:
        """The place is refused, once more perhaps: it is tried again after a pause."""
        if episode.candidate is not None:
            self._undo(episode)
        pace = episode.pace
        seconds = self.paces.seconds_for(call.demand)
        asked = self._hints.honoured(outcome, seconds) if pace else outcome.retry_after or 0.0
        episode.times += 1
        episode.last_at = call.started_at
        episode.heard_serial = serial
        episode.asked_wait = asked
        episode.refused_until = call.started_at + surely_refused_for(asked)
        episode.doubt = self.windows.doubt(call, episode.refused_until)
        if pace is None:
            wait = self._backoff.next()
        else:
            wait = pace.refused(call.demand.of(pace.unit), episode.times, asked, now)
        self.paused_until = now + self.windows.snapped(wait, now)

    def _undo(self, episode: Episode) -> None:
        """What would have been learned if the candidate had been let through."""
        if episode.created is not None:
            self.paces.remove(episode.created)
        elif episode.crossed and episode.pace is not None:
            episode.pace.uncross()
        if episode.supposed is not None:
            self.windows.withdraw()
        episode.forget_candidate()

    # From a refused place to where it is let through.

    def _try_again(
        self, episode: Episode, call: Call, serial: int, patience: float, now: float
    ) -> None:
        """What will have been learned if this call is not refused is made use of at once."""
        episode.candidate = call
        episode.candidate_serial = serial
        episode.sums = self.sums
        is_prompt = now <= self.paused_until + _PROMPT
        if episode.times >= _STUCK or self.windows.window is not None:
            self.paused_until = now + patience
        self._doubt_or_suppose_window(episode, call, now)
        pace = episode.pace
        if pace is None:
            if episode.supposed is None:
                episode.created = self._begin_pacing(episode, is_prompt, now)
            return
        silence = max(_SILENCE_SECONDS, _SILENCE_CALLS * pace.amount / pace.rate)
        pace.cross(
            self.sums.of(pace.unit),
            episode.last_at,
            is_silent=now - episode.since > silence,
            now=now,
        )
        episode.crossed = True

    def _doubt_or_suppose_window(self, episode: Episode, call: Call, now: float) -> None:
        if self.windows.is_too_short(episode.silence):
            episode.doubt = None
        if episode.doubt is not None and self.windows.window is not None:
            own = call.demand.of(self.windows.unit)
            episode.doubt.used_at_passing = self.windows.window.used(now) - own
            episode.doubt.silence = episode.silence
        elif self._suggests_window(episode, call.demand, now):
            episode.ends_silence = True
            before = self.sums.less(call.demand)
            episode.supposed = self.windows.suppose(
                call.demand, before, episode.last_at, episode.refused_until, now
            )

    def _suggests_window(self, episode: Episode, demand: Demand, now: float) -> bool:
        is_sure = self.paces.are_surer_than(_UNSURE)
        if self.windows.seems_full and not is_sure:
            return True
        if is_sure and now - self._silent_at > _SILENCES_APART:
            return False
        seconds = _SILENCE_CALLS * self.paces.seconds_for(demand)
        return episode.silence >= max(_SILENCE_SECONDS, seconds)

    def _begin_pacing(self, episode: Episode, is_prompt: bool, now: float) -> Pace | None:
        refusals = max(episode.times, self._recent.count(False))
        if self.paces or not self._any_accepted or refusals < _REFUSALS_TO_PACE:
            return None
        began_at, before = episode.began
        through = max(1.0, self.sums.since(before).requests)
        mean = through / max(0.05, now - began_at)
        rate = min(_MOST_RATE, 1 / max(now - episode.since, 1e-9))
        if episode.asked_wait or not is_prompt:
            # Nobody knows when it was ready again, but how much came before is known.
            rate = mean
        elif episode.silence >= _SILENCE_SECONDS and mean > rate:
            # By the one a window was used up, by the other a bucket is slow.
            rate = (rate * mean) ** 0.5
        return self.paces.add(Unit.REQUESTS, rate, 1.0, self.sums, now)

    def _close(self, episode: Episode, now: float) -> None:
        """The place was let through."""
        assert episode.candidate is not None
        passed_at = episode.candidate.started_at
        self._episode = None
        self._passed_serial = episode.candidate_serial
        self._backoff.reset()
        self.paused_until = min(self.paused_until, now)
        if episode.silence >= _SILENCE_SECONDS:
            self._silent_at = now
        crossing = Crossing(episode.last_at, passed_at, episode.sums)
        if episode.doubt is not None:
            self.windows.explain(episode.doubt, passed_at)
        if episode.ends_silence or (episode.doubt and episode.silence >= _SILENCE_SECONDS):
            self.windows.begin(episode.counts, passed_at)
        is_silent = now - self._silent_at < _SILENCES_APART
        self.windows.watch(is_silent or not self.paces.are_established)
        self._crossings.add(crossing)
        pace = episode.pace
        if pace is not None and pace in self.paces:
            better = self._crossings.better_unit(pace.unit)
            if better is not None:
                rate, amount = self._crossings.recent_line(better)
                self.paces.change_unit(pace, better, rate, amount, self.sums, now)

    # For others.

    def memory(self, now: float) -> dict[str, float]:
        return self.paces.memory() | self.windows.memory(now)

    def recall(self, memory: Mapping[str, float], remembered_at: float) -> None:
        """
        Raises:
            KeyError, ValueError: ``memory`` is of something else.
        """
        self.paces.recall(memory, remembered_at)
        self.windows.recall(memory, remembered_at)

    def time_until(self, ahead: Backlog, demand: Demand, now: float) -> float:
        """Seconds until ``demand`` may pass, if ``ahead`` passes before it."""
        pause = max(0.0, self.paused_until - now)
        window = self.windows.window
        if window is not None:
            return max(pause, window.time_until(ahead, demand, now))
        return max(pause, self.paces.time_until(ahead, demand, now))

    def fullness(self, now: float) -> float:
        """How much of the limit is left, from 0 to 1."""
        window = self.windows.window
        return self.paces.fullness(now) if window is None else window.fullness(now)

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        window = self.windows.window
        known: dict[str, float | int | str | None] = {"per_minute": None}
        if window is None:
            known |= self.paces.per_minute()
        else:
            known |= {"limit": round(window.limit, 3), "window_seconds": window.seconds}
        return known | {"paused_for_seconds": round(max(0.0, self.paused_until - now), 3)}
