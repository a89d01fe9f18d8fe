"""Between an answer as events and the same answer whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import (
    AnswerPart,
    ArgumentsDelta,
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
    Extras,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)


@dataclass(slots=True)
class _OpenPart:
    start: PartStart
    fragments: list[str] = field(default_factory=list)
    signature: str | None = None
    late_extras: Extras = field(default_factory=dict)

    def finished(self) -> AnswerPart:
        text = "".join(self.fragments)
        extras = _joined(self.start.extras, self.late_extras)
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


def _joined(early: Extras, late: Extras) -> Extras:
    if not late:
        return early
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
            case TextDelta() | ThinkingDelta():
                self._parts[event.index].fragments.append(event.text)
            case ArgumentsDelta():
                self._parts[event.index].fragments.append(event.json)
            case SignatureDelta():
                self._parts[event.index].signature = event.signature
            case PartStop():
                self._parts[event.index].late_extras = event.extras
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
        )


def assemble(events: Iterable[StreamEvent]) -> ChatResponse:
    """A whole answer from all its events; raises as :class:`ResponseAssembler` does."""
    assembler = ResponseAssembler()
    for event in events:
        assembler.add(event)
    return assembler.response()


def events_of(response: ChatResponse) -> Iterator[StreamEvent]:
    """The shortest stream that says what ``response`` says."""
    yield Start(id=response.id, model=response.model, created=response.created)
    for index, part in enumerate(response.parts):
        yield from _events_of_part(index, part)
        yield PartStop(index, {} if isinstance(part, Opaque) else part.extras)
    if response.usage is not None:
        yield UsageReport(response.usage)
    yield Finish(reason=response.finish, stop_sequence=response.stop_sequence)


def _events_of_part(index: int, part: AnswerPart) -> Iterator[StreamEvent]:
    match part:
        case Text(text=text):
            yield PartStart(index=index, kind=PartKind.TEXT)
            yield TextDelta(index, text)
        case Refusal(text=text):
            yield PartStart(index=index, kind=PartKind.REFUSAL)
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
                index=index, kind=PartKind.TOOL_CALL, call_id=part.id, call_name=part.name
            )
            yield ArgumentsDelta(index, part.arguments)
        case Opaque():
            yield PartStart(index=index, kind=PartKind.OPAQUE, opaque=part)
        case _:
            assert_never(part)
