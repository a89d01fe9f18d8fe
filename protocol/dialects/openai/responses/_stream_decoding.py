"""Streams of upstreams to canonical events.

Tolerant of what compatible servers leave out: ``event:`` lines, sequence numbers, indexes, the
first or the last words of an item, deltas altogether. Only the end must be there: a stream
without ``response.completed`` or its like has failed.
"""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.events import (
    Finish,
    PartKind,
    Start,
)
from forebay.protocol.dialects.openai._error_decoding import decode_error_value, error_inside
from forebay.protocol.dialects.openai._event_streams import DONE, EventStreamDecoder
from forebay.protocol.dialects.openai._usage import RESPONSES_WORDS, decode_usage
from forebay.protocol.dialects.openai.responses._answer_decoding import (
    decode_created,
    extras_of_response,
    failure_inside,
)
from forebay.protocol.dialects.openai.responses._output_items import (
    finish_of,
    incomplete_reason,
    objects_in,
    text_in,
)
from forebay.protocol.dialects.openai.responses._stream_items import ItemEvents, StreamedItem
from forebay.protocol.framing import SseEvent
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads

_SUMMARY = "summary"
_THOUGHTS = "content"
_ITEM_TYPES = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_summary_text": "reasoning",
    "reasoning_text": "reasoning",
    "function_call_arguments": "function_call",
    "custom_tool_call_input": "custom_tool_call",
}
"""By the events that speak of it: for servers that don't say that an item begins."""


class ResponsesStreamDecoder(EventStreamDecoder):
    def __init__(self) -> None:
        super().__init__()
        self._item_events = ItemEvents()
        self._items: list[StreamedItem] = []
        self._by_id: dict[str, StreamedItem] = {}
        self._by_index: dict[int, StreamedItem] = {}

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
            if frame.name == "error":
                self._fail(*decode_error_value(data.decode("utf-8", "replace")))
            elif not cut:
                self._fail_with("the upstream sent an event that is not JSON")
            return
        if isinstance(value, dict):
            self._read_event(text_in(value, "type") or frame.name, value)
        else:
            self._fail_with("the upstream sent an event that is no JSON object")

    def _read_event(self, name: str, event: JsonObject) -> None:
        response = event.get("response")
        if name == "error" or (not name.startswith("response.") and error_inside(event)):
            self._fail(*_error_of(event))
            return
        if isinstance(response, dict):
            self._start(response)
            if name in ("response.completed", "response.incomplete"):
                self._finish(name.removeprefix("response."), response)
                return
            if name in ("response.failed", "response.cancelled"):
                self._read_usage(response)
                self._fail(*(failure_inside(response) or _failure_unsaid(response)))
                return
        match name.split("."):
            case ["response", "output_item", "added"]:
                self._begin_item(event)
            case ["response", "output_item", "done"]:
                self._end_item(event)
            case ["response", kind, "delta" | "done" as phase] if kind in _ITEM_TYPES:
                self._read_words(kind, event, whole=phase == "done")
            case _:
                # Lifecycle, parts that begin, and the progress of tools that the server runs.
                pass

    # The beginning

    def _start(self, response: JsonObject) -> None:
        if self._started:
            return
        self._started = True
        self._events.append(
            Start(
                id=text_in(response, "id"),
                model=text_in(response, "model"),
                created=decode_created(response.get("created_at")),
                extras=extras_of_response(response),
            )
        )

    # Items

    def _begin_item(self, event: JsonObject) -> StreamedItem:
        self._start({})
        raw = event.get("item")
        item = StreamedItem(raw if isinstance(raw, dict) else {})
        self._items.append(item)
        item_id = text_in(item.raw, "id") or text_in(event, "item_id")
        if item_id:
            self._by_id[item_id] = item
        index = _number(event, "output_index")
        if index is not None:
            self._by_index[index] = item
        self._events += self._item_events.begin(item)
        return item

    def _end_item(self, event: JsonObject) -> None:
        raw = event.get("item")
        if not isinstance(raw, dict):
            return
        item = self._known_item(text_in(raw, "id"), event)
        if item is None or item.ended:
            item = self._begin_item(event)
        # What it began with stands where the end leaves it out.
        item.raw = {**item.raw, **raw}
        self._events += self._item_events.end(item)

    def _known_item(self, item_id: str, event: JsonObject) -> StreamedItem | None:
        if item_id and item_id in self._by_id:
            return self._by_id[item_id]
        index = _number(event, "output_index")
        return None if index is None else self._by_index.get(index)

    def _item_of(self, kind: str, event: JsonObject) -> StreamedItem:
        item_type = _ITEM_TYPES[kind]
        item = self._known_item(text_in(event, "item_id"), event)
        if item is None and self._items and self._items[-1].kind == item_type:
            item = self._items[-1]
        if item is None or item.ended or item.kind != item_type:
            item = self._begin_item(
                {**event, "item": {"type": item_type, "name": event.get("name")}}
            )
        return item

    def _read_words(self, kind: str, event: JsonObject, *, whole: bool) -> None:
        if whole and not self._items:
            return
        known = self._known_item(text_in(event, "item_id"), event)
        if whole and known is not None and known.ended:
            return
        item = self._item_of(kind, event)
        at = _number(event, "content_index") or 0
        events = self._item_events
        match kind:
            case "output_text":
                text = text_in(event, "text" if whole else "delta")
                self._events += events.text(item, at, PartKind.TEXT, text, whole=whole)
            case "refusal":
                text = text_in(event, "refusal" if whole else "delta")
                self._events += events.text(item, at, PartKind.REFUSAL, text, whole=whole)
            case "reasoning_summary_text":
                at = _number(event, "summary_index") or 0
                text = text_in(event, "text" if whole else "delta")
                self._events += events.think(item, _SUMMARY, at, text, whole=whole)
            case "reasoning_text":
                text = text_in(event, "text" if whole else "delta")
                self._events += events.think(item, _THOUGHTS, at, text, whole=whole)
            case "function_call_arguments":
                text = text_in(event, "arguments" if whole else "delta")
                self._events += events.arguments(item, text, whole=whole)
            case "custom_tool_call_input":
                text = text_in(event, "input" if whole else "delta")
                self._events += events.custom_input(item, text, whole=whole)

    # The end

    def _finish(self, status: str, response: JsonObject) -> None:
        failure = error_inside(response)
        if failure is not None:
            self._fail(*failure)
            return
        if not self._items:
            # A server that says everything at its end.
            for raw in objects_in(response, "output"):
                self._end_item({"item": raw})
        for item in self._items:
            self._events += self._item_events.end(item)
        self._read_usage(response)
        self._report_usage()
        reason = finish_of(
            status,
            incomplete_reason(response),
            called=self._item_events.called,
            refused=self._item_events.refused,
        )
        self._events.append(Finish(reason=reason, extras=extras_of_response(response)))
        self._ended = True

    def _end(self) -> None:
        # What completes an answer is an event of its own.
        if not self._ended:
            self._fail_too_early()

    def _read_usage(self, response: JsonObject) -> None:
        self._usage = decode_usage(response.get("usage"), RESPONSES_WORDS) or self._usage


def _number(event: JsonObject, name: str) -> int | None:
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _error_of(event: JsonObject) -> tuple[ApiError, int | None]:
    """Of an ``error`` event, flat or nested."""
    inner: JsonValue = event.get("error")
    if not isinstance(inner, dict | str):
        inner = {name: value for name, value in event.items() if name != "type"}
    return decode_error_value({"error": inner})


def _failure_unsaid(response: JsonObject) -> tuple[ApiError, int | None]:
    return decode_error_value({"error": {"message": "the upstream's answer failed"}})
