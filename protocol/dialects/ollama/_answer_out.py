"""Writing answers for Ollama clients: whole, and as streams of lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from forebay.protocol.canonical.assembly import summed_extras
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Aside,
    ChatResponse,
    Finish,
    FinishReason,
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
    is_content,
)
from forebay.protocol.canonical.requests import (
    Extras,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from forebay.protocol.dialects.base import ReplyContext, StreamEncoder
from forebay.protocol.dialects.ollama._answer_shapes import AnswerShape
from forebay.protocol.dialects.ollama._loading import LoadAction
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.ollama._reply_clock import ReplyClock
from forebay.protocol.dialects.ollama._tools import arguments_object, is_whole_object
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_CUT_SHORT = frozenset({FinishReason.LENGTH, FinishReason.CONTEXT_FULL})
_CHARACTERS_PER_TOKEN = 4
"""Roughly, for the count of an answer that the provider did not count."""
_LINE_BREAKS = tuple(
    (character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\x85\u2028\u2029"
)
"""What JSON lets stand in a string and readers of lines (Ollama's Python client) take for the end
of a line. Go escapes the last two, so that lines which are relayed from an Ollama server hold the
first at most: those stay as they are, and break that client as they would without a gateway."""


class _AnswerWriter:
    """What whole answers and the lines of a stream have in common."""

    def __init__(self, shape: AnswerShape, context: ReplyContext) -> None:
        self._shape = shape
        self._context = context
        self.clock = ReplyClock(context)

    def line(
        self,
        content: str = "",
        *,
        thinking: str = "",
        calls: list[JsonValue] | None = None,
        extras: Extras | None = None,
    ) -> JsonObject:
        """A line that goes on: what was said, and when."""
        line: JsonObject = {
            "model": self._context.request.model,
            "created_at": self.clock.created_at(),
            **self._shape.write(content, thinking=thinking, calls=calls),
            "done": False,
        }
        self._shape.put_back(line, (extras or {}).get(OLLAMA, {}))
        return line

    def ended(self, line: JsonObject, done_reason: str) -> JsonObject:
        line["done"] = True
        line["done_reason"] = done_reason
        return line

    def finished(
        self,
        line: JsonObject,
        finish: FinishReason,
        usage: Usage | None,
        characters: int,
        extras: Extras,
    ) -> JsonObject:
        """The last line, with its counters: those of the upstream, where it has the same."""
        self.ended(line, "length" if finish in _CUT_SHORT else "stop")
        if usage is None or not (usage.counted or usage.total):
            usage = Usage(
                input_uncached=self._context.input_tokens_estimate,
                output=-(-characters // _CHARACTERS_PER_TOKEN),
            )
        line.update(self.clock.durations())
        line["prompt_eval_count"] = usage.input_total
        line["eval_count"] = usage.output
        self._shape.put_back(line, extras.get(OLLAMA, {}))
        return line

    def calls(self, calls: Iterable[ToolCall], finish: FinishReason) -> list[JsonValue]:
        """The calls with their arguments as objects. One that the limit cut off can't be shown
        as an object: it is left out."""
        whole = (call for call in calls if finish not in _CUT_SHORT or _is_finished(call))
        return [self._call(index, call) for index, call in enumerate(whole)]

    def _call(self, index: int, call: ToolCall) -> JsonObject:
        raw = call.extras.get(OLLAMA, {})
        inner = raw.get("function")
        return {
            **raw,
            "id": issued_id(call.id, response_id=self._context.response_id, position=index),
            "function": {
                **(inner if isinstance(inner, dict) else {}),
                "index": index,
                "name": call.name,
                "arguments": arguments_object(call.arguments),
            },
        }


def encode_whole(shape: AnswerShape, response: ChatResponse, context: ReplyContext) -> JsonObject:
    writer = _AnswerWriter(shape, context)
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for part in response.parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Thinking(text=text):
                thoughts.append(text)
            case ToolCall():
                calls.append(part)
            case Opaque():
                pass
            case _:
                assert_never(part)
    content = "".join(texts)
    thinking = "".join(thoughts)
    line = writer.line(content, thinking=thinking, calls=writer.calls(calls, response.finish))
    characters = len(content) + len(thinking) + sum(len(call.arguments) for call in calls)
    pieces = [part.extras for part in response.parts if isinstance(part, Text)]
    extras = summed_extras([response.extras, *pieces])
    return writer.finished(line, response.finish, response.usage, characters, extras)


def encode_load_reply(shape: AnswerShape, action: LoadAction, context: ReplyContext) -> JsonObject:
    writer = _AnswerWriter(shape, context)
    return writer.ended(writer.line(), str(action))


class _BufferedCall:
    def __init__(self, start: PartStart) -> None:
        self._start = start
        self.fragments: list[str] = []

    def call(self) -> ToolCall:
        return ToolCall(
            id=self._start.call_id,
            name=self._start.call_name,
            arguments="".join(self.fragments),
            extras=self._start.extras,
        )


class OllamaStreamEncoder(StreamEncoder):
    """Writes one answer as lines. Calls are held until the end, because only the finish tells
    whether they are whole; then they come in one line before the last."""

    def __init__(self, shape: AnswerShape, context: ReplyContext) -> None:
        self._writer = _AnswerWriter(shape, context)
        self._calls: dict[int, _BufferedCall] = {}
        self._usage: Usage | None = None
        self._characters = 0

    def encode(self, event: StreamEvent) -> bytes:
        if is_content(event):
            self._writer.clock.content_came()
        match event:
            case TextDelta(text=text, extras=extras):
                self._characters += len(text)
                return self._say(text, extras)
            case Aside(extras=extras):
                return self._say("", extras)
            case ThinkingDelta(text=text):
                self._characters += len(text)
                return _framed(self._writer.line(thinking=text)) if text else b""
            case PartStart(kind=PartKind.TOOL_CALL):
                self._calls[event.index] = _BufferedCall(event)
            case ArgumentsDelta():
                self._characters += len(event.json)
                self._calls[event.index].fragments.append(event.json)
            case Start():
                self._usage = event.usage
            case UsageReport():
                self._usage = event.usage
            case Finish():
                return self._finish(event)
            case StreamError():
                return _framed({"error": event.error.message})
            case PartStart() | PartStop() | SignatureDelta():
                pass
            case _:
                assert_never(event)
        return b""

    def keepalive(self) -> bytes:
        return _framed(self._writer.line())

    def _say(self, text: str, extras: Extras | None) -> bytes:
        if not text and not (extras or {}).get(OLLAMA):
            return b""
        return _framed(self._writer.line(text, extras=extras))

    def _finish(self, event: Finish) -> bytes:
        buffered = (self._calls[index].call() for index in sorted(self._calls))
        calls = self._writer.calls(buffered, event.reason)
        before = _framed(self._writer.line(calls=calls)) if calls else b""
        last = self._writer.finished(
            self._writer.line(), event.reason, self._usage, self._characters, event.extras
        )
        return before + _framed(last)


def _is_finished(call: ToolCall) -> bool:
    """Whether a call of an answer that was cut short came to its own end. Anthropic's whole
    answers show one that did not as an empty object."""
    return is_whole_object(call.arguments) and arguments_object(call.arguments) != {}


def _framed(line: JsonObject) -> bytes:
    data = dumps(line)
    for character, escaped in _LINE_BREAKS:
        if character in data:
            data = data.replace(character, escaped)
    return data + b"\n"
