"""Whole answers to clients."""

from __future__ import annotations

from forebay.protocol.canonical.events import AnswerPart, ChatResponse
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai._usage import estimated_usage, written_bytes
from forebay.protocol.dialects.openai.responses._answer_items import (
    ItemForm,
    message_item,
    reasoning_item,
)
from forebay.protocol.dialects.openai.responses._call_forms import custom_input
from forebay.protocol.dialects.openai.responses._names import (
    ITEM,
    RESPONSES,
    answers_id,
    raw_of,
)
from forebay.protocol.dialects.openai.responses._response_object import (
    Ending,
    ResponseForm,
    encode_ending,
    with_upstreams_own,
)
from forebay.protocol.dialects.tool_names import with_given_names
from forebay.protocol.jsontext import JsonObject


def encode_answer(response: ChatResponse, context: ReplyContext) -> JsonObject:
    """The Response object of a whole answer."""
    form = ItemForm(context)
    shown = (form.shown(item) for item in _items(response, form))
    return _encoded(response, context, [item for item in shown if item is not None])


def kept_output(response: ChatResponse, context: ReplyContext) -> list[JsonObject]:
    """The items of :func:`encode_answer` with all that the next turn needs, also the reasoning
    that the client did not ask to see: for whoever keeps answers."""
    return _items(with_given_names(response, context.request), ItemForm(context))


def _encoded(response: ChatResponse, context: ReplyContext, items: list[JsonObject]) -> JsonObject:
    ending = _ending_of(response)
    usage = response.usage or estimated_usage(
        input_tokens=context.input_tokens_estimate, output_bytes=written_bytes(response.parts)
    )
    form = ResponseForm(context)
    form.created = response.created or context.created
    ours = form.whole(
        answers_id(response.id, context.response_id),
        ending.status,
        output=[*items],
        usage=usage,
        reason=ending.reason,
    )
    return with_upstreams_own(ours, response.extras)


def _ending_of(response: ChatResponse) -> Ending:
    refused = any(isinstance(part, Refusal) for part in response.parts)
    return encode_ending(response.finish, refused=refused)


def _items(response: ChatResponse, form: ItemForm) -> list[JsonObject]:
    ending = _ending_of(response)
    writer = _ItemWriter(form)
    for part in response.parts:
        writer.add(part)
    items = writer.items()
    if items and not ending.complete and "status" in items[-1]:
        items[-1] = {**items[-1], "status": "incomplete"}
    return items


class _ItemWriter:
    def __init__(self, form: ItemForm) -> None:
        self._form = form
        self._items: list[JsonObject] = []
        self._message: list[Text | Refusal] = []

    def items(self) -> list[JsonObject]:
        self._end_message()
        return self._items

    def add(self, part: AnswerPart) -> None:
        if isinstance(part, Text | Refusal):
            if ITEM in raw_of(part.extras):
                self._end_message()
            if part.text or raw_of(part.extras):
                self._message.append(part)
            return
        if not _is_silent(part):
            self._end_message()
            self._items.append(self._item_of(part))

    def _end_message(self) -> None:
        if self._message:
            given = raw_of(self._message[0].extras).get(ITEM)
            given = given if isinstance(given, dict) else {}
            item_id = self._form.item_id("msg", given.get("id"))
            status = given.get("status")
            self._items.append(
                message_item(
                    item_id,
                    self._message,
                    status if isinstance(status, str) else "completed",
                    given,
                )
            )
            self._message = []

    def _item_of(self, part: Thinking | ToolCall | Opaque) -> JsonObject:
        match part:
            case Thinking():
                given = raw_of(part.extras).get(ITEM)
                given_id = given.get("id") if isinstance(given, dict) else None
                return reasoning_item(self._form.item_id("rs", given_id), part, "completed")
            case ToolCall():
                return self._call(part)
            case Opaque():
                return part.raw

    def _call(self, call: ToolCall) -> JsonObject:
        form = self._form.call(call.name)
        given = raw_of(call.extras).get(ITEM)
        given = given if isinstance(given, dict) else {}
        arguments = call.arguments if call.arguments.strip() else "{}"
        item = form.item(
            item_id=self._form.item_id(form.id_prefix, given.get("id")),
            call_id=self._form.call_id(call.id),
            said=custom_input(call.arguments) if form.custom else arguments,
            status="completed",
        )
        return {**given, **item}


def _is_silent(part: Thinking | ToolCall | Opaque) -> bool:
    """Whether there is nothing in it that a client could see, or bring back."""
    match part:
        case Thinking():
            carries = part.text or part.signature or part.redacted is not None
            return not carries and ITEM not in raw_of(part.extras)
        case ToolCall():
            return False
        case Opaque():
            # Parts of other dialects are their server's own tools.
            return part.dialect != RESPONSES
