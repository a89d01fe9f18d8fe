"""Canonical events to the stream of a client.

The order of frames is OpenAI's: a chunk with the role, the deltas, a chunk with the finish reason,
the usage where the client asked for it, ``[DONE]``. All chunks carry the same id, time and model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
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
from forebay.protocol.canonical.requests import Opaque
from forebay.protocol.dialects.base import ReplyContext, StreamEncoder
from forebay.protocol.dialects.openai._error_encoding import encode_api_error
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import restored
from forebay.protocol.dialects.openai._stream_frames import (
    DONE,
    WHILE_QUEUED,
    WHILE_SILENT,
    framed,
)
from forebay.protocol.dialects.openai._usage import (
    encode_usage,
    estimated_usage,
    with_rest_of_usage,
)
from forebay.protocol.dialects.openai.chat._answer_decoding import is_call
from forebay.protocol.dialects.openai.chat._answer_encoding import answer_id, objects_of
from forebay.protocol.dialects.openai.chat._finish_reasons import encode_finish
from forebay.protocol.dialects.openai.chat._tools import speaks_functions
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import JsonObject, dumps

_OWN_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage"})
"""What raw fields never change."""


@dataclass(slots=True)
class _Call:
    number: int
    """Counts the calls of the answer from 0, which the index of the part does not."""
    raw: JsonObject
    """Raw fields that it began with."""
    written: bool = False
    """Whether any arguments went out."""


class ChatStreamEncoder(StreamEncoder):
    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._legacy = speaks_functions(context.request)
        self._wants_usage = context.request.stream_usage
        self._started = False
        self._ended = False
        self._head = b""
        self._identity: JsonObject = {}
        self._calls: dict[int, _Call] = {}
        self._call_count = 0
        self._refusals: set[int] = set()
        self._usage: Usage | None = None
        self._written_bytes = 0

    def encode(self, event: StreamEvent) -> bytes:
        if self._ended:
            return b""
        match event:
            case Start():
                return self._start(event)
            case PartStart():
                return self._start_part(event)
            case TextDelta():
                self._count(event.text)
                return self._text(event)
            case Aside():
                return self._aside(event)
            case ThinkingDelta():
                self._count(event.text)
                name = self._context.reasoning_field.value
                return self._delta({name: event.text}) if event.text else b""
            case ArgumentsDelta():
                return self._arguments(event)
            case PartStop():
                return self._stop_part(event)
            case UsageReport():
                self._usage = event.usage
                return b""
            case SignatureDelta():
                return b""
            case Finish():
                return self._finish(event)
            case StreamError():
                self._ended = True
                return framed(encode_api_error(event.error).body)
            case _:
                assert_never(event)

    def keepalive(self) -> bytes:
        return WHILE_SILENT if self._started else WHILE_QUEUED

    def _start(self, event: Start) -> bytes:
        if event.usage is not None:
            self._usage = event.usage
        if self._started:
            return b""
        self._started = True
        identity: JsonObject = {
            "id": answer_id(event.id, self._context),
            "object": "chat.completion.chunk",
            "created": event.created or self._context.created,
            "model": self._context.request.model,
        }
        for name, value in event.extras.get(OPENAI, {}).items():
            if name not in ("choices", "usage"):
                identity.setdefault(name, value)
        self._identity = identity
        # The same in every chunk: written once, up to the brace that would close it.
        self._head = b"data: " + dumps(identity)[:-1]
        return self._delta({"role": "assistant", "content": ""})

    def _text(self, event: TextDelta) -> bytes:
        field = "refusal" if event.index in self._refusals else "content"
        raw = None if event.extras is None else event.extras.get(OPENAI)
        if not raw:
            return self._delta({field: event.text}) if event.text else b""
        said: JsonObject = {"delta": {field: event.text}} if event.text else {}
        return self._choice_chunk(_raw_choice(raw, said))

    def _aside(self, event: Aside) -> bytes:
        raw = event.extras.get(OPENAI)
        if not raw or not self._started:
            return b""
        fields = {name: value for name, value in raw.items() if name not in _OWN_FIELDS}
        choices = objects_of(raw.get("choices")) or [{}]  # clients look for one in each chunk
        frames: list[bytes] = []
        for choice in choices:
            fields["choices"] = [_raw_choice(choice)]
            # What was said in every chunk has changed.
            self._identity |= {name: fields[name] for name in fields if name in self._identity}
            self._head = b"data: " + dumps(self._identity)[:-1]
            new = {name: value for name, value in fields.items() if name not in self._identity}
            frames.append(self._chunk({**new, **({"usage": None} if self._wants_usage else {})}))
        return b"".join(frames)

    def _start_part(self, event: PartStart) -> bytes:
        match event.kind:
            case PartKind.REFUSAL:
                self._refusals.add(event.index)
                return b""
            case PartKind.TOOL_CALL:
                return self._start_call(event)
            case PartKind.OPAQUE:
                return self._custom_call(event.opaque)
            case PartKind.TEXT:
                raw = event.extras.get(OPENAI)
                return self._choice_chunk(_raw_choice(raw)) if raw else b""
            case PartKind.THINKING:
                return b""

    # Calls

    def _start_call(self, event: PartStart) -> bytes:
        number = self._take_number()
        self._calls[event.index] = _Call(number, event.extras.get(OPENAI, {}))
        self._count(event.call_name)
        call_id = issued_id(event.call_id, response_id=self._context.response_id, position=number)
        function: JsonObject = {"name": event.call_name, "arguments": ""}
        if self._legacy:
            return self._function_call(number, function)
        fragment: JsonObject = {
            "index": number,
            "id": call_id,
            "type": "function",
            "function": function,
        }
        return self._tool_call(restored(fragment, event.extras))

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        call = self._calls.get(event.index)
        if call is None or not event.json:
            return b""
        self._count(event.json)
        call.written = True
        return self._more_arguments(call, event.json)

    def _stop_part(self, event: PartStop) -> bytes:
        call = self._calls.get(event.index)
        if call is None:
            return b""
        late: JsonObject = {"index": call.number}
        for name, value in event.extras.get(OPENAI, {}).items():
            if call.raw.get(name) != value:
                late[name] = value
        said = self._tool_call(late) if len(late) > 1 and not self._legacy else b""
        if call.written:
            return said
        call.written = True
        return self._more_arguments(call, "{}") + said

    def _more_arguments(self, call: _Call, text: str) -> bytes:
        if self._legacy:
            return self._function_call(call.number, {"arguments": text})
        return self._tool_call({"index": call.number, "function": {"arguments": text}})

    def _custom_call(self, opaque: Opaque | None) -> bytes:
        # Parts of other dialects are their server's own tools: nothing a client could act on.
        if opaque is None or not is_call(opaque):
            return b""
        return self._tool_call({**opaque.raw, "index": self._take_number()})

    def _take_number(self) -> int:
        number = self._call_count
        self._call_count += 1
        return number

    def _tool_call(self, fragment: JsonObject) -> bytes:
        return self._delta({"tool_calls": [fragment]})

    def _function_call(self, number: int, function: JsonObject) -> bytes:
        # The form before tools has room for one call.
        return self._delta({"function_call": function}) if number == 0 else b""

    # The end

    def _finish(self, event: Finish) -> bytes:
        self._ended = True
        frames = [self._stop_part(PartStop(index)) for index in self._calls]
        frames.append(self._last_delta(event))
        if self._wants_usage:
            usage = self._usage or estimated_usage(
                input_tokens=self._context.input_tokens_estimate, output_bytes=self._written_bytes
            )
            counts = with_rest_of_usage(
                encode_usage(usage), event.extras.get(OPENAI, {}).get("usage")
            )
            fields: JsonObject = {"choices": [], "usage": counts}
            frames.append(self._chunk(fields))
        frames.append(DONE)
        return b"".join(frames)

    def _last_delta(self, event: Finish) -> bytes:
        reason = encode_finish(
            event.reason,
            called=self._call_count > 0,
            refused=bool(self._refusals),
            legacy=self._legacy,
        )
        choice: JsonObject = {"index": 0, "delta": {}, "finish_reason": reason}
        if event.stop_sequence is not None:
            choice["stop_reason"] = event.stop_sequence  # as vLLM names it
        self._add_raw(choice, event)
        return self._choice_chunk(choice)

    def _add_raw(self, choice: JsonObject, event: Finish) -> None:
        """What is raw of an answer that came whole."""
        choices = event.extras.get(OPENAI, {}).get("choices")
        raw = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(raw, dict):
            return
        message = raw.get("message")
        choice["delta"] = message if isinstance(message, dict) else {}
        for name, value in raw.items():
            if name != "message":
                choice.setdefault(name, value)

    # Frames

    def _delta(self, delta: JsonObject) -> bytes:
        return self._choice_chunk({"index": 0, "delta": delta, "finish_reason": None})

    def _choice_chunk(self, choice: JsonObject) -> bytes:
        fields: JsonObject = {"choices": [choice]}
        if self._wants_usage:
            fields["usage"] = None
        return self._chunk(fields)

    def _chunk(self, fields: JsonObject) -> bytes:
        return b"%b,%b\n\n" % (self._head, dumps(fields)[1:])

    def _count(self, text: str) -> None:
        self._written_bytes += len(text.encode("utf-8", "surrogatepass"))


def _raw_choice(raw: JsonObject, said: JsonObject | None = None) -> JsonObject:
    """The choice of a chunk that says raw fields, with what else is ``said``."""
    choice: JsonObject = {"index": 0, "delta": {}, "finish_reason": None}
    return restored({**choice, **(said or {})}, {OPENAI: raw})
