"""Between an answer as events and the same answer whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import (
    AnswerPart,
    ArgumentsDelta,
    Aside,
    ChatResponse,
    Finish,
    PartKind,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import (
    Dialect,
    Extras,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.jsontext import JsonObject, is_writable

_GROWING = frozenset({"data", "transcript", "text", "summary", "content"})
"""Raw texts that streams say piece by piece: sound and what is said in it, reasoning's details."""


@dataclass(slots=True)
class _OpenPart:
    start: PartStart
    fragments: list[str] = field(default_factory=list)
    signature: str | None = None
    pieces: list[Extras] = field(default_factory=list)
    """Raw fields that came with its deltas."""
    late_extras: Extras = field(default_factory=dict)

    def finished(self) -> AnswerPart:
        text = "".join(self.fragments)
        extras = joined_extras(
            joined_extras(self.start.extras, summed_extras(self.pieces)), self.late_extras
        )
        match self.start.kind:
            case PartKind.TEXT:
                return Text(text, extras)
            case PartKind.REFUSAL:
                return Refusal(text, extras)
            case PartKind.THINKING:
                return Thinking(
                    text=text,
                    signature=self.signature,
                    redacted=self.start.redacted,
                    extras=extras,
                )
            case PartKind.TOOL_CALL:
                return ToolCall(
                    id=self.start.call_id, name=self.start.call_name, arguments=text, extras=extras
                )
            case PartKind.OPAQUE:
                assert self.start.opaque is not None
                return self.start.opaque
            case _:
                assert_never(self.start.kind)


def summed_extras(pieces: Iterable[Extras]) -> Extras:
    """Raw fields that came in pieces, put together as clients do it: lists and what is known to be
    streamed grow, objects are added to field by field; of all else the last word stands."""
    known: dict[Dialect, JsonObject] = {}
    for piece in pieces:
        for dialect, raw in piece.items():
            _add_fields(known.setdefault(dialect, {}), raw)
    return known


def _add_fields(known: JsonObject, more: JsonObject) -> None:
    for name, value in more.items():
        match known.get(name), value:
            case dict() as before, dict():
                _add_fields(before, value)
            case list() as before, list():
                before += value
            case _, dict():
                copied: JsonObject = {}
                _add_fields(copied, value)
                known[name] = copied
            case _, list():
                known[name] = [*value]
            case str() as before, str() if name in _GROWING:
                known[name] = before + value
            case _, None:
                known.setdefault(name, None)
            case _:
                known[name] = value


def joined_extras(early: Extras, late: Extras) -> Extras:
    """Raw fields that were known at the start and at the end; these come before those."""
    if not early or not late:
        return late or early
    return {
        dialect: {**early.get(dialect, {}), **late.get(dialect, {})}
        for dialect in {**early, **late}
    }


class ResponseAssembler:
    """Collects the events of one answer into a :class:`ChatResponse`."""

    def __init__(self) -> None:
        self._start: Start | None = None
        self._parts: dict[int, _OpenPart] = {}
        self._usage: Usage | None = None
        self._asides: list[Extras] = []
        self._finish: Finish | None = None

    def add(self, event: StreamEvent) -> None:
        """Take in the next event.

        Raises:
            ApiFailure: the event is a :class:`StreamError`.
        """
        match event:
            case Start():
                self._start = event
                self._usage = event.usage
            case PartStart():
                self._parts[event.index] = _OpenPart(event)
            case TextDelta():
                part = self._parts[event.index]
                part.fragments.append(event.text)
                if event.extras:
                    part.pieces.append(event.extras)
            case ThinkingDelta():
                self._parts[event.index].fragments.append(event.text)
            case ArgumentsDelta():
                self._parts[event.index].fragments.append(event.json)
            case SignatureDelta():
                self._parts[event.index].signature = event.signature
            case PartStop():
                self._parts[event.index].late_extras = event.extras
            case Aside():
                self._asides.append(event.extras)
            case UsageReport():
                self._usage = event.usage
            case Finish():
                self._finish = event
            case StreamError():
                raise ApiFailure(event.error)
            case _:
                assert_never(event)

    def response(self) -> ChatResponse:
        """The whole answer.

        Raises:
            ApiFailure: the stream ended before its ``Finish``.
        """
        if self._start is None or self._finish is None:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.UPSTREAM_ERROR,
                    message="the upstream's answer ended before it was complete",
                )
            )
        return ChatResponse(
            id=self._start.id,
            model=self._start.model,
            created=self._start.created,
            parts=tuple(self._parts[index].finished() for index in sorted(self._parts)),
            finish=self._finish.reason,
            stop_sequence=self._finish.stop_sequence,
            usage=self._usage,
            extras=joined_extras(
                joined_extras(self._start.extras, summed_extras(self._asides)), self._finish.extras
            ),
        )


def assemble(events: Iterable[StreamEvent]) -> ChatResponse:
    """A whole answer from all its events; raises as :class:`ResponseAssembler` does."""
    assembler = ResponseAssembler()
    for event in events:
        assembler.add(event)
    return assembler.response()


def events_of(response: ChatResponse) -> Iterator[StreamEvent]:
    """The shortest stream that says what ``response`` says."""
    extras = _writable(response.extras)
    yield Start(id=response.id, model=response.model, created=response.created, extras=extras)
    for index, part in enumerate(response.parts):
        yield from _events_of_part(index, part)
        yield PartStop(index, {} if isinstance(part, Opaque) else _writable(part.extras))
    if response.usage is not None:
        yield UsageReport(response.usage)
    yield Finish(reason=response.finish, stop_sequence=response.stop_sequence, extras=extras)


def _writable(extras: Extras) -> Extras:
    """Without what an upstream has nested too deeply for it to be written again."""
    return {dialect: raw for dialect, raw in extras.items() if not raw or is_writable(raw)}


def _events_of_part(index: int, part: AnswerPart) -> Iterator[StreamEvent]:
    match part:
        case Text(text=text):
            yield PartStart(index=index, kind=PartKind.TEXT, extras=_writable(part.extras))
            yield TextDelta(index, text)
        case Refusal(text=text):
            yield PartStart(index=index, kind=PartKind.REFUSAL, extras=_writable(part.extras))
            yield TextDelta(index, text)
        case Thinking():
            yield PartStart(
                index=index, kind=PartKind.THINKING, redacted=part.redacted, extras=part.extras
            )
            if part.redacted is None:
                yield ThinkingDelta(index, part.text)
                if part.signature is not None:
                    yield SignatureDelta(index, part.signature)
        case ToolCall():
            yield PartStart(
                index=index,
                kind=PartKind.TOOL_CALL,
                call_id=part.id,
                call_name=part.name,
                extras=_writable(part.extras),
            )
            yield ArgumentsDelta(index, part.arguments)
        case Opaque():
            yield PartStart(index=index, kind=PartKind.OPAQUE, opaque=part)
        case _:
            assert_never(part)
