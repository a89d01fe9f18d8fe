"""Rate-limit headers as four providers write them, and ``retry-after``.

Formats: OpenAI (Go durations, time until full), Anthropic (RFC 3339, time until full), Together
(per second, seconds), OpenRouter (only on a refusal, epoch milliseconds).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from forebay.endpoints.sandbox._http import Header
from forebay.endpoints.sandbox._limits import BucketView, LimitView
from forebay.endpoints.sandbox._options import LimitHeaders


def limit_headers(
    kind: LimitHeaders, view: LimitView, *, wall: float, refused: bool
) -> list[Header]:
    """The headers that tell of the limits. ``wall`` is the epoch time in seconds."""
    match kind:
        case LimitHeaders.NONE:
            return []
        case LimitHeaders.OPENAI:
            return _openai(view)
        case LimitHeaders.ANTHROPIC:
            return _anthropic(view, wall)
        case LimitHeaders.TOGETHER:
            return _together(view)
        case LimitHeaders.OPENROUTER:
            return _openrouter(view, wall) if refused else []


def retry_after_headers(kind: LimitHeaders, retry_after: float) -> list[Header]:
    """``retry-after`` in whole seconds, at least 1; OpenAI's way adds the milliseconds."""
    headers = [(b"retry-after", b"%d" % max(1, _ceil(retry_after)))]
    if kind is LimitHeaders.OPENAI:
        headers.append((b"retry-after-ms", b"%d" % max(1, _ceil(retry_after * 1000))))
    return headers


def go_duration(seconds: float) -> str:
    """A duration as Go prints it, in milliseconds: ``12ms``, ``1s``, ``6m0s``, ``1h0m0.5s``."""
    ms = _ceil(seconds * 1000)
    if ms <= 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _ceil(amount: float) -> int:
    """Rounded up, but not for the sake of a rounding error."""
    return math.ceil(amount - 1e-6)


def _whole(amount: float) -> int:
    """What is left, in whole units; what lacks a billionth of one counts as one."""
    return math.floor(amount + 1e-9)


def _openai(view: LimitView) -> list[Header]:
    headers: list[Header] = []
    for name, bucket in ((b"requests", view.requests), (b"tokens", view.tokens)):
        if bucket is not None:
            headers += [
                (b"x-ratelimit-limit-" + name, b"%d" % round(bucket.per_second * 60)),
                (b"x-ratelimit-remaining-" + name, b"%d" % _whole(bucket.remaining)),
                (b"x-ratelimit-reset-" + name, go_duration(bucket.full_after).encode()),
            ]
    return headers


def _anthropic(view: LimitView, wall: float) -> list[Header]:
    headers: list[Header] = []
    for name, bucket in ((b"requests", view.requests), (b"tokens", view.tokens)):
        if bucket is not None:
            full_at = datetime.fromtimestamp(_ceil(wall + bucket.full_after), UTC)
            prefix = b"anthropic-ratelimit-" + name
            headers += [
                (prefix + b"-limit", b"%d" % round(bucket.per_second * 60)),
                (prefix + b"-remaining", b"%d" % _whole(bucket.remaining)),
                (prefix + b"-reset", full_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()),
            ]
    return headers


def _together(view: LimitView) -> list[Header]:
    headers: list[Header] = []
    for name, bucket in ((b"x-ratelimit", view.requests), (b"x-tokenlimit", view.tokens)):
        if bucket is not None:
            limit, remaining = _per_second(bucket), b"%d" % _whole(bucket.remaining)
            headers += [
                (name + b"-limit", limit),
                (name + b"-remaining", remaining),
                (name + b"-limit-dynamic", limit),
                (name + b"-remaining-dynamic", remaining),
            ]
    if view.requests is not None:
        seconds = f"{view.requests.full_after:.3f}".rstrip("0").rstrip(".")
        headers.append((b"x-ratelimit-reset", seconds.encode()))
    return headers


def _per_second(bucket: BucketView) -> bytes:
    return f"{bucket.per_second:.3f}".rstrip("0").rstrip(".").encode()


def _openrouter(view: LimitView, wall: float) -> list[Header]:
    bucket = view.requests or view.tokens
    if bucket is None:
        return []
    return [
        (b"x-ratelimit-limit", b"%d" % round(bucket.per_second * 60)),
        (b"x-ratelimit-remaining", b"%d" % _whole(bucket.remaining)),
        (b"x-ratelimit-reset", b"%d" % round((wall + bucket.full_after) * 1000)),
    ]
