"""Canonical events, written as an event stream for a client.

The dialect shows one content block at a time, under indexes without gaps. Parts that are open at
the same time are therefore shown in the order in which they began: the first as it comes, the
others held back until it is their turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from forebay.protocol.canonical.errors import ApiError
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
from forebay.protocol.canonical.requests import Extras
from forebay.protocol.dialects.anthropic._answers import message_id
from forebay.protocol.dialects.anthropic._errors import error_object
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, raw_fields
from forebay.protocol.dialects.anthropic._stop_reasons import spoken_stop_reason
from forebay.protocol.dialects.anthropic._usage import usage_object
from forebay.protocol.dialects.base import ReplyContext, StreamEncoder
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import JsonObject, dumps

_BESIDE_DELTA = ("context_management",)
"""Raw fields of an answer that its last event says, and not the ``delta`` in it."""
_AT_THE_END = frozenset({"usage", "stop_reason", "stop_details", "container", *_BESIDE_DELTA})
"""Raw fields of an answer that its last event says."""
_USAGE_AT_THE_END = ("server_tool_use", "iterations")
"""Remarks on usage that it says; the first event has others."""


@dataclass(slots=True)
class _Part:
    start: PartStart
    waiting: list[str | JsonObject] = field(default_factory=list)
    """Fragments that are not shown yet, and citations among those of a text."""
    signature: str = ""
    stopped: bool = False
    shown: bool = False
    """Whether its block has been started."""


class AnthropicStreamEncoder(StreamEncoder):
    """Writes one stream of ``POST /v1/messages``."""

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._frames: list[bytes] = []
        self._parts: dict[int, _Part] = {}
        """The parts that are not wholly shown, in the order in which they began."""
        self._block = -1
        self._calls = 0
        self._refused = False
        self._started = False
        self._ended = False
        self._usage: Usage | None = None
        self._said: JsonObject = {}
        """Raw fields of the whole answer."""
        self._said_of_usage: JsonObject = {}

    def encode(self, event: StreamEvent) -> bytes:
        if not self._ended:
            self._take(event)
        frames, self._frames = self._frames, []
        return b"".join(frames)

    def keepalive(self) -> bytes:
        """A ping, which Anthropic's own servers send at any time, also before the first event."""
        return _frame("ping", {"type": "ping"})

    def _take(self, event: StreamEvent) -> None:
        match event:
            case Start():
                self._start(event)
            case PartStart():
                self._parts[event.index] = _Part(event)
                self._refused = self._refused or event.kind is PartKind.REFUSAL
                self._show()
            case TextDelta():
                self._hold(event.index, event.text)
                if event.extras is not None:
                    self._cite_all(event.index, event.extras)
            case ThinkingDelta():
                self._hold(event.index, event.text)
            case ArgumentsDelta():
                self._hold(event.index, event.json)
            case SignatureDelta():
                if (part := self._parts.get(event.index)) is not None:
                    part.signature = event.signature
            case PartStop():
                if (part := self._parts.get(event.index)) is not None:
                    self._cite_all(event.index, event.extras)
                    part.stopped = True
                    self._show()
            case Aside():
                pass
            case UsageReport():
                self._usage = event.usage
            case Finish():
                self._finish(event)
            case StreamError():
                self._fail(event.error)
            case _:
                assert_never(event)

    def _start(self, event: Start) -> None:
        # Clients take a second start for a broken stream.
        if self._started:
            return
        self._started = True
        self._usage = event.usage
        raw = raw_fields(event.extras)
        self._said = _without(raw, _AT_THE_END)
        self._said_of_usage = _without(_usage_in(raw), _USAGE_AT_THE_END)
        self._say(
            "message_start",
            {
                "message": {
                    "id": message_id(event.id, self._context),
                    "type": "message",
                    "role": "assistant",
                    "model": self._context.request.model,
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": {**usage_object(event.usage, self._context), **self._said_of_usage},
                    **self._said,
                }
            },
        )

    def _hold(self, index: int, fragment: str) -> None:
        part = self._parts.get(index)
        if part is not None and fragment:
            part.waiting.append(fragment)
            self._show()

    def _cite_all(self, index: int, extras: Extras) -> None:
        part = self._parts.get(index)
        citations = raw_fields(extras).get("citations")
        if part is None or not isinstance(citations, list):
            return
        part.waiting += (citation for citation in citations if isinstance(citation, dict))
        self._show()

    def _show(self) -> None:
        """Write whatever may be written now: the first part as far as it goes, then the next."""
        while self._parts:
            index, part = next(iter(self._parts.items()))
            if part.waiting or part.start.kind is PartKind.TOOL_CALL:
                self._show_start(part)
            for fragment in part.waiting:
                delta = self._delta(part.start.kind, fragment)
                self._say("content_block_delta", {"index": self._block, "delta": delta})
            part.waiting.clear()
            if not part.stopped:
                return
            del self._parts[index]
            self._show_end(part)

    def _show_start(self, part: _Part) -> None:
        if part.shown:
            return
        block = self._opening(part.start)
        if block is None:
            return
        part.shown = True
        self._block += 1
        self._say("content_block_start", {"index": self._block, "content_block": block})

    def _show_end(self, part: _Part) -> None:
        # A part that never said anything gets no block: an empty one can't be sent back.
        whole = part.start.redacted is not None or part.start.kind is PartKind.OPAQUE
        if whole or part.signature:
            self._show_start(part)
        if not part.shown:
            return
        if part.signature:
            delta: JsonObject = {"type": "signature_delta", "signature": part.signature}
            self._say("content_block_delta", {"index": self._block, "delta": delta})
        self._say("content_block_stop", {"index": self._block})

    def _opening(self, start: PartStart) -> JsonObject | None:
        """The block as it begins; None for a part of another dialect."""
        match start.kind:
            case PartKind.TEXT | PartKind.REFUSAL:
                rest = _without(raw_fields(start.extras), ("citations",))
                return {"type": "text", "text": "", **rest}
            case PartKind.THINKING:
                rest = raw_fields(start.extras)
                if start.redacted is not None:
                    return {"type": "redacted_thinking", "data": start.redacted, **rest}
                return {"type": "thinking", "thinking": "", "signature": "", **rest}
            case PartKind.TOOL_CALL:
                call_id = issued_id(
                    start.call_id, response_id=self._context.response_id, position=self._calls
                )
                self._calls += 1
                return {
                    "type": "tool_use",
                    "id": call_id,
                    "name": start.call_name,
                    "input": {},
                    **raw_fields(start.extras),
                }
            case PartKind.OPAQUE:
                opaque = start.opaque
                return opaque.raw if opaque is not None and opaque.dialect == ANTHROPIC else None
            case _:
                assert_never(start.kind)

    def _delta(self, kind: PartKind, fragment: str | JsonObject) -> JsonObject:
        if isinstance(fragment, dict):
            return {"type": "citations_delta", "citation": fragment}
        match kind:
            case PartKind.THINKING:
                return {"type": "thinking_delta", "thinking": fragment}
            case PartKind.TOOL_CALL:
                return {"type": "input_json_delta", "partial_json": fragment}
            case _:
                return {"type": "text_delta", "text": fragment}

    def _finish(self, event: Finish) -> None:
        for part in self._parts.values():
            part.stopped = True
        self._show()
        stop_reason, stop_sequence = spoken_stop_reason(
            event.reason, event.stop_sequence, has_calls=self._calls > 0, refused=self._refused
        )
        raw = raw_fields(event.extras)
        rest = _without(raw, (*self._said, "usage", *_BESIDE_DELTA))
        self._say(
            "message_delta",
            {
                "delta": {
                    "stop_reason": stop_reason,
                    "stop_sequence": stop_sequence,
                    **rest,
                },
                **{name: raw[name] for name in _BESIDE_DELTA if name in raw},
                "usage": {
                    **usage_object(self._usage, self._context),
                    **self._usage_at_the_end(raw),
                },
            },
        )
        self._say("message_stop", {})
        self._ended = True

    def _usage_at_the_end(self, raw: JsonObject) -> JsonObject:
        """What was not said at the start, or otherwise."""
        return {
            name: value
            for name, value in _usage_in(raw).items()
            if name not in self._said_of_usage or self._said_of_usage[name] != value
        }

    def _fail(self, error: ApiError) -> None:
        self._say("error", {"error": error_object(error)})
        self._ended = True

    def _say(self, name: str, fields: JsonObject) -> None:
        self._frames.append(_frame(name, {"type": name, **fields}))


def _usage_in(raw: JsonObject) -> JsonObject:
    usage = raw.get("usage")
    return usage if isinstance(usage, dict) else {}


def _without(fields: JsonObject, names: Iterable[str]) -> JsonObject:
    return {name: value for name, value in fields.items() if name not in names}


def _frame(name: str, data: JsonObject) -> bytes:
    # Clients of this dialect don't see a frame without its `event:` line.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(data))
