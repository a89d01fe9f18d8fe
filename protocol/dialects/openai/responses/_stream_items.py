"""The items of an upstream's stream, put together from their events.

Parts begin with their first words. What a server sent no deltas for is taken from the events that
say it whole; a text is never said twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    PartKind,
    PartStart,
    PartStop,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from forebay.protocol.canonical.requests import Extras, Opaque
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai.responses._names import ITEM, RESPONSES
from forebay.protocol.dialects.openai.responses._output_items import (
    call_name,
    call_of,
    content_rest,
    objects_in,
    reasoning_rest,
    reasoning_text,
    said,
    text_in,
)
from forebay.protocol.dialects.openai.responses._reasoning import PART_SEPARATOR
from forebay.protocol.dialects.openai.responses._tools import CUSTOM_INPUT
from forebay.protocol.jsontext import JsonObject, dumps_text, is_writable

_CUSTOM_HEAD = f'{{"{CUSTOM_INPUT}":"'
_CUSTOM_TAIL = '"}'


@dataclass(slots=True, eq=False)
class StreamedItem:
    """One item that has begun."""

    raw: JsonObject
    """As it began, or as it ended."""
    texts: dict[int, tuple[PartKind, int]] = field(default_factory=dict)
    """Kind and part of each content part that has begun, by its index."""
    thinking: int | None = None
    thinking_source: tuple[str, int] | None = None
    """Whether a summary or the thoughts themselves are read, and which piece of it came last."""
    call: int | None = None
    argued: bool = False
    """Whether any of the call's arguments were said."""
    ended: bool = False

    @property
    def kind(self) -> str:
        return text_in(self.raw, "type")


class ItemEvents:
    """Makes canonical events of what happens to items, and counts the parts that begin."""

    def __init__(self) -> None:
        self._indexes = itertools.count()
        self.called = False
        self.refused = False

    def begin(self, item: StreamedItem) -> Iterator[StreamEvent]:
        if item.kind in ("function_call", "custom_tool_call") and text_in(item.raw, "name"):
            yield from self._begin_call(item)
            if item.kind == "function_call":
                yield from self._argue(item, text_in(item.raw, "arguments"))

    def text(
        self, item: StreamedItem, at: int, kind: PartKind, text: str, *, whole: bool = False
    ) -> Iterator[StreamEvent]:
        """More text of a content part; or all of it (``whole``), where none came before."""
        if not text or item.ended or (whole and at in item.texts):
            return
        known = item.texts.get(at)
        if known is None or known[0] is not kind:
            if known is not None:
                yield PartStop(known[1])
            known = (kind, next(self._indexes))
            first = not item.texts
            item.texts[at] = known
            self.refused = self.refused or kind is PartKind.REFUSAL
            extras = _shell_of(item) if first else {}
            yield PartStart(index=known[1], kind=kind, extras=extras)
        yield TextDelta(known[1], text)

    def think(
        self, item: StreamedItem, source: str, at: int, text: str, *, whole: bool = False
    ) -> Iterator[StreamEvent]:
        """More of a summary (``source``) or of the thoughts themselves. Where a server gives both,
        the one that came first is read."""
        last = item.thinking_source
        if not text or item.ended or (last is not None and last[0] != source):
            return
        if whole and last is not None and at <= last[1]:
            return
        if item.thinking is None:
            item.thinking = next(self._indexes)
            yield PartStart(index=item.thinking, kind=PartKind.THINKING, extras=_shell_of(item))
        elif last is not None and last[1] != at:
            text = PART_SEPARATOR + text
        item.thinking_source = (source, at)
        yield ThinkingDelta(item.thinking, text)

    def arguments(
        self, item: StreamedItem, text: str, *, whole: bool = False
    ) -> Iterator[StreamEvent]:
        if item.ended or (whole and item.argued):
            return
        if item.call is None:
            yield from self._begin_call(item)
        yield from self._argue(item, text)

    def custom_input(
        self, item: StreamedItem, text: str, *, whole: bool = False
    ) -> Iterator[StreamEvent]:
        """Text of a custom call, as the string inside the arguments of its function."""
        if item.ended or not text or (whole and item.argued):
            return
        if item.call is None:
            yield from self._begin_call(item)
        escaped = dumps_text(text)[1:-1]
        yield from self._argue(item, escaped if item.argued else _CUSTOM_HEAD + escaped)

    def end(self, item: StreamedItem) -> Iterator[StreamEvent]:
        """The item is over; ``item.raw`` is as the upstream said it last."""
        if item.ended:
            return
        match item.kind:
            case "message":
                yield from self._end_message(item)
            case "reasoning":
                yield from self._end_reasoning(item)
            case "function_call" | "custom_tool_call":
                yield from self._end_call(item)
            case kind:
                for _, part in item.texts.values():
                    yield PartStop(part)
                if kind and is_writable(item.raw):
                    index = next(self._indexes)
                    opaque = Opaque(RESPONSES, item.raw)
                    yield PartStart(index=index, kind=PartKind.OPAQUE, opaque=opaque)
                    yield PartStop(index)
        item.ended = True

    def _end_message(self, item: StreamedItem) -> Iterator[StreamEvent]:
        shell = said(rest_of(item.raw, ("type", "role", "content", "status")))
        extras: dict[int, Extras] = {}
        for at, part in enumerate(objects_in(item.raw, "content")):
            refusal = text_in(part, "refusal")
            if refusal:
                yield from self.text(item, at, PartKind.REFUSAL, refusal, whole=True)
            else:
                yield from self.text(item, at, PartKind.TEXT, text_in(part, "text"), whole=True)
            rest = content_rest(part)
            if rest and is_writable(rest):
                extras[at] = {RESPONSES: rest}
        for at, (_, index) in item.texts.items():
            raw = extras.get(at, {}).get(RESPONSES, {})
            if shell:
                raw, shell = {**raw, ITEM: shell}, {}
            yield PartStop(index, {RESPONSES: raw} if raw else {})

    def _end_reasoning(self, item: StreamedItem) -> Iterator[StreamEvent]:
        if item.thinking is None:
            item.thinking = next(self._indexes)
            yield PartStart(index=item.thinking, kind=PartKind.THINKING, extras=_shell_of(item))
            text = reasoning_text(item.raw)
            if text:
                yield ThinkingDelta(item.thinking, text)
        rest = reasoning_rest(item.raw)
        yield PartStop(item.thinking, {RESPONSES: {ITEM: rest}} if is_writable(rest) else {})

    def _end_call(self, item: StreamedItem) -> Iterator[StreamEvent]:
        whole = call_of(item.raw)
        if item.call is None:
            if not whole.name and not whole.id:
                return
            yield from self._begin_call(item)
        assert item.call is not None
        if not item.argued:
            yield from self._argue(item, whole.arguments)
        elif item.kind == "custom_tool_call":
            yield from self._argue(item, _CUSTOM_TAIL)
        raw = whole.extras[RESPONSES]
        yield PartStop(item.call, {RESPONSES: raw} if is_writable(raw) else {})

    def _begin_call(self, item: StreamedItem) -> Iterator[StreamEvent]:
        self.called = True
        item.call = next(self._indexes)
        yield PartStart(
            index=item.call,
            kind=PartKind.TOOL_CALL,
            call_id=text_in(item.raw, "call_id"),
            call_name=call_name(item.raw),
            extras=_shell_of(item),
        )

    def _argue(self, item: StreamedItem, text: str) -> Iterator[StreamEvent]:
        if text:
            assert item.call is not None
            item.argued = True
            yield ArgumentsDelta(item.call, text)


def _shell_of(item: StreamedItem) -> Extras:
    """What is known of an item when its first part begins."""
    shell: JsonObject = {
        name: value for name in ("id", "phase") if isinstance(value := item.raw.get(name), str)
    }
    return {RESPONSES: {ITEM: shell}}
