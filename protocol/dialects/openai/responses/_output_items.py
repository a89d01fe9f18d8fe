"""The items of an upstream's answer to canonical parts; whole answers and streams share it.

Tolerant of what compatible servers leave out; items of kinds that only this API has stay opaque.
"""

from __future__ import annotations

from collections.abc import Iterator

from forebay.protocol.canonical.events import AnswerPart, FinishReason
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai.responses._call_forms import custom_arguments
from forebay.protocol.dialects.openai.responses._names import ITEM, RESPONSES
from forebay.protocol.dialects.openai.responses._reasoning import PART_SEPARATOR
from forebay.protocol.dialects.openai.responses._tools import CUSTOM, flat_name
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps_text, is_writable


def text_in(obj: JsonObject, name: str) -> str:
    """A string of an upstream's object, "" where it is anything else."""
    value = obj.get(name)
    return value if isinstance(value, str) else ""


def objects_in(obj: JsonObject, name: str) -> list[JsonObject]:
    value = obj.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def parts_of(item: JsonObject) -> Iterator[AnswerPart]:
    """The parts that an item says; none for one that can't be understood."""
    match item.get("type"):
        case "message":
            yield from _message_parts(item)
        case "reasoning":
            yield reasoning_of(item)
        case "function_call" | "custom_tool_call":
            yield call_of(item)
        case str() if is_writable(item):
            yield Opaque(RESPONSES, item)
        case _:
            return


def _message_parts(item: JsonObject) -> Iterator[Text | Refusal]:
    shell: JsonObject = {ITEM: said(rest_of(item, ("type", "role", "content")))}
    for part in objects_in(item, "content"):
        rest = said(content_rest(part))
        extras = {RESPONSES: {**rest, **shell}}
        shell = {}
        match part.get("type"):
            case "refusal":
                yield Refusal(text_in(part, "refusal"), extras if extras[RESPONSES] else {})
            case _:
                yield Text(text_in(part, "text"), extras if extras[RESPONSES] else {})


def content_rest(part: JsonObject) -> JsonObject:
    """What a content part says beside its text, where it says anything."""
    rest = rest_of(part, ("type", "text", "refusal"))
    return {name: value for name, value in rest.items() if value not in (None, [])}


def said(rest: JsonObject) -> JsonObject:
    return {name: value for name, value in rest.items() if value is not None}


def reasoning_of(item: JsonObject) -> Thinking:
    return Thinking(text=reasoning_text(item), extras={RESPONSES: {ITEM: reasoning_rest(item)}})


def reasoning_rest(item: JsonObject) -> JsonObject:
    return said(rest_of(item, ("type",)))


def reasoning_text(item: JsonObject) -> str:
    """Open models show what they think (``content``), others a summary of it."""
    shown = objects_in(item, "content") or objects_in(item, "summary")
    return PART_SEPARATOR.join(text_in(part, "text") for part in shown)


def call_of(item: JsonObject) -> ToolCall:
    custom = item.get("type") == "custom_tool_call"
    extras: JsonObject = {
        ITEM: said(rest_of(item, ("type", "call_id", "name", "namespace", "arguments", "input")))
    }
    if custom:
        extras[CUSTOM] = True
    return ToolCall(
        id=text_in(item, "call_id"),
        name=call_name(item),
        arguments=custom_arguments(text_in(item, "input"))
        if custom
        else _arguments(item.get("arguments")),
        extras={RESPONSES: extras},
    )


def call_name(item: JsonObject) -> str:
    return flat_name(text_in(item, "namespace") or None, text_in(item, "name"))


def _arguments(value: JsonValue) -> str:
    if isinstance(value, dict):  # some servers send an object
        return dumps_text(value) if is_writable(value) else ""
    return value if isinstance(value, str) else ""


def finish_of(status: JsonValue, reason: JsonValue, *, called: bool, refused: bool) -> FinishReason:
    """Why a complete or incomplete answer ended.

    Args:
        status: ``completed``, ``incomplete``, or of an answer that is still to come (to a request
            in the background) ``queued`` or ``in_progress``.
        reason: ``incomplete_details.reason``.
    """
    if status == "incomplete":
        if reason == "content_filter":
            return FinishReason.REFUSAL
        if reason == "max_output_tokens" or not is_known_reason(reason):
            return FinishReason.LENGTH
    if called:
        return FinishReason.TOOL_CALLS
    return FinishReason.REFUSAL if refused else FinishReason.END


def is_known_reason(reason: JsonValue) -> bool:
    """Whether the canonical form can say why an answer is incomplete. All other reasons stand raw
    beside it, and read as a cut."""
    return reason in ("content_filter", "max_output_tokens")


def incomplete_reason(response: JsonObject) -> JsonValue:
    details = response.get("incomplete_details")
    return details.get("reason") if isinstance(details, dict) else None
