"""Streams of upstreams to canonical events.

Tolerant of everything that real servers do: no id, no role, no ``finish_reason`` key, no
``[DONE]``, usage in the chunk that finishes or in all of them, a failure as bare JSON between the
events. Only the end must be there: a stream without a ``finish_reason`` has failed.

Only choice 0 is read; an answer with several choices is relayed, and this decoder only watches.
"""

from __future__ import annotations

from itertools import count

from forebay.protocol.canonical.events import (
    Aside,
    Finish,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from forebay.protocol.canonical.requests import Dialect, Extras
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._error_decoding import decode_error_value, error_inside
from forebay.protocol.dialects.openai._event_streams import DONE, EventStreamDecoder
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import with_nested
from forebay.protocol.dialects.openai._usage import decode_usage, rest_of_usage
from forebay.protocol.dialects.openai.chat._answer_decoding import (
    MESSAGE_FIELDS,
    decode_created,
    said,
    text_field,
)
from forebay.protocol.dialects.openai.chat._call_fragments import CallFragments
from forebay.protocol.dialects.openai.chat._finish_reasons import decode_finish, is_failure
from forebay.protocol.dialects.openai.chat._spoken import spoken
from forebay.protocol.framing import SseEvent
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, is_writable, loads

_CHUNK_FIELDS = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "obfuscation", "error"}
)
"""Not raw: what the canonical form has, and what is about one chunk only."""
_CHOICE_FIELDS = frozenset({"index", "finish_reason", "delta", "message", "text", "usage"})


class ChatStreamDecoder(EventStreamDecoder):
    _raw_name: Dialect = OPENAI
    """Under which raw fields stand in ``extras``."""

    def __init__(self) -> None:
        super().__init__()
        self._model = ""
        self._id = ""
        self._created = 0
        self._indexes = count()
        """Of the parts of the answer."""
        self._open: tuple[PartKind, int] | None = None
        self._calls = CallFragments(self._indexes)
        self._refused = False
        self._finish: str | None = None
        self._stop_reason: JsonValue = None
        self._raw: JsonObject = {}
        """What chunks have said of the whole answer so far."""
        self._raw_usage: JsonObject = {}

    # Frames

    def _read(self, frame: SseEvent, *, cut: bool = False) -> None:
        data = frame.data.strip()
        if self._ended or not data:
            return
        if data == DONE:
            self._end()
            return
        try:
            value = loads(data)
        except InvalidJson:
            self._read_invalid(frame.name, data, cut=cut)
            return
        if isinstance(value, dict) and frame.name == "error" and "error" not in value:
            value = {"error": value}
        match value:
            case dict():
                self._read_chunk(value)
            case [dict() as first, *_]:  # Google wraps an error in an array
                self._read_chunk(first)
            case _:
                self._fail_with("the upstream sent an event that is no JSON object")

    def _read_invalid(self, name: str, data: bytes, *, cut: bool) -> None:
        lines = data.splitlines()
        if len(lines) > 1:
            # Several chunks without a blank line between them.
            for line in lines:
                self._read(SseEvent(name, line), cut=cut)
        elif name == "error":
            self._fail(*decode_error_value(data.decode("utf-8", "replace")))
        elif not cut:
            self._fail_with("the upstream sent an event that is not JSON")

    def _read_chunk(self, chunk: JsonObject) -> None:
        error = error_inside(chunk)
        if error is not None:
            self._fail(*error)
            return
        usage = self._count(chunk.get("usage"))
        news = {
            name: value
            for name, value in said(rest_of(chunk, _CHUNK_FIELDS)).items()
            if self._raw.get(name) != value and is_writable(value)
        }
        self._raw |= news
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            self._say_aside(news)
            if usage is not None and self._finish is not None:
                self._end()
            return
        if self._started:
            self._say_aside(news)
        self._start(chunk)
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._read_choice(choice)

    def _start(self, chunk: JsonObject) -> None:
        if self._started:
            return
        self._started = True
        self._events.append(
            Start(
                id=text_field(chunk, "id"),
                model=text_field(chunk, "model"),
                created=decode_created(chunk),
                extras={self._raw_name: self._raw} if self._raw else {},
            )
        )
        self._raw = dict(self._raw)

    def _say_aside(self, raw: JsonObject, *, is_content: bool = False) -> None:
        """Raw fields in the form of a chunk; before the first one they wait for it."""
        if self._started and raw and is_writable(raw):
            self._events.append(Aside({self._raw_name: raw}, is_content))

    def _count(self, value: JsonValue) -> Usage | None:
        usage = decode_usage(value)
        if usage is not None:
            self._usage = usage
            self._raw_usage = rest_of_usage(value)
        return usage

    def _read_choice(self, choice: JsonObject) -> None:
        if self._ended:
            return
        error = error_inside(choice)  # OpenRouter
        if error is not None:
            self._fail(*error)
            return
        self._count(choice.get("usage"))  # Moonshot
        delta = self._delta_of(choice)
        raw = said(rest_of(choice, _CHOICE_FIELDS))
        if isinstance(choice.get("stop_reason"), str):
            del raw["stop_reason"]  # the canonical form has it
        if isinstance(delta, dict):
            raw = with_nested(raw, "delta", said(rest_of(delta, MESSAGE_FIELDS)))
            self._read_delta(delta, raw)
        else:
            self._say_of_choice(raw)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            if is_failure(reason):
                self._fail_with(f"the upstream's answer broke off with '{reason}'")
            elif self._finish is None:
                self._finish = reason
                self._stop_reason = choice.get("stop_reason")

    def _delta_of(self, choice: JsonObject) -> JsonValue:
        """What a choice says, as a delta of a chat."""
        delta = choice.get("delta")
        # A server that did not stream after all says `message`.
        return delta if isinstance(delta, dict) else choice.get("message")

    # Parts

    def _say_of_choice(self, raw: JsonObject) -> None:
        if raw:
            delta = raw.get("delta")
            says = isinstance(delta, dict) and any(delta.values())
            self._say_aside({"choices": [raw]}, is_content=says)

    def _read_delta(self, delta: JsonObject, raw: JsonObject) -> None:
        """
        Args:
            raw: what else the choice says, the delta included.
        """
        words = list(spoken(delta))
        if all(kind is PartKind.THINKING for kind, _ in words):
            self._say_of_choice(raw)
            raw = {}
        for kind, text in words:
            index = self._index_of(kind)
            if kind is PartKind.THINKING:
                self._events.append(ThinkingDelta(index, text))
            elif raw and is_writable(raw):
                self._events.append(TextDelta(index, text, {self._raw_name: raw}))
                raw = {}
            else:
                self._events.append(TextDelta(index, text))
        fragments = delta.get("tool_calls")
        for fragment in fragments if isinstance(fragments, list) else ():
            if isinstance(fragment, dict):
                self._add_call_events(self._calls.add(fragment))
        function = delta.get("function_call")
        if isinstance(function, dict):
            self._add_call_events(self._calls.add_function_call(function))

    def _add_call_events(self, events: list[StreamEvent]) -> None:
        if events:
            self._close_open()
            self._events += events

    def _index_of(self, kind: PartKind) -> int:
        """The open part of this kind, after beginning it where another one was open."""
        if self._open is not None and self._open[0] is kind:
            return self._open[1]
        self._close_open()
        self._refused = self._refused or kind is PartKind.REFUSAL
        index = next(self._indexes)
        self._open = (kind, index)
        self._events.append(PartStart(index=index, kind=kind))
        return index

    def _close_open(self) -> None:
        if self._open is not None:
            self._events.append(PartStop(self._open[1]))
            self._open = None

    # The end

    def _end(self) -> None:
        if self._ended:
            return
        if not self._started or self._finish is None:
            self._fail_too_early()
            return
        reason, stop_sequence = decode_finish(
            self._finish,
            called=self._calls.any,
            refused=self._refused,
            stop_reason=self._stop_reason,
        )
        self._close_open()
        self._events += self._calls.close()
        self._report_usage()
        raw: JsonObject = {"usage": self._raw_usage}
        extras: Extras = (
            {self._raw_name: raw} if self._raw_usage and is_writable(self._raw_usage) else {}
        )
        self._events.append(Finish(reason=reason, stop_sequence=stop_sequence, extras=extras))
        self._ended = True
