"""Z.ai, in OpenAI's style and beside it in Anthropic's, with the coding plan at a base URL of its
own.

Its limits are told by codes in the body, without any header: a code says whether too much was asked
at once, whether the service itself is overloaded, or whether a quota is spent.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT, OPENAI_EMBEDDINGS
from forebay.protocol.providers.base import (
    CallFailure,
    FailedAnswer,
    FailureKind,
    KnownAs,
    Notes,
    Probe,
    ProviderProfile,
)
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import Quantity
from forebay.protocol.providers.limits.refusals import spent_window
from forebay.protocol.providers.waits import answered_at

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
_LIMITS = {
    "1302": LimitHint(kind=HintKind.CONCURRENCY),
    "1303": LimitHint(kind=HintKind.RATE, quantity=Quantity.REQUESTS),
    "1304": LimitHint(kind=HintKind.SPENT_UNTIL, window=86400.0),
    "1308": LimitHint(kind=HintKind.SPENT_UNTIL),
    "1310": LimitHint(kind=HintKind.SPENT_UNTIL),
}
_ERRORS = {
    "1211": ErrorKind.MODEL_NOT_FOUND,
    "1261": ErrorKind.CONTEXT_OVERFLOW,
}
"""What the client is told, where the status says less."""
_BRACKETED_CODE = re.compile(r"\[(1\d{3})\]")
"""Where another dialect's error holds it."""
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_BEIJING = timezone(timedelta(hours=8))


def classify(answer: FailedAnswer) -> CallFailure:
    """By the code; what has none that tells of limits, by status."""
    failure = classify_by_status(answer)
    code = _code(answer)
    kind = _KINDS.get(code)
    if kind is None:
        told = _ERRORS.get(code)
        return failure if told is None else replace(failure, error=replace(answer.error, kind=told))
    limit = _LIMITS.get(code)
    if kind is not FailureKind.QUOTA_SPENT:
        wait = failure.retry_after if failure.retry_after is not None else failure.resets_in
        return replace(failure, kind=kind, retry_after=wait, resets_in=None, limit=limit)
    if limit is not None and limit.window is None:
        limit = replace(limit, window=spent_window(answer.error.message))
    return replace(failure, kind=kind, retry_after=None, resets_in=_resets_in(answer), limit=limit)


def _code(answer: FailedAnswer) -> str:
    if answer.error.code in _KINDS or answer.error.code in _ERRORS:
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
    now = answered_at(answer.headers, answer.now)
    return max(0.0, moment.replace(tzinfo=_BEIJING).timestamp() - now)


PROFILE = ProviderProfile(
    kind="zai",
    known_as=KnownAs(prices="zai", capabilities="zai"),
    notes=Notes(
        title="Z.ai",
        limits=(
            "codes in the bodies of refusals: calls at the same time, calls in a window, a quota "
            "of hours or days with its end, a plan that has run out. Answers tell nothing."
        ),
        lossy=(
            "`tool_choice` is taken as `auto`, whatever it says.",
            "A JSON schema is not forced; only JSON is.",
            "A temperature of 0 is said as `do_sample: false`.",
        ),
        remarks=(
            "The coding plan is at `base_url: https://api.z.ai/api/coding/paas/v4`; a key of "
            "one plan has no balance at the other.",
            "The listing is not complete: models that it leaves out can be asked for all the same.",
        ),
    ),
    default_base_url="https://api.z.ai/api/paas/v4",
    other_base_paths=("/api/coding/paas/v4",),
    paths={
        OPENAI_CHAT: "/chat/completions",
        ANTHROPIC_MESSAGES: "/v1/messages",
        OPENAI_EMBEDDINGS: "/embeddings",
    },
    bases={ANTHROPIC_MESSAGES: "/api/anthropic"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    probe=Probe(path="/models"),
    traits=UpstreamTraits(takes_zero_temperature=False),
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
)
