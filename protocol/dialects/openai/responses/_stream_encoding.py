"""Canonical events to the stream of a client.

Everything that is shown in pieces is repeated whole at its end, and the last event repeats all of
it; so a stream keeps what it has said. Items are shown in the order in which their parts begin,
each under an index of its own. An item is over when all its parts are and another one begins, or
the answer ends: until then more text may join a message, and a cut answer can say which item was
cut.
"""

from __future__ import annotations

from typing import assert_never

from forebay.protocol.canonical.assembly import joined_extras
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
from forebay.protocol.dialects.base import ReplyContext, StreamEncoder
from forebay.protocol.dialects.openai._usage import estimated_usage
from forebay.protocol.dialects.openai.responses._answer_items import ItemForm
from forebay.protocol.dialects.openai.responses._names import (
    ITEM,
    answers_id,
    own_response_id,
    raw_of,
)
from forebay.protocol.dialects.openai.responses._relay import StreamRelay
from forebay.protocol.dialects.openai.responses._response_object import (
    ResponseForm,
    encode_ending,
    with_upstreams_own,
)
from forebay.protocol.dialects.openai.responses._shown_items import (
    Say,
    ShownCall,
    ShownItem,
    ShownMessage,
    ShownOpaque,
    ShownReasoning,
)
from forebay.protocol.dialects.tool_names import events_with_given_names
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_WHILE_RELAYING = b": waiting\n\n"


class ResponsesStreamEncoder(StreamEncoder):
    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._form = ResponseForm(context)
        self._item_form = ItemForm(context)
        self._renamed = events_with_given_names(context.request)
        self._id = ""
        """Empty until the client has been told."""
        self._sequence = 0
        self._in_progress = False
        self._ended = False
        self._final: JsonObject | None = None
        self._frames: list[bytes] = []
        self._items: list[ShownItem] = []
        self._kept_items: list[ShownItem] = []
        """Those, and the reasoning that the client does not get to see."""
        self._open: dict[int, ShownItem] = {}
        """By the index of a part."""
        self._usage: Usage | None = None
        self._extras: Extras = {}
        """Raw fields of the upstream's answer, as it began."""
        self._written_bytes = 0
        self._relay: StreamRelay | None = None

    # What others may ask

    @property
    def response_id(self) -> str:
        """The id that the client knows the answer by; "" before it was told one."""
        return self._relay.client_id if self._relay is not None else self._id

    @property
    def upstream_id(self) -> str:
        """The upstream's own id of an answer whose bytes were passed on: differs from
        ``response_id`` where the client had been told one before the upstream began."""
        return self._relay.upstream_id if self._relay is not None else ""

    @property
    def kept_output(self) -> list[JsonObject]:
        """The items so far with all that the next turn needs, also the reasoning that the client
        did not ask to see."""
        return [item.kept for item in self._kept_items if item.kept is not None]

    @property
    def relays(self) -> bool:
        """Whether an upstream's bytes were passed on."""
        return self._relay is not None

    @property
    def final_response(self) -> JsonObject | None:
        """The answer as the client's last event has told it; None before, and where it failed."""
        return self._final if self._relay is None else self._relay.final_response

    # The interface of encoders

    def encode(self, event: StreamEvent) -> bytes:
        if not self._ended:
            if self._relay is not None:
                self._id, self._sequence = self._relay.client_id, self._relay.next_number
                self._in_progress = bool(self._id)
            self._take(event if self._renamed is None else self._renamed(event))
        return self._taken()

    def keepalive(self) -> bytes:
        """``response.created`` once, then ``response.in_progress``: coding agents count parsed
        events only, and helpers want the first event to be that one."""
        if self._ended:
            return b""
        if self._relay is not None:
            return self._keep_relay_alive(self._relay)
        if not self._id:
            self._create(own_response_id(self._context.response_id), "queued")
        else:
            self._say_alive()
        return self._taken()

    def relay(self, raw: bytes) -> bytes:
        if self._relay is None:
            self._relay = StreamRelay(client_id=self._id, next_number=self._sequence)
        return self._relay.feed(raw)

    def _keep_relay_alive(self, relay: StreamRelay) -> bytes:
        if not relay.client_id or relay.ended:
            return _WHILE_RELAYING
        self._id, self._sequence = relay.client_id, relay.next_number
        self._say_alive()
        relay.interpose(next_number=self._sequence)
        return self._taken()

    def _taken(self) -> bytes:
        frames, self._frames = self._frames, []
        return b"".join(frames)

    def _take(self, event: StreamEvent) -> None:
        match event:
            case Start():
                self._start(event)
            case PartStart():
                self._start_part(event)
            case TextDelta() | ThinkingDelta():
                self._add(event.index, event.text)
            case ArgumentsDelta():
                self._add(event.index, event.json)
            case SignatureDelta():
                item = self._open.get(event.index)
                if isinstance(item, ShownReasoning):
                    item.signature = event.signature
            case PartStop():
                self._stop_part(event)
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

    # The answer's life

    def _create(self, response_id: str, status: str) -> None:
        self._id = response_id
        self._say("response.created", self._lifecycle(status))

    def _start(self, event: Start) -> None:
        if event.usage is not None:
            self._usage = event.usage
        self._extras = event.extras
        if not self._id:
            # Having said nothing yet, we may take over what the upstream says of itself.
            self._form.created = event.created or self._context.created
            self._create(answers_id(event.id, self._context.response_id), "in_progress")
        if not self._in_progress:
            self._in_progress = True
            self._say("response.in_progress", self._lifecycle("in_progress"))

    def _say_alive(self) -> None:
        self._in_progress = True
        brief: JsonObject = {"response": self._form.brief(self._id, "in_progress")}
        self._say("response.in_progress", brief)

    def _lifecycle(self, status: str) -> JsonObject:
        ours = self._form.whole(self._id, status, output=[])
        return {"response": with_upstreams_own(ours, self._extras)}

    def _finish(self, event: Finish) -> None:
        self._begin_if_need_be()
        refused = any(isinstance(item, ShownMessage) and item.refused for item in self._items)
        ending = encode_ending(event.reason, refused=refused)
        self._end_items(ending.status)
        usage = self._usage or estimated_usage(
            input_tokens=self._context.input_tokens_estimate, output_bytes=self._written_bytes
        )
        response = self._form.whole(
            self._id,
            ending.status,
            output=self._output(),
            usage=usage,
            reason=ending.reason,
        )
        response = with_upstreams_own(response, joined_extras(self._extras, event.extras))
        self._say(f"response.{ending.status}", {"response": response})
        self._final = response
        self._ended = True

    def _fail(self, error: ApiError) -> None:
        self._begin_if_need_be()
        response = self._form.whole(
            self._id, "failed", output=self._output(), usage=self._usage, error=error
        )
        self._say("response.failed", {"response": response})
        self._ended = True

    def _begin_if_need_be(self) -> None:
        if not self._id:
            self._start(Start(id="", model="", created=0))

    def _output(self) -> list[JsonValue]:
        return [item.shown for item in self._items if item.shown is not None]

    # Parts

    def _start_part(self, event: PartStart) -> None:
        match event.kind:
            case PartKind.TEXT | PartKind.REFUSAL:
                item: ShownItem = self._message(event)
                item.begin_part(event)
            case PartKind.THINKING:
                item = ShownReasoning(self._item_form, event)
            case PartKind.TOOL_CALL:
                item = ShownCall(self._item_form, event)
                self._count(event.call_name)
            case PartKind.OPAQUE:
                assert event.opaque is not None
                item = ShownOpaque(event.opaque)
            case _:
                assert_never(event.kind)
        self._open[event.index] = item
        item.open_parts += 1
        if item.visible_at_once:
            self._show(item)

    def _message(self, event: PartStart) -> ShownMessage:
        """The message that more text may join, or a new one."""
        shell = raw_of(event.extras).get(ITEM)
        if isinstance(shell, dict):
            return ShownMessage(self._item_form, shell)
        last = next(reversed(self._open.values()), self._items[-1] if self._items else None)
        if isinstance(last, ShownMessage) and not last.sealed:
            return last
        return ShownMessage(self._item_form, {})

    def _add(self, index: int, fragment: str) -> None:
        item = self._open.get(index)
        if item is None or not fragment:
            return
        self._count(fragment)
        self._show(item)
        item.add(self._say_of(item), index, fragment)

    def _stop_part(self, event: PartStop) -> None:
        item = self._open.pop(event.index, None)
        if item is None:
            return
        item.open_parts -= 1
        if item.visible_at_end(event):
            self._show(item)
        if item.output_index is None:
            if isinstance(item, ShownReasoning):
                item.hidden()
                self._kept_items.append(item)
            return
        item.stop_part(self._say_of(item), event)
        if item.sealed and not item.open_parts:
            item.end(self._say_of(item), "completed")

    def _show(self, item: ShownItem) -> None:
        """Begin the item, unless it has begun; what was before it is over."""
        if item.output_index is not None:
            return
        self._begin_if_need_be()
        self._seal_last_item()
        item.output_index = len(self._items)
        self._items.append(item)
        self._kept_items.append(item)
        item.begin(self._say_of(item))

    def _seal_last_item(self) -> None:
        """Nothing joins the last item any more."""
        if not self._items:
            return
        last = self._items[-1]
        last.sealed = True
        if not last.open_parts and not last.ended:
            last.end(self._say_of(last), "completed")

    def _end_items(self, status: str) -> None:
        """The answer is over; ``status`` is that of the item that came last."""
        for index in list(self._open):
            self._stop_part(PartStop(index))
        for item in self._items:
            if not item.ended:
                last = item is self._items[-1]
                item.end(self._say_of(item), status if last else "completed")

    # Frames

    def _say_of(self, item: ShownItem) -> Say:
        def say(name: str, fields: JsonObject) -> None:
            self._say(name, {"output_index": item.output_index, **fields})

        return say

    def _say(self, name: str, fields: JsonObject) -> None:
        data: JsonObject = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        self._frames.append(b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(data)))

    def _count(self, text: str) -> None:
        self._written_bytes += len(text.encode("utf-8", "surrogatepass"))
