"""Reading the answers of an Ollama server: whole, and as streams of lines."""

from __future__ import annotations

from hashlib import sha256

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
    ChatResponse,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Extras
from forebay.protocol.dialects.base import StreamDecoder
from forebay.protocol.dialects.ollama._answer_shapes import AnswerShape, NotAnAnswer, SaidCall
from forebay.protocol.dialects.ollama._error_texts import stream_error
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.ollama._reply_clock import unix_seconds
from forebay.protocol.framing import FrameTooLong, LineFramer
from forebay.protocol.jsontext import InvalidJson, JsonObject, is_writable, loads_object

_FINISH_OF_REASON = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
    "sensitive": FinishReason.REFUSAL,
}
_LOADED_REASONS = frozenset({"load", "unload"})
"""Nothing was asked of the model."""
_FAILED_REASONS = frozenset({"abort", "error", "network_error"})


class AnswerReader:
    """Turns the objects of one answer into events, and knows when the answer has ended."""

    def __init__(self, shape: AnswerShape) -> None:
        self._shape = shape
        self._started = False
        self._parts = 0
        self._open: PartKind | None = None
        self._salt = ""
        self._call_ids: set[str] = set()
        self.ended = False
        self.failed = False
        """It ended with what is no answer. An error that the server tells is one."""

    def read(self, line: JsonObject) -> list[StreamEvent]:
        """The events that one line says; none after the end."""
        if self.ended:
            return []
        error = line.get("error")
        if error:
            self.ended = True
            return [StreamError(stream_error(error))]
        try:
            said = self._shape.read(line)
        except NotAnAnswer as fault:
            return self.fail(f"the upstream's answer is not of Ollama's API: {fault}")
        events: list[StreamEvent] = []
        self._start(line, events)
        ends = line.get("done") is True
        rest = extras_of(said.rest)
        if rest and not ends and not said.content:
            events.append(Aside(rest))
        if said.thinking:
            index = self._part(PartKind.THINKING, events)
            events.append(ThinkingDelta(index, said.thinking))
        if said.content:
            index = self._part(PartKind.TEXT, events)
            events.append(TextDelta(index, said.content, rest if rest and not ends else None))
        for call in said.calls:
            self._call(call, events)
        if ends:
            self._finish(line, said.rest, events)
        return events

    def fail(self, message: str) -> list[StreamEvent]:
        """The end of an answer that can't be read on; nothing if it has ended before."""
        if self.ended:
            return []
        self.ended = self.failed = True
        return [StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message))]

    def _start(self, line: JsonObject, events: list[StreamEvent]) -> None:
        if self._started:
            return
        self._started = True
        model = line.get("model")
        created = line.get("created_at")
        self._salt = created if isinstance(created, str) else ""
        events.append(
            Start(
                id="",
                model=model if isinstance(model, str) else "",
                created=unix_seconds(self._salt),
            )
        )

    def _part(self, kind: PartKind, events: list[StreamEvent]) -> int:
        """The index of the open part, after opening one where it is not of this kind."""
        if self._open is not kind:
            self._close(events)
            events.append(PartStart(index=self._parts, kind=kind))
            self._open = kind
            self._parts += 1
        return self._parts - 1

    def _close(self, events: list[StreamEvent]) -> None:
        if self._open is not None:
            events.append(PartStop(self._parts - 1))
            self._open = None

    def _call(self, call: SaidCall, events: list[StreamEvent]) -> None:
        self._close(events)
        index = self._parts
        self._parts += 1
        events.append(
            PartStart(
                index=index,
                kind=PartKind.TOOL_CALL,
                call_id=self._call_id(call, index),
                call_name=call.name,
                extras=extras_of(call.rest),
            )
        )
        events.append(ArgumentsDelta(index, call.arguments))
        events.append(PartStop(index))

    def _call_id(self, call: SaidCall, index: int) -> str:
        """The server's id, or where it gives none (or one twice) an id from what is known of the
        call: the time of the answer makes it differ from those of earlier turns."""
        call_id = call.id
        if not call_id or call_id in self._call_ids:
            known = "\x00".join((self._salt, str(index), call.name, call.arguments))
            call_id = f"call_{sha256(known.encode('utf-8', 'replace')).hexdigest()[:24]}"
        self._call_ids.add(call_id)
        return call_id

    def _finish(self, line: JsonObject, rest: JsonObject, events: list[StreamEvent]) -> None:
        self._close(events)
        said = line.get("done_reason")
        reason = said if isinstance(said, str) else ""
        if reason in _FAILED_REASONS:
            events += self.fail(f"the upstream ended its answer with {reason!r}")
            return
        self.ended = True
        finish = _FINISH_OF_REASON.get(reason)
        if finish is None:
            # Ollama says "stop" after calls, too.
            finish = FinishReason.TOOL_CALLS if self._call_ids else FinishReason.END
        events.append(UsageReport(_usage(line)))
        if reason in _LOADED_REASONS:
            rest = {**rest, "done_reason": reason}
        events.append(Finish(reason=finish, extras=extras_of(rest)))


def extras_of(rest: JsonObject) -> Extras:
    """``extras`` that hold ``rest``, if it says anything that can be written again."""
    return {OLLAMA: rest} if rest and is_writable(rest) else {}


def _usage(line: JsonObject) -> Usage:
    """Ollama leaves out a counter that is zero; where both are missing nothing was counted."""
    names = ("prompt_eval_count", "eval_count")
    prompt, output = (_count(line, name) for name in names)
    return Usage(input_uncached=prompt, output=output, counted=any(name in line for name in names))


def _count(line: JsonObject, name: str) -> int:
    value = line.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value)
    return 0


class OllamaStreamDecoder(StreamDecoder):
    """Reads one stream of lines. Only ``done: true`` ends it well.

    Ollama's JavaScript client skips a line that is no JSON, and believes a ``done: true`` after
    it: so nothing from such a line on is to be passed on.
    """

    def __init__(self, shape: AnswerShape) -> None:
        self._framer = LineFramer()
        self._reader = AnswerReader(shape)

    def feed(self, data: bytes) -> list[StreamEvent]:
        self.unreadable = 0
        if self._reader.ended:
            return []
        try:
            lines = self._framer.feed(data)
        except FrameTooLong as fault:
            self.unreadable = len(data)
            return self._reader.fail(str(fault))
        events: list[StreamEvent] = []
        for number, line in enumerate(lines):
            events += self._read(line)
            if self._reader.failed:
                self.unreadable = len(data) - (self._framer.ends[number - 1] if number else 0)
                break
        return events

    def close(self) -> list[StreamEvent]:
        if self._reader.ended:
            return []
        try:
            lines = self._framer.close()
        except FrameTooLong as fault:
            return self._reader.fail(str(fault))
        events = [event for line in lines for event in self._read(line)]
        return events + self._reader.fail(
            "the upstream's stream ended before its answer was complete"
        )

    def _read(self, line: bytes) -> list[StreamEvent]:
        try:
            return self._reader.read(loads_object(line))
        except InvalidJson as fault:
            return self._reader.fail(f"a line of the upstream's stream is no JSON: {fault}")


def decode_whole(shape: AnswerShape, body: JsonObject) -> ChatResponse:
    """Raises:
    ApiFailure: UPSTREAM_ERROR, the body is no complete answer; or the error that it carries.
    """
    return assemble(AnswerReader(shape).read(body))
