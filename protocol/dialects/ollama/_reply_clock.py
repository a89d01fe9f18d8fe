"""Times in answers: when they were written, and how long the phases took."""

from __future__ import annotations

from datetime import UTC, datetime

from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.jsontext import JsonObject

_NS_PER_SECOND = 1_000_000_000
_NS_PER_MICROSECOND = 1_000


def rfc3339(seconds: int, *, nanoseconds: int = 0) -> str:
    """A Unix time in UTC, with microseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    microseconds = nanoseconds // _NS_PER_MICROSECOND
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds:06d}Z"


def unix_seconds(text: str) -> int:
    """An RFC 3339 time as Unix seconds; 0 where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp()))
    except (ValueError, OverflowError):
        return 0


class ReplyClock:
    """The times of one answer, counted from the arrival of its request."""

    def __init__(self, context: ReplyContext) -> None:
        self._created = context.created
        self._elapsed_ns = context.elapsed_ns
        self._first_content_ns: int | None = None

    def created_at(self) -> str:
        """Now, as every line of an answer states it."""
        seconds, nanoseconds = divmod(max(0, self._elapsed_ns()), _NS_PER_SECOND)
        return rfc3339(self._created + seconds, nanoseconds=nanoseconds)

    def content_came(self) -> None:
        """To be called with the first content, and harmless later."""
        if self._first_content_ns is None:
            self._first_content_ns = self._elapsed_ns()

    def durations(self) -> JsonObject:
        """Nanoseconds. What came before the first content counts as reading the prompt; an answer
        whose first content was not seen counts as writing throughout."""
        total = max(1, self._elapsed_ns())
        prompt = min(self._first_content_ns or 0, total)
        return {
            "total_duration": total,
            "load_duration": 0,
            "prompt_eval_duration": prompt,
            "eval_duration": total - prompt,
        }
