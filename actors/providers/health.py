"""Finding out for nothing whether servers that have failed work again.

Health is passive: calls show it. Only where calls have failed, the server is asked a free question
(:class:`~forebay.protocol.providers.base.Probe`) in growing pauses, until it answers well; the
gates of :mod:`forebay.actors.scheduling.recovery` make use of what it says. No client's request is
spent on that, and nothing is asked of a server that has not failed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Final
from weakref import WeakSet

import trio

from forebay.actors.scheduling.backoff import Backoff
from forebay.actors.scheduling.recovery import Recovery

_log = logging.getLogger("forebay.provider")

FIRST_PAUSE: Final = 0.5
"""Seconds to the second question, at most; from then on twice as many."""
LONGEST_PAUSE: Final = 10.0
"""While somebody waits."""
LONGEST_IDLE_PAUSE: Final = 60.0
"""While nobody does."""
_SOONEST: Final = 1.0
"""However many calls fail meanwhile."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a question has found."""

    is_well: bool
    detail: str
    """One line, for operators."""
    answers: bool = True
    """There was an answer, good or bad."""


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """The last question to one host, for operators."""

    host: str
    ok: bool
    detail: str
    seconds_ago: float
    asking: bool
    """It is asked again until it is well."""


class Health:
    """Of the hosts of one provider."""

    def __init__(
        self,
        provider: str,
        probe: Callable[[str], Awaitable[Finding]],
        random: Random,
        *,
        anybody_waits: Callable[[], bool],
        returned: Callable[[], None],
    ) -> None:
        """
        Args:
            probe: asks a host, by its base URL. Never raises but what is a fault of the program.
            anybody_waits: whether somebody waits for this provider.
            returned: called when a host is found well, after its gates were told.
        """
        self._provider = provider
        self._probe = probe
        self._random = random
        self._anybody_waits = anybody_waits
        self._returned = returned
        self._doubts: dict[str, set[Recovery]] = {}
        """By host."""
        self._found: dict[str, tuple[float, Finding]] = {}
        self._gates: dict[str, WeakSet[Recovery]] = {}
        self._rang = trio.Event()
        self._runs = False

    def watch(self, host: str, gate: Recovery) -> None:
        """Find out about ``host`` whenever ``gate`` is in doubt."""

        def doubt() -> bool:
            self._doubts.setdefault(host, set()).add(gate)
            self._rang.set()
            return self._runs

        gate.in_doubt = doubt
        self._gates.setdefault(host, WeakSet()).add(gate)

    def keep_only(self, hosts: Collection[str]) -> None:
        """There are no others any more: forget them, and ask them nothing."""
        for known in (self._doubts, self._found, self._gates):
            for host in known.keys() - hosts:
                del known[host]

    def status(self, now: float) -> tuple[ProbeStatus, ...]:
        """Of the hosts that were ever asked."""
        return tuple(
            ProbeStatus(
                host=host,
                ok=finding.is_well,
                detail=finding.detail,
                seconds_ago=round(now - at, 3),
                asking=host in self._doubts,
            )
            for host, (at, finding) in self._found.items()
        )

    async def find_out(self, host: str) -> Finding:
        """Ask a host that nobody doubts. If it is not well, calls are held back until it is. The
        caller is to tell of it."""
        finding = await self._probe(host)
        now = trio.current_time()
        self._found[host] = now, finding
        if not finding.is_well:
            for gate in self._gates.get(host, ()):
                gate.suspect(now, answers=finding.answers)
        return finding

    async def run(self) -> None:
        """Ask those that are in doubt, until cancelled. Sleeps while none is."""
        watched: dict[str, trio.Event] = {}
        self._runs = True
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._rang = rang = trio.Event()
                    for host in self._doubts:
                        if host in watched:
                            watched[host].set()
                        else:
                            watched[host] = trio.Event()
                            nursery.start_soon(self._watch, host, watched)
                    await rang.wait()
        finally:
            self._runs = False

    async def _watch(self, host: str, watched: dict[str, trio.Event]) -> None:
        await self._ask_until_well(host, watched)
        del watched[host]

    async def _ask_until_well(self, host: str, watched: dict[str, trio.Event]) -> None:
        backoff = Backoff(initial=FIRST_PAUSE, cap=LONGEST_IDLE_PAUSE, random=self._random)
        while doubts := self._doubts_of(host):
            finding = await self._probe(host)
            if host not in self._doubts:
                return
            now = trio.current_time()
            self._note(host, finding, now)
            doubts |= self._doubts_of(host)
            if finding.is_well:
                del self._doubts[host]
                for gate in doubts:
                    gate.is_well(now)
                self._returned()
                return
            for gate in doubts:
                gate.is_unwell(now, answers=finding.answers)
            longest = LONGEST_PAUSE if self._anybody_waits() else LONGEST_IDLE_PAUSE
            pause = min(backoff.next(), longest)
            watched[host] = called = trio.Event()
            await trio.sleep(min(pause, _SOONEST))
            with trio.move_on_after(pause - min(pause, _SOONEST)):
                await called.wait()
        if self._doubts.pop(host, None) is not None:
            self._note(host, Finding(True, "calls are served"), trio.current_time())

    def _doubts_of(self, host: str) -> set[Recovery]:
        return {gate for gate in self._doubts.get(host, ()) if gate.trouble is not None}

    def _note(self, host: str, finding: Finding, now: float) -> None:
        before = self._found.pop(host, None)
        self._found[host] = (now, finding)
        if before is not None and before[1].is_well == finding.is_well:
            return
        if finding.is_well and before is not None:
            _log.info("provider %s: %s is well again: %s", self._provider, host, finding.detail)
        elif not finding.is_well:
            _log.warning("provider %s: %s is not well: %s", self._provider, host, finding.detail)
