"""Canonical turns to the items of an upstream's ``input``.

What came in this API becomes the items that it was, but for what a gateway made itself: no
provider knows its ids, and OpenAI refuses reasoning that it did not write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from forebay.protocol.canonical.requests import (
    Audio,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from forebay.protocol.dialects.openai.responses._call_forms import custom_input
from forebay.protocol.dialects.openai.responses._content import (
    SAID_BY_MODEL,
    SAID_TO_MODEL,
    ContentPart,
    Origin,
    encode_content,
    unsayable,
)
from forebay.protocol.dialects.openai.responses._names import (
    ITEM,
    RESPONSES,
    RESULTS,
    is_own_item_id,
    raw_of,
)
from forebay.protocol.dialects.openai.responses._reasoning import encode_reasoning_item
from forebay.protocol.dialects.openai.responses._tools import CUSTOM
from forebay.protocol.dialects.tool_ids import fitted_id, with_tool_ids
from forebay.protocol.jsontext import JsonObject, JsonValue

_ANY_ID = re.compile(r".+", re.DOTALL)
_LONGEST_CALL_ID = 64


def encode_items(turns: tuple[Turn, ...], origin: Origin) -> list[JsonValue]:
    """The items that say ``turns``.

    Raises:
        ApiFailure: BAD_REQUEST, a part can't be said in this API.
    """
    return [item for turn in with_tool_ids(turns) for item in _items_of(turn, origin)]


def _items_of(turn: Turn, origin: Origin) -> Iterator[JsonObject]:
    if turn.role is Role.ASSISTANT:
        yield from _answered(turn, origin)
        return
    said: list[ContentPart] = []
    raw = raw_of(turn.extras)
    for part in turn.parts:
        match part:
            case ToolResult():
                # Results come first: they belong to the calls of the turn before.
                yield _encode_result(part, origin)
            case Opaque() if RESULTS in raw:
                yield part.raw
            case Text() | Image() | Audio() | Document() | Refusal() | Opaque():
                said.append(part)
            case ToolCall():
                raise unsayable("a tool call outside of an assistant's message")
            case Thinking():
                pass
    if said or not turn.parts:
        yield _encode_message(turn.role.value, said, raw, origin)


def _encode_message(
    role: str, parts: Sequence[ContentPart], shell: JsonObject, origin: Origin
) -> JsonObject:
    text_type = SAID_BY_MODEL if role == Role.ASSISTANT.value else SAID_TO_MODEL
    message: JsonObject = {**_without_own_id(shell), "role": role}
    # Other dialects' answers were cut into blocks that go back together as they were.
    joined = not origin.same_api and _is_text(parts) and (role == "assistant" or not parts)
    if "type" not in shell and (joined or _is_plain(parts)):
        message["content"] = "".join(part.text for part in parts if isinstance(part, Text))
    else:
        message["content"] = encode_content(parts, text_type=text_type, origin=origin)
    return message


def _is_plain(parts: Sequence[Part]) -> bool:
    """Whether a string says all of it."""
    match parts:
        case [Text() as text]:
            return not raw_of(text.extras)
        case _:
            return False


def _is_text(parts: Sequence[Part]) -> bool:
    return all(isinstance(part, Text) for part in parts)


def _without_own_id(item: JsonObject) -> JsonObject:
    item_id = item.get("id")
    if isinstance(item_id, str) and is_own_item_id(item_id):
        return {name: value for name, value in item.items() if name != "id"}
    return item


def _answered(turn: Turn, origin: Origin) -> Iterator[JsonObject]:
    """The items of an assistant's turn. Text goes on in the message before it unless it is marked
    as the beginning of one."""
    message: list[ContentPart] = []
    shell: JsonObject = {}
    for part in turn.parts:
        if isinstance(part, Text | Refusal):
            raw = raw_of(part.extras)
            begins = raw.get(ITEM)
            if isinstance(begins, dict):
                if message:
                    yield _encode_message("assistant", message, shell, origin)
                rest = {name: value for name, value in raw.items() if name != ITEM}
                extras = {RESPONSES: rest} if rest else {}
                part = (
                    Text(part.text, extras)
                    if isinstance(part, Text)
                    else Refusal(part.text, extras)
                )
                message, shell = [part], begins
            else:
                message.append(part)
            continue
        if message:
            yield _encode_message("assistant", message, shell, origin)
            message, shell = [], {}
        item = _encode_act(part)
        if item is not None:
            yield item
    if message:
        yield _encode_message("assistant", message, shell, origin)


def _encode_act(part: Part) -> JsonObject | None:
    match part:
        case ToolCall():
            return _encode_call(part)
        case Thinking():
            return encode_reasoning_item(part)
        case Opaque():
            if part.dialect != RESPONSES:
                raise unsayable(f"content of type '{part.raw.get('type')}' ({part.dialect})")
            return part.raw
        case ToolResult():
            raise unsayable("a tool's result in an assistant's message")
        case _:
            raise unsayable(f"{type(part).__name__.lower()} in an assistant's message")


def _encode_call(call: ToolCall) -> JsonObject:
    raw = raw_of(call.extras)
    item = raw.get(ITEM)
    encoded: JsonObject = {
        "name": call.name,
        **(_without_own_id(item) if isinstance(item, dict) else {}),
        "call_id": _call_id(call.id),
    }
    if CUSTOM in raw:
        return {"type": "custom_tool_call", **encoded, "input": custom_input(call.arguments)}
    arguments = call.arguments if call.arguments.strip() else "{}"
    return {"type": "function_call", **encoded, "arguments": arguments}


def _call_id(call_id: str) -> str:
    """The id as OpenAI bears it: at most 64 characters."""
    return fitted_id(call_id, pattern=_ANY_ID, max_length=_LONGEST_CALL_ID)


def _encode_result(result: ToolResult, origin: Origin) -> JsonObject:
    raw = raw_of(result.extras)
    item = raw.get(ITEM)
    content: list[ContentPart] = [*result.content]
    if result.is_error:
        # No field says that a call failed, so that the text has to.
        content.insert(0, Text("Error: " if content else "Error"))
    output: JsonValue
    texts = [part.text for part in content if isinstance(part, Text) and not raw_of(part.extras)]
    if len(texts) == len(content) and (len(texts) <= 1 or not origin.same_api):
        output = "".join(texts) if result.is_error else "\n".join(texts)
    else:
        output = encode_content(content, text_type=SAID_TO_MODEL, origin=origin)
    return {
        "type": "custom_tool_call_output" if CUSTOM in raw else "function_call_output",
        **(_without_own_id(item) if isinstance(item, dict) else {}),
        "call_id": _call_id(result.call_id),
        "output": output,
    }
