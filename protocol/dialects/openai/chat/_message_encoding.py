"""Canonical turns to the messages of an upstream.

A result of a tool becomes one ``tool`` message, and all results of adjacent user turns come
before anything else those turns say: OpenAI wants every call answered before the next message of
another role. A ``tool`` message holds text only, so images and files of results follow in a user
message after the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

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
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import restored
from forebay.protocol.dialects.openai.chat._content import (
    ContentPart,
    encode_part,
    unsayable,
)
from forebay.protocol.dialects.openai.chat._spoken import REASONING_FIELDS
from forebay.protocol.dialects.openai.chat._tools import chat_call_id, encode_call
from forebay.protocol.dialects.tool_ids import with_short_ids, with_tool_ids
from forebay.protocol.jsontext import JsonObject, JsonValue

# Blocks of another dialect that become one string, which every server takes: those of a prompt
# are paragraphs, an answer that was cut into blocks goes back together as it was.
_SEPARATORS = {Role.SYSTEM: "\n\n", Role.DEVELOPER: "\n\n", Role.USER: "\n\n", Role.ASSISTANT: ""}
_REPLAYED_REASONING = (*REASONING_FIELDS, "reasoning_details")


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """How messages are to be written."""

    same_dialect: bool
    """The request came in this dialect: keep the shape of its messages."""
    developer_role: bool
    """The server knows the role ``developer``."""
    reasoning: bool
    """The server bears the reasoning of earlier answers (compatible servers do, OpenAI refuses
    fields that it does not know)."""
    short_tool_ids: bool = False
    """The server takes no ids of calls but short ones."""


def encode_messages(turns: tuple[Turn, ...], style: MessageStyle) -> list[JsonValue]:
    """The messages that say ``turns``.

    Raises:
        ApiFailure: BAD_REQUEST, a part can't be said in this dialect.
    """
    messages: list[JsonValue] = []
    turns = with_tool_ids(turns)
    if style.short_tool_ids:
        turns = with_short_ids(turns)
    for of_user, run in groupby(turns, key=lambda turn: turn.role is Role.USER):
        if of_user:
            messages += _encode_user_turns(tuple(run), style)
        else:
            messages += (_encode_turn(turn, style) for turn in run)
    return messages


def _encode_user_turns(turns: Sequence[Turn], style: MessageStyle) -> Iterator[JsonObject]:
    results = [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    attached: list[JsonValue] = []
    for result in results:
        yield _encode_result(result, style)
        attached += _encode_attachments(result, style)
    for turn in turns:
        said = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
        if said or not turn.parts:
            message = _encode_said(turn, "user", said, style)
            if attached:
                message["content"] = [*attached, *_as_parts(message["content"])]
                attached = []
            yield message
    if attached:
        yield {"role": "user", "content": attached}


def _encode_result(result: ToolResult, style: MessageStyle) -> JsonObject:
    texts = [part for part in result.content if _is_text(part)]
    content: JsonValue
    if style.same_dialect and not _is_plain(texts) and len(texts) == len(result.content):
        content = [encode_part(part, same_dialect=True) for part in texts]
    else:
        notes = [_text_of(part, style) for part in texts]
        files = len(result.content) - len(texts)
        if files:
            notes.append(f"[{files} attached: see the next user message]")
        content = "\n".join(notes)
        if result.is_error:
            content = f"Error: {content}" if content else "Error"
    message: JsonObject = {
        "role": "tool",
        "tool_call_id": chat_call_id(result.call_id),
        "content": content,
    }
    if result.name is not None:
        message["name"] = result.name
    return restored(message, result.extras)


def _is_text(part: Part) -> bool:
    return isinstance(part, Text) or (isinstance(part, Document) and isinstance(part.source, Text))


def _text_of(part: ContentPart, style: MessageStyle) -> str:
    return str(encode_part(part, same_dialect=style.same_dialect)["text"])


def _encode_attachments(result: ToolResult, style: MessageStyle) -> list[JsonValue]:
    files: list[JsonValue] = [
        encode_part(part, same_dialect=style.same_dialect)
        for part in result.content
        if not _is_text(part)
    ]
    if not files:
        return []
    label = f"[attached to the result of {chat_call_id(result.call_id)}]"
    return [{"type": "text", "text": label}, *files]


def _encode_turn(turn: Turn, style: MessageStyle) -> JsonObject:
    if turn.role is Role.ASSISTANT:
        return _encode_assistant(turn, style)
    developer = turn.role is Role.DEVELOPER and style.developer_role
    return _encode_said(turn, "developer" if developer else "system", turn.parts, style)


def _encode_said(turn: Turn, role: str, said: Sequence[Part], style: MessageStyle) -> JsonObject:
    """A message of anyone but the assistant."""
    parts: list[ContentPart] = []
    for part in said:
        match part:
            case Refusal():
                parts.append(Text(part.text))
            case Text() | Image() | Audio() | Document() | Opaque():
                parts.append(part)
            case Thinking():
                pass
            case ToolCall():
                raise unsayable("a tool call outside of an assistant's message")
            case ToolResult():
                raise unsayable("a tool's result outside of a user's message")
    message: JsonObject = {"role": role, "content": _encode_content(parts, turn.role, style)}
    if turn.name is not None:
        message["name"] = turn.name
    return restored(message, turn.extras)


def _encode_assistant(turn: Turn, style: MessageStyle) -> JsonObject:
    parts: list[ContentPart] = []
    calls: list[JsonValue] = []
    for part in turn.parts:
        match part:
            case ToolCall():
                calls.append(encode_call(part))
            case Opaque() if _is_call(part):
                calls.append(part.raw)
            case Text() | Opaque():
                parts.append(part)
            case Refusal():
                # Compatible servers know no refusals: to them it is what the assistant said.
                parts.append(part if style.same_dialect else Text(part.text))
            case Thinking():
                pass
            case Image() | Audio() | Document():
                raise unsayable(f"{type(part).__name__.lower()} in an assistant's message")
            case ToolResult():
                raise unsayable("a tool's result in an assistant's message")
    message: JsonObject = {"role": "assistant"}
    refusal = _trailing_refusal(parts)
    if refusal is not None:
        parts.pop()
    # Null is legal beside a call or a refusal, and where a client of this dialect sent it.
    silent = not parts and (calls or refusal is not None or _was_silent(turn, style))
    message["content"] = None if silent else _encode_content(parts, Role.ASSISTANT, style)
    if refusal is not None:
        message["refusal"] = refusal.text
    if turn.name is not None:
        message["name"] = turn.name
    if calls:
        message["tool_calls"] = calls
    message = restored(message, turn.extras)
    if not style.reasoning:
        for name in _REPLAYED_REASONING:
            message.pop(name, None)
    return message


def _encode_content(
    parts: Sequence[ContentPart], role: Role, style: MessageStyle
) -> str | list[JsonValue]:
    if style.same_dialect and not _is_plain(parts):
        return [encode_part(part, same_dialect=True) for part in parts]
    encoded = [encode_part(part, same_dialect=style.same_dialect) for part in parts]
    if all(part["type"] == "text" for part in encoded):
        return _SEPARATORS[role].join(str(part["text"]) for part in encoded)
    return [*encoded]


def _is_plain(parts: Sequence[Part]) -> bool:
    """Whether a string says all of it."""
    match parts:
        case [] | [Text()]:
            return all(not part.extras for part in parts if isinstance(part, Text))
        case _:
            return False


def _as_parts(content: JsonValue) -> list[JsonValue]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _is_call(part: Opaque) -> bool:
    return part.dialect == OPENAI and part.raw.get("type") == "custom"


def _was_silent(turn: Turn, style: MessageStyle) -> bool:
    raw = turn.extras.get(OPENAI, {})
    return style.same_dialect and ("audio" in raw or (style.reasoning and bool(turn.parts)))


def _trailing_refusal(parts: Sequence[ContentPart]) -> Refusal | None:
    """The refusal that goes into the message's own field: the only one, after everything else."""
    match parts:
        case [*before, Refusal() as last] if not any(isinstance(part, Refusal) for part in before):
            return last
        case _:
            return None
