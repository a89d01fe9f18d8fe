"""The canonical answer: as a stream of events, and whole.

An answer is a list of parts. In a stream each part is started, fed by deltas and stopped under an
index of its own; parts may be open at the same time (some servers interleave the fragments of
parallel tool calls). Order of a well-formed stream::

    Start (PartStart Delta* PartStop)* UsageReport? Finish

An ``Aside`` may come anywhere between, and ``UsageReport`` at any point after ``Start``; a later
report replaces an earlier one. A stream that fails ends with ``StreamError`` instead of ``Finish``.
A stream that just ends has failed too: decoders then say so with a ``StreamError``, they never make
up a ``Finish``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.requests import Extras, Opaque, Refusal, Text, Thinking, ToolCall


class FinishReason(StrEnum):
    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    """Refused, or cut by a content filter."""
    PAUSE = "pause"
    """Anthropic's ``pause_turn``: the provider wants the turn sent back to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one call. The total input is the sum of the three input counts."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    """Includes ``reasoning``."""
    reasoning: int = 0
    counted: bool = True
    """False: estimated here, because the provider reported nothing."""

    @property
    def input_total(self) -> int:
        return self.input_uncached + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        return self.input_total + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_uncached=self.input_uncached + other.input_uncached,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
            counted=self.counted and other.counted,
        )


def summed_usage(usages: Iterable[Usage | None]) -> Usage | None:
    """What several calls took together. None where there is no call, or one of them reported
    nothing: a sum without it would be wrong."""
    total: Usage | None = None
    for usage in usages:
        if usage is None:
            return None
        total = usage if total is None else total + usage
    return total


class PartKind(StrEnum):
    TEXT = "text"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"
    REFUSAL = "refusal"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The answer began. Carries what the upstream said of itself."""

    id: str
    """The upstream's own id of the answer, or "" where it gave none."""
    model: str
    created: int
    """Unix seconds; 0 where the upstream did not say."""
    usage: Usage | None = None
    """Counts known at the start (Anthropic's ``message_start``)."""
    extras: Extras = field(default_factory=dict, compare=False)
    """Raw fields of the whole answer that were known at its start, as in ``ChatResponse``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStart:
    """``index`` counts the parts of the answer from 0, in the order in which they began."""

    index: int
    kind: PartKind
    call_id: str = ""
    """With TOOL_CALL, and only then."""
    call_name: str = ""
    redacted: str | None = None
    """With THINKING: the opaque data of a redacted block, which has no deltas."""
    opaque: Opaque | None = None
    """With OPAQUE, and only then."""
    extras: Extras = field(default_factory=dict, compare=False)
    """Raw fields that the part began with. With THINKING the key of a dialect says whose signature
    or redacted data it carries."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of a TEXT or REFUSAL part."""

    index: int
    text: str
    """May be empty where there is something to say about what was said."""
    extras: Extras | None = field(default=None, compare=False)
    """Raw fields that came with it: log probabilities, a citation. Those of all deltas of a part
    add up (see ``assembly.summed_extras``) to raw fields of the part."""


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class SignatureDelta:
    """The signature of a THINKING part; at most once, before its stop."""

    index: int
    signature: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More JSON text of a TOOL_CALL part's arguments."""

    index: int
    json: str


@dataclass(frozen=True, slots=True)
class PartStop:
    index: int
    extras: Extras = field(default_factory=dict, compare=False)
    """Raw fields of the part that were only known at its end; added to those it began with."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Raw fields that came in a stream by themselves and belong to no part: a piece of sound, what
    a server says of its work. All of them add up to raw fields of the whole answer."""

    extras: Extras
    is_content: bool = False
    """It says something of the answer itself."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    reason: FinishReason
    stop_sequence: str | None = None
    extras: Extras = field(default_factory=dict, compare=False)
    """Raw fields of the whole answer that were only known at its end; added to those of its
    ``Start``."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """The stream failed; nothing follows."""

    error: ApiError
    status: int | None = None
    """The HTTP status that this error would have had before the stream, where it says so
    (Anthropic's ``overloaded_error`` is 529)."""


StreamEvent: TypeAlias = (
    Start
    | PartStart
    | TextDelta
    | ThinkingDelta
    | SignatureDelta
    | ArgumentsDelta
    | PartStop
    | Aside
    | UsageReport
    | Finish
    | StreamError
)


def is_content(event: StreamEvent) -> bool:
    """Whether ``event`` tells the client something of the answer itself, so that the call can't
    be made again without the client noticing."""
    match event:
        case TextDelta(text=text) | ThinkingDelta(text=text):
            return bool(text)
        case ArgumentsDelta() | SignatureDelta():
            return True
        case PartStart(kind=kind):
            return kind in (PartKind.TOOL_CALL, PartKind.OPAQUE)
        case Aside():
            return event.is_content
        case _:
            return False


AnswerPart: TypeAlias = Text | Thinking | ToolCall | Refusal | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """A whole answer."""

    id: str
    model: str
    created: int
    parts: tuple[AnswerPart, ...]
    finish: FinishReason
    stop_sequence: str | None = None
    usage: Usage | None = None
    extras: Extras = field(default_factory=dict)
