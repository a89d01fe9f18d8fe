"""What of a provider is out: its account or single targets, why, and until when.

The decision is taken here, from what a failed call told; the pool sees to it that nobody waits for
what is out, and the gates of :mod:`forebay.actors.scheduling.admission` that only one call tries
it again.
"""

from __future__ import annotations

import logging
from math import inf
from typing import Final

import trio

from forebay.actors.scheduling.admission import Admission, Exclusion
from forebay.actors.scheduling.gates import Call
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import PoolTarget
from forebay.protocol.providers.base import CallFailure, FailureKind

_log = logging.getLogger("forebay.provider")

_REASONS: Final = {
    FailureKind.KEY_REJECTED: "the provider rejects the key",
    FailureKind.QUOTA_SPENT: "the provider's quota is spent",
    FailureKind.TARGET_FORBIDDEN: "the key may not use this model",
}
_LONGEST_DETAIL: Final = 500


class Exclusions:
    """Of one provider."""

    def __init__(self, pool: Pool, account: Admission, *, one_account: bool) -> None:
        """
        Args:
            account: one of the gates of ``pool``.
            one_account: a key or a quota that fails for one target fails for all.
        """
        self._pool = pool
        self._account = account
        self._one_account = one_account
        self._targets: dict[PoolTarget, Admission] = {}
        self._next_trial = inf
        account.returned = lambda: _log.info("provider %s serves again", pool.name)

    def add_target(self, target: PoolTarget, admission: Admission) -> None:
        """``admission`` is one of the gates of ``target``."""
        self._targets[target] = admission
        name = f"{self._pool.name}/{target.name}"
        admission.returned = lambda: _log.info("target %s serves again", name)

    def forget_target(self, target: PoolTarget) -> None:
        del self._targets[target]

    @property
    def of_account(self) -> Exclusion | None:
        return self._account.exclusion

    def of_target(self, target: PoolTarget) -> Exclusion | None:
        """Its own, or that of the whole account."""
        return self._account.exclusion or self._targets[target].exclusion

    def react(self, failure: CallFailure, grant: Grant) -> None:
        """Take out what no waiting cures soon, if it is that by which the granted call failed."""
        reason = _REASONS.get(failure.kind)
        if reason is None:
            return
        target = grant.target
        account_wide = self._one_account and failure.kind is not FailureKind.TARGET_FORBIDDEN
        self.take_out(
            None if account_wide else target,
            reason,
            detail=failure.error.message[:_LONGEST_DETAIL],
            resets_in=failure.resets_in,
            call=grant.call,
        )

    def take_out(
        self,
        target: PoolTarget | None,
        reason: str,
        *,
        detail: str | None = None,
        resets_in: float | None = None,
        call: Call | None = None,
    ) -> None:
        """Take out ``target``, or the whole account; arguments as of :meth:`Admission.exclude`."""
        now = trio.current_time()
        admission = self._account if target is None else self._targets[target]
        exclusion = admission.exclude(reason, now, detail=detail, resets_in=resets_in, call=call)
        if exclusion is None:
            return
        if target is None:
            what = f"provider {self._pool.name}"
            self._pool.take_out_all(reason)
        else:
            what = f"target {self._pool.name}/{target.name}"
            self._pool.take_out(target, reason)
        pause = round(exclusion.until - now)
        words = "" if detail is None else f" ({detail!r})"
        _log.error("%s is out: %s%s; tried again in %d s", what, reason, words, pause)
        self._next_trial = min(self._next_trial, exclusion.until)
        self._pool.ring()

    def forgive(self) -> None:
        """The key is another one: nothing is out any more, and calls with the old one tell nothing
        of it."""
        now = trio.current_time()
        self._account.forgive(now)
        self._pool.out = None
        for target, admission in self._targets.items():
            admission.forgive(now)
            if target.out is not None:
                self._pool.bring_back(target)
        self._next_trial = inf

    def begin_trials(self, now: float) -> float:
        """Give another chance to what has been out for long enough.

        Returns:
            When to call again; ``inf`` while nothing is out.
        """
        if now < self._next_trial:
            return self._next_trial
        if _is_due(self._account, now):
            self._account.begin_trial()
            self._pool.out = None
        for target, admission in self._targets.items():
            if _is_due(admission, now):
                admission.begin_trial()
            if target.out is not None:
                self._show(target)
        exclusions = [each.exclusion for each in (self._account, *self._targets.values())]
        self._next_trial = min((each.until for each in exclusions if each is not None), default=inf)
        return self._next_trial

    def _show(self, target: PoolTarget) -> None:
        """Say of a target why it is out; or, if it is no longer, let all see it who wait."""
        exclusion = self.of_target(target)
        if exclusion is None:
            self._pool.bring_back(target)
        else:
            target.out = exclusion.reason


def _is_due(admission: Admission, now: float) -> bool:
    return admission.exclusion is not None and admission.exclusion.until <= now
