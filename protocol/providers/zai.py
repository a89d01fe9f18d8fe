"""Z.ai's API in OpenAI's style.

Its limits are told by codes in the body, without any header: a code says whether too much was asked
at once, whether the service itself is overloaded, or whether a quota is spent.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

_KINDS = {
    "1302": FailureKind.RATE_LIMITED,  # too many calls at once
    "1303": FailureKind.RATE_LIMITED,  # too many calls in a short time
    "1305": FailureKind.OVERLOADED,
    "1304": FailureKind.QUOTA_SPENT,  # of the day
    "1308": FailureKind.QUOTA_SPENT,  # of a window, whose end the message tells
    "1310": FailureKind.QUOTA_SPENT,  # of the week or the month
    "1309": FailureKind.QUOTA_SPENT,  # the plan has expired
    "1113": FailureKind.QUOTA_SPENT,  # no balance
    "1313": FailureKind.QUOTA_SPENT,  # fair use
}
_BRACKETED_CODE = re.compile(r"\[(1\d{3})\]")
"""Where another dialect's error holds it."""
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_BEIJING = timezone(timedelta(hours=8))


def classify(answer: FailedAnswer) -> CallFailure:
    """By the code; what has none that tells of limits, by status."""
    failure = classify_by_status(answer)
    kind = _KINDS.get(_code(answer))
    if kind is None:
        return failure
    if kind is not FailureKind.QUOTA_SPENT:
        wait = failure.retry_after if failure.retry_after is not None else failure.resets_in
        return replace(failure, kind=kind, retry_after=wait, resets_in=None)
    return replace(failure, kind=kind, retry_after=None, resets_in=_resets_in(answer))


def _code(answer: FailedAnswer) -> str:
    if answer.error.code in _KINDS:
        return answer.error.code
    bracketed = _BRACKETED_CODE.search(answer.error.message)
    return "" if bracketed is None else bracketed[1]


def _resets_in(answer: FailedAnswer) -> float | None:
    """Seconds until the time that the message prints, which is China's."""
    printed = _LOCAL_TIME.search(answer.error.message)
    if printed is None:
        return None
    try:
        moment = datetime.fromisoformat(printed[0])
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=_BEIJING).timestamp() - answer.now)


PROFILE = ProviderProfile(
    kind="zai",
    default_base_url="https://api.z.ai/api/paas/v4",
    paths={OPENAI_CHAT: "/chat/completions"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    traits=UpstreamTraits(takes_zero_temperature=False),
)
