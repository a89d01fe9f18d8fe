"""Simulated providers: what they take on, what they refuse, and how long their calls take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final

from forebay.actors.config import LimitSettings, ProviderSettings
from forebay.actors.scheduling.gates import Unit
from forebay.actors.simulation.allowances import Allowance, Slots, allowances_of
from forebay.actors.simulation.load import Change, Upstream
from forebay.actors.simulation.requests import Request
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.providers.base import CallFailure, FailureKind
from forebay.protocol.providers.limits.readings import LimitReading, Quantity, Refill, Scope

_QUANTITIES: Final = {
    Unit.REQUESTS: Quantity.REQUESTS,
    Unit.TOKENS: Quantity.TOKENS,
    Unit.INPUT_TOKENS: Quantity.INPUT_TOKENS,
    Unit.OUTPUT_TOKENS: Quantity.OUTPUT_TOKENS,
}
_CHANGEABLE: Final = ("rps", "rpm", "tpm", "itpm", "otpm")


@dataclass(frozen=True, slots=True)
class Reply:
    """What becomes of a call."""

    first_byte: float
    """Seconds after the call."""
    end: float
    failure: CallFailure | None = None
    """At the first byte."""


class SimulatedUpstream:
    """One provider."""

    def __init__(
        self, name: str, settings: ProviderSettings, load: Upstream | None, seed: int
    ) -> None:
        self.name = name
        load = load or Upstream()
        limits: LimitSettings = load if load.own_limits else settings.limits
        self.allowances = list(allowances_of("", limits))
        hosts = len(settings.hosts or ()) or 1
        self.slots = Slots("concurrency", inf if limits.concurrency is None else limits.concurrency)
        self.slots.limit *= hosts
        self._of_targets: dict[str, tuple[list[Allowance], Slots]] = {}
        for model_id, target in settings.targets.items():
            own = target.limits
            self._of_targets[model_id] = (
                list(allowances_of(f"{model_id}: ", own)),
                Slots(f"{model_id}: concurrency", own.concurrency or inf),
            )
        self._counted_slots = [slots for slots in self.all_slots if slots.limit < inf]
        self.changes: Sequence[Change] = sorted(load.changes, key=lambda change: change.at)
        self._first_byte = load.latency.first_byte_ms / 1000
        self._per_token = load.latency.ms_per_output_token / 1000
        self._refusal = load.latency.refusal_ms / 1000
        self._failure_rate = load.failure_rate
        self._tells = load.tells_limits
        self._says_when = load.retry_after
        self._random = Random(f"{seed}/upstream/{name}")
        self._at = 0.0
        self._seconds = 0.0
        self._waited = 0.0
        self._waits_since = -inf
        """When the first of those began to wait who wait now, until a call is taken."""
        self.waiting = 0
        """Jobs that wait for this provider, perhaps among others."""
        self.calls = 0
        self.refused = 0
        """By 429."""
        self.failed = 0
        self.tokens = 0

    @property
    def all_allowances(self) -> list[Allowance]:
        return [*self.allowances, *(one for own, _ in self._of_targets.values() for one in own)]

    @property
    def all_slots(self) -> list[Slots]:
        return [self.slots, *(slots for _, slots in self._of_targets.values())]

    # A call's life.

    def call(self, request: Request, model_id: str, now: float, *, waited: bool) -> Reply:
        """A call arrives, of a request that has waited for it or not."""
        self.calls += 1
        self._move_on(now)
        own = self._of_targets.get(model_id)
        slots = (self.slots,) if own is None else (self.slots, own[1])
        for each in slots:
            if each.taken >= each.limit:
                return self._refuse(None)
        tokens = request.input_tokens + request.output_tokens
        allowances = self.allowances if own is None else [*self.allowances, *own[0]]
        longest = 0.0
        for allowance in allowances:
            wait = allowance.wait_for(_amount(allowance.unit, request, tokens), now)
            if wait > longest:
                longest = wait
        if longest:
            return self._refuse(longest)
        waiting = self._waiting_before(now) if waited or self.waiting else None
        for each in slots:
            each.taken += 1
        if self._failure_rate and self._random.random() < self._failure_rate:
            self.failed += 1
            for allowance in allowances:
                if allowance.unit is Unit.REQUESTS:
                    allowance.take(1.0, now, while_waiting=waiting)
            return Reply(self._first_byte, self._first_byte, _broken())
        for allowance in allowances:
            amount = _amount(allowance.unit, request, tokens)
            allowance.take(amount, now, while_waiting=waiting)
        self.tokens += tokens
        end = self._first_byte + self._per_token * request.output_tokens
        return Reply(self._first_byte, end)

    def end(self, model_id: str, now: float) -> None:
        """A call that was not refused is over."""
        self._move_on(now)
        self.slots.taken -= 1
        own = self._of_targets.get(model_id)
        if own is not None:
            own[1].taken -= 1

    def _refuse(self, wait: float | None) -> Reply:
        self.refused += 1
        return Reply(self._refusal, self._refusal, _refused(wait if self._says_when else None))

    # Waiting, and what time allows.

    def begin_wait(self, now: float) -> None:
        """One more job waits that this provider may serve."""
        if not self.waiting:
            self._move_on(now)
            self._waits_since = now
        self.waiting += 1

    def _waiting_before(self, now: float) -> float:
        since, self._waits_since = self._waits_since, -inf
        return now - since

    def end_wait(self, now: float) -> None:
        if self.waiting == 1:
            self._move_on(now)
        self.waiting -= 1

    def _move_on(self, now: float) -> None:
        """Before anything changes: account for the time until ``now``."""
        passed = now - self._at
        if not passed:
            return
        self._at = now
        waiting = self.waiting > 0
        self._seconds += passed
        if waiting:
            self._waited += passed
        for slots in self._counted_slots:
            slots.account(passed, while_waiting=waiting)

    def account(self, now: float) -> None:
        """Bring all figures to ``now``."""
        self._move_on(now)
        for allowance in self.all_allowances:
            allowance.account(self._seconds, self._waited)
        self._seconds = self._waited = 0.0

    def change(self, change: Change, now: float) -> None:
        """From now on other limits hold."""
        self.account(now)
        for allowance in self.allowances:
            if allowance.name in _CHANGEABLE:
                limit = getattr(change, allowance.name)
                if limit is not None:
                    allowance.change(float(limit), now)
        if change.concurrency is not None:
            self.slots.limit = float(change.concurrency)
            if self.slots not in self._counted_slots:
                self._counted_slots.append(self.slots)

    def readings(self, now: float) -> tuple[LimitReading, ...]:
        """What an answer tells of the limits; nothing where the provider tells nothing."""
        if not self._tells:
            return ()
        return tuple(
            LimitReading(
                name=allowance.name,
                quantity=_QUANTITIES[allowance.unit],
                scope=Scope.ACCOUNT,
                refill=Refill.SMOOTH,
                limit=allowance.limit,
                remaining=float(int(allowance.left(now))),
                resets_in=allowance.resets_in(now),
                window=allowance.window,
            )
            for allowance in self.allowances
        )


def _amount(unit: Unit, request: Request, tokens: int) -> float:
    if unit is Unit.REQUESTS:
        return 1.0
    if unit is Unit.TOKENS:
        return tokens
    return request.input_tokens if unit is Unit.INPUT_TOKENS else request.output_tokens


def _refused(retry_after: float | None) -> CallFailure:
    return CallFailure(
        kind=FailureKind.RATE_LIMITED,
        error=ApiError(kind=ErrorKind.RATE_LIMITED, message="the simulated upstream refuses"),
        retry_after=retry_after,
    )


def _broken() -> CallFailure:
    return CallFailure(
        kind=FailureKind.SERVER_FAILED,
        error=ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="the simulated upstream failed"),
    )
