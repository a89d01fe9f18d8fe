"""An upstream's event stream, read into canonical events.

Anthropic's own streams hold their blocks one after the other; nothing here depends on that, nor
on ``event:`` lines, whole ``usage`` objects or a closing ``message_stop``, since compatible
servers leave them out. What can't be understood without guessing ends the stream with an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
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
from forebay.protocol.canonical.requests import Extras, Opaque
from forebay.protocol.dialects.anthropic._answers import ANSWER_FIELDS, string_in
from forebay.protocol.dialects.anthropic._errors import read_error
from forebay.protocol.dialects.anthropic._names import ANTHROPIC
from forebay.protocol.dialects.anthropic._stop_reasons import (
    read_stop_reason,
    unknown_stop_reason,
)
from forebay.protocol.dialects.anthropic._tool_input import arguments_of
from forebay.protocol.dialects.anthropic._usage import USAGE_FIELDS, read_usage
from forebay.protocol.dialects.base import StreamDecoder
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.framing import DEFAULT_FRAME_LIMIT, FrameTooLong, SseEvent, SseFramer
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, is_writable, loads

_KIND_OF_BLOCK = {
    "text": PartKind.TEXT,
    "thinking": PartKind.THINKING,
    "redacted_thinking": PartKind.THINKING,
    "tool_use": PartKind.TOOL_CALL,
}

_KIND_OF_DELTA = {
    "text_delta": PartKind.TEXT,
    "thinking_delta": PartKind.THINKING,
    "signature_delta": PartKind.THINKING,
    "input_json_delta": PartKind.TOOL_CALL,
}


_SAID_BY_PARTS = {
    PartKind.TEXT: ("type", "text", "citations"),
    PartKind.THINKING: ("type", "thinking", "signature", "data"),
    PartKind.TOOL_CALL: ("type", "id", "name", "input"),
}
"""Fields of a block that its part, or what follows its start, holds."""


class _BrokenStream(Exception):
    """The upstream sent what is not its protocol; the message says what."""


@dataclass(slots=True)
class _Block:
    kind: PartKind
    part: int = -1
    """The index of its part; of an opaque block only known at its end."""
    raw: JsonObject = field(default_factory=dict)
    """The block as it began, of an opaque one."""
    input: JsonValue = None
    """The arguments that a call began with, which are void once fragments come."""
    fragments: list[str] = field(default_factory=list)
    """JSON fragments of an opaque block."""
    has_arguments: bool = False
    signature: str = ""


class AnthropicStreamDecoder(StreamDecoder):
    """Reads one stream of ``POST /v1/messages``."""

    def __init__(self) -> None:
        self._framer = SseFramer(bare_json=True)
        self._events: list[StreamEvent] = []
        self._blocks: dict[int, _Block] = {}
        self._last_index = -1
        self._parts = 0
        self._held_opaque = 0
        self._has_calls = False
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._stop_reason = ""
        self._stop_sequence: str | None = None
        self._raw_start_usage: JsonObject = {}
        self._raw_usage: JsonObject = {}
        self._raw_end: JsonObject = {}

    def feed(self, data: bytes) -> list[StreamEvent]:
        if self._ended:
            return []
        try:
            for frame in self._framer.feed(data):
                self._take_frame(frame)
        except (FrameTooLong, _BrokenStream) as fault:
            self._fail(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=str(fault)))
        return self._taken()

    def close(self) -> list[StreamEvent]:
        if self._ended:
            return []
        try:
            for frame in self._framer.close():
                if not _is_cut(frame):
                    self._take_frame(frame)
            self._finish()
        except (FrameTooLong, _BrokenStream) as fault:
            self._fail(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=str(fault)))
        return self._taken()

    def _taken(self) -> list[StreamEvent]:
        events, self._events = self._events, []
        return events

    def _take_frame(self, frame: SseEvent) -> None:
        if self._ended or frame.data.strip() in {b"", b"[DONE]"}:
            return
        event = _json_of(frame)
        if isinstance(event, dict):
            self._take_event(string_in(event, "type") or frame.name, event)
        elif frame.name == "error":
            self._fail_with(event)
        else:
            raise _BrokenStream("the upstream's stream has an event that is no JSON object")

    def _take_event(self, name: str, event: JsonObject) -> None:
        match name:
            case "message_start":
                self._start(_object_in(event, "message"))
            case "content_block_start":
                self._start_block(event)
            case "content_block_delta":
                self._take_delta(event)
            case "content_block_stop":
                self._stop_block(self._index_of(event))
            case "message_delta":
                self._take_message_delta(event)
            case "message_stop":
                self._finish()
            case "error":
                self._fail_with(event)
            case _ if event.get("error"):
                self._fail_with(event)
            case _:
                # ping, and events of the future
                pass

    def _start(self, message: JsonObject) -> None:
        # A second one would be a new answer within the old one's stream.
        if self._started:
            return
        self._started = True
        self._usage = read_usage(message.get("usage"))
        self._events.append(
            Start(
                id=string_in(message, "id"),
                model=string_in(message, "model"),
                created=0,
                usage=self._usage,
                extras=self._raw_start(message),
            )
        )

    def _raw_start(self, message: JsonObject) -> Extras:
        self._raw_start_usage = rest_of(_object_in(message, "usage"), USAGE_FIELDS)
        raw = rest_of(message, ANSWER_FIELDS)
        if self._raw_start_usage:
            raw["usage"] = self._raw_start_usage
        return _marked(raw)

    def _start_block(self, event: JsonObject) -> None:
        self._start({})
        index = self._index_of(event, following=True)
        self._stop_block(index)
        raw = _object_in(event, "content_block")
        kind = _KIND_OF_BLOCK.get(string_in(raw, "type"), PartKind.OPAQUE)
        block = self._open(index, kind, raw)
        match kind:
            case PartKind.TEXT:
                self._append_text(block, string_in(raw, "text"))
                citations = raw.get("citations")
                for citation in citations if isinstance(citations, list) else ():
                    self._cite(block, citation)
            case PartKind.THINKING:
                self._append_text(block, string_in(raw, "thinking"))
                block.signature = string_in(raw, "signature")
            case PartKind.TOOL_CALL:
                block.input = raw.get("input")
            case _:
                pass

    def _open(self, index: int, kind: PartKind, raw: JsonObject) -> _Block:
        block = _Block(kind)
        self._blocks[index] = block
        self._last_index = index
        if kind is PartKind.OPAQUE:
            block.raw = raw
            return block
        block.part = self._parts
        self._parts += 1
        is_call = kind is PartKind.TOOL_CALL
        self._has_calls = self._has_calls or is_call
        redacted = raw.get("type") == "redacted_thinking"
        self._events.append(
            PartStart(
                index=block.part,
                kind=kind,
                call_id=string_in(raw, "id") if is_call else "",
                call_name=string_in(raw, "name") if is_call else "",
                redacted=string_in(raw, "data") if redacted else None,
                extras=_raw_of_block(kind, raw),
            )
        )
        return block

    def _take_delta(self, event: JsonObject) -> None:
        self._start({})
        delta = _object_in(event, "delta")
        name = string_in(delta, "type")
        kind = _KIND_OF_DELTA.get(name)
        index = self._index_of(event)
        block = self._blocks.get(index)
        if name == "citations_delta":
            self._cite(block, delta.get("citation"))
            return
        if block is None:
            if kind not in {PartKind.TEXT, PartKind.THINKING}:
                if kind is None:
                    return
                raise _BrokenStream(f"the upstream's stream has a {name} without its block")
            # Some servers leave the start of a plain block out.
            block = self._open(index, kind, {})
        if block.kind is PartKind.OPAQUE:
            self._append_opaque(block, string_in(delta, "partial_json"))
            if name == "compaction_delta":
                self._append_compaction(block, delta)
            return
        if kind is None:
            return
        if kind is not block.kind:
            raise _BrokenStream(f"the upstream's stream has a {name} in a {block.kind} block")
        if name == "signature_delta":
            block.signature = string_in(delta, "signature") or block.signature
        elif kind is PartKind.TOOL_CALL:
            self._append_arguments(block, string_in(delta, "partial_json"))
        else:
            self._append_text(block, string_in(delta, kind))

    def _cite(self, block: _Block | None, citation: JsonValue) -> None:
        if block is None or block.kind is not PartKind.TEXT or not citation:
            return
        if extras := _marked({"citations": [citation]}):
            self._events.append(TextDelta(block.part, "", extras))

    def _append_text(self, block: _Block, text: str) -> None:
        if text:
            make = TextDelta if block.kind is PartKind.TEXT else ThinkingDelta
            self._events.append(make(block.part, text))

    def _append_arguments(self, block: _Block, fragment: str) -> None:
        if fragment:
            block.has_arguments = True
            self._events.append(ArgumentsDelta(block.part, fragment))

    def _append_opaque(self, block: _Block, fragment: str) -> None:
        self._held_opaque += len(fragment)
        if self._held_opaque > DEFAULT_FRAME_LIMIT:
            raise _BrokenStream("the upstream's stream has a content block that is too long")
        if fragment:
            block.fragments.append(fragment)

    def _append_compaction(self, block: _Block, delta: JsonObject) -> None:
        content = string_in(delta, "content")
        self._held_opaque += len(content)
        rest = rest_of(delta, ("type", "content"))
        block.raw = {**block.raw, **rest, "content": string_in(block.raw, "content") + content}

    def _stop_block(self, index: int) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.kind is PartKind.OPAQUE:
            self._emit_opaque(block)
            return
        if block.kind is PartKind.TOOL_CALL and not block.has_arguments:
            try:
                self._append_arguments(block, arguments_of(block.input or {}))
            except InvalidJson as fault:
                raise _BrokenStream(f"the upstream's tool input can't be read: {fault}") from None
        if block.signature:
            self._events.append(SignatureDelta(block.part, block.signature))
        self._events.append(PartStop(block.part))

    def _emit_opaque(self, block: _Block) -> None:
        raw = dict(block.raw)
        if block.fragments:
            try:
                raw["input"] = loads("".join(block.fragments))
            except InvalidJson:
                raise _BrokenStream("the upstream's tool input is no JSON") from None
            self._held_opaque -= sum(map(len, block.fragments))
        if not is_writable(raw):
            raise _BrokenStream("the upstream's stream has a block that is nested too deeply")
        opaque = Opaque(ANTHROPIC, raw)
        self._events.append(PartStart(index=self._parts, kind=PartKind.OPAQUE, opaque=opaque))
        self._events.append(PartStop(self._parts))
        self._parts += 1

    def _take_message_delta(self, event: JsonObject) -> None:
        self._start({})
        delta = _object_in(event, "delta")
        self._stop_reason = string_in(delta, "stop_reason") or self._stop_reason
        self._stop_sequence = string_in(delta, "stop_sequence") or self._stop_sequence
        # The last ones, so that a stream of them is not held as a whole.
        rest = {
            **rest_of(delta, ("stop_reason", "stop_sequence")),
            **rest_of(event, ("type", "delta", "usage")),
        }
        self._raw_end = rest or self._raw_end
        self._raw_usage = rest_of(_object_in(event, "usage"), USAGE_FIELDS) or self._raw_usage
        usage = read_usage(event.get("usage"), self._usage)
        if usage is not None and usage != self._usage:
            self._usage = usage
            self._events.append(UsageReport(usage))

    def _finish(self) -> None:
        """The stream is at its end, said or not; what counts is that it gave its reason."""
        if self._ended:
            return
        if not self._stop_reason:
            raise _BrokenStream("the upstream's stream ended before it was complete")
        finish = read_stop_reason(self._stop_reason, has_calls=self._has_calls)
        if finish is None:
            raise _BrokenStream(f"the upstream broke its answer off: {self._stop_reason}")
        for index in list(self._blocks):
            self._stop_block(index)
        self._ended = True
        raw: JsonObject = {**self._raw_end, **unknown_stop_reason(self._stop_reason)}
        if usage := {**self._raw_start_usage, **self._raw_usage}:
            raw["usage"] = usage
        self._events.append(
            Finish(reason=finish, stop_sequence=self._stop_sequence, extras=_marked(raw))
        )

    def _fail_with(self, event: JsonValue) -> None:
        read = read_error(event, None)
        self._fail(read.error, read.status)

    def _fail(self, error: ApiError, status: int | None = None) -> None:
        self._ended = True
        self._events.append(StreamError(error, status))

    def _index_of(self, event: JsonObject, *, following: bool = False) -> int:
        """The block's index; without one the last block, or the one ``following`` it."""
        index = event.get("index")
        if isinstance(index, int) and not isinstance(index, bool):
            return index
        return self._last_index + 1 if following else max(self._last_index, 0)


def _raw_of_block(kind: PartKind, raw: JsonObject) -> Extras:
    said = _marked(rest_of(raw, _SAID_BY_PARTS[kind]))
    # Thinking is marked as what came in this dialect, whatever it says.
    return said or {ANTHROPIC: {}} if kind is PartKind.THINKING else said


def _marked(raw: JsonObject) -> Extras:
    """``raw`` under the name of its dialect, if it says anything that can be written again."""
    said: JsonObject = {}
    for name, value in raw.items():
        if value is not None:
            said[name] = value
    return {ANTHROPIC: said} if said and is_writable(said) else {}


def _object_in(obj: JsonObject, name: str) -> JsonObject:
    value = obj.get(name)
    return value if isinstance(value, dict) else {}


def _json_of(frame: SseEvent) -> JsonValue:
    """The frame's data, or its bare text where that is no JSON."""
    try:
        return loads(frame.data)
    except InvalidJson:
        return frame.data.decode("utf-8", "replace")


def _is_cut(frame: SseEvent) -> bool:
    """Whether the last frame of a stream was cut off, so that it says nothing any more."""
    return not isinstance(_json_of(frame), dict)
