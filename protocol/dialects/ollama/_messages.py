"""The messages of a chat: from and to the turns of a canonical request.

An Ollama message holds one text, one train of thought, images and calls side by side; a tool's
result is a message of its own. Ids of calls are optional on the wire, and usually lost by
clients: calls and results are paired here by id, name and order, so that every other dialect
finds ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Audio,
    Document,
    Extras,
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
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_list,
    optional_string,
    rest_of,
)
from forebay.protocol.dialects.ollama._images import decode_images, encode_image
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.ollama._tools import decode_tool_calls, encode_tool_call
from forebay.protocol.dialects.tool_ids import with_tool_ids
from forebay.protocol.jsontext import JsonObject, JsonValue

_MESSAGE_FIELDS = frozenset(
    {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}
)
_TOOL = "tool"
_CONTROL = "control"
"""A system message for the template instead of the model (granite's ``thinking`` switch)."""
_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    _CONTROL: Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
# Blocks of a system prompt are paragraphs of their own, those of a user are lines; an answer that
# was cut into blocks goes back together as it was.
_SEPARATORS = {Role.SYSTEM: "\n\n", Role.DEVELOPER: "\n\n", Role.USER: "\n", Role.ASSISTANT: ""}


def decode_messages(body: JsonObject) -> tuple[Turn, ...]:
    """The turns of ``messages``; none at all is legal (a request to load the model).

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    turns: list[Turn] = []
    results: list[Part] = []
    for at, value in enumerate(optional_list(body, "messages") or ()):
        path = f"messages[{at}]"
        message = as_object(value, path)
        role = _role(message, f"{path}.")
        if role == _TOOL:
            results.append(_decode_result(message, f"{path}."))
            continue
        if results:
            turns.append(Turn(role=Role.USER, parts=tuple(results)))
            results.clear()
        turns.append(_decode_turn(message, role, f"{path}."))
    if results:
        turns.append(Turn(role=Role.USER, parts=tuple(results)))
    paired = with_tool_ids(tuple(turns))
    names = _call_names(paired)
    return tuple(_with_named_results(turn, names) for turn in paired)


def _call_names(turns: Iterable[Turn]) -> dict[str, str]:
    return {
        part.id: part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)
    }


def _with_named_results(turn: Turn, names: Mapping[str, str]) -> Turn:
    """Clients leave out the name as well as the id; both are known once the pairs are."""
    parts = tuple(
        replace(part, name=names.get(part.call_id))
        if isinstance(part, ToolResult) and part.name is None
        else part
        for part in turn.parts
    )
    return replace(turn, parts=parts)


def _role(message: JsonObject, path: str) -> str:
    role = (optional_string(message, "role", path) or "").lower()
    if not role:
        raise missing(f"{path}role")
    if role != _TOOL and role not in _ROLES:
        raise bad_request(
            f"invalid value {role!r} for '{path}role': expected one of 'system', 'user', "
            "'assistant', 'tool'",
            param=f"{path}role",
            code="invalid_value",
        )
    return role


def _decode_turn(message: JsonObject, role: str, path: str) -> Turn:
    parts: list[Part] = []
    thinking = optional_string(message, "thinking", path)
    if thinking:
        parts.append(Thinking(text=thinking))
    # Ollama's templates put images before the text, too.
    parts += decode_images(message, path)
    content = optional_string(message, "content", path)
    if content:
        parts.append(Text(content))
    parts += decode_tool_calls(message, path)
    extras = rest_of(message, _MESSAGE_FIELDS)
    if role == _CONTROL:
        extras["role"] = _CONTROL
    return Turn(role=_ROLES[role], parts=tuple(parts), extras=_extras(extras))


def _decode_result(message: JsonObject, path: str) -> ToolResult:
    content = optional_string(message, "content", path)
    texts = (Text(content),) if content else ()
    return ToolResult(
        call_id=optional_string(message, "tool_call_id", path) or "",
        name=optional_string(message, "tool_name", path) or None,
        content=(*texts, *decode_images(message, path)),
        extras=_extras(rest_of(message, _MESSAGE_FIELDS)),
    )


def _extras(rest: JsonObject) -> Extras:
    return {OLLAMA: rest} if rest else {}


def encode_messages(turns: Sequence[Turn]) -> list[JsonValue]:
    """The messages of turns that came in any dialect, in their order.

    Raises:
        ApiFailure: BAD_REQUEST, a part can't be said here: a link to an image, a document, audio,
            or a part of another provider's own.
    """
    paired = with_tool_ids(tuple(turns))
    names = _call_names(paired)
    return [message for turn in paired for message in _messages_of(turn, names)]


def _messages_of(turn: Turn, names: Mapping[str, str]) -> Iterator[JsonObject]:
    said: list[Part] = []
    results = False
    for part in turn.parts:
        # Results come first: they have to follow the message with their calls.
        if isinstance(part, ToolResult):
            results = True
            yield _encode_result(part, names)
        else:
            said.append(part)
    if said or not results:
        yield _encode_turn(turn, said)


def _encode_turn(turn: Turn, parts: Iterable[Part]) -> JsonObject:
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[JsonValue] = []
    calls: list[JsonValue] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Thinking(text=text):
                # A redacted block has no text, and means nothing to another provider.
                if text:
                    thoughts.append(text)
            case Image():
                images.append(encode_image(part))
            case ToolCall():
                calls.append(encode_tool_call(part))
            case _:
                raise _unsayable(part)
    role = Role.SYSTEM if turn.role is Role.DEVELOPER else turn.role
    message: JsonObject = {"role": str(role), "content": _SEPARATORS[role].join(texts)}
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if images:
        message["images"] = images
    if calls:
        message["tool_calls"] = calls
    return {**message, **turn.extras.get(OLLAMA, {})}


def _encode_result(result: ToolResult, names: Mapping[str, str]) -> JsonObject:
    texts: list[str] = []
    images: list[JsonValue] = []
    for part in result.content:
        match part:
            case Text(text=text):
                texts.append(text)
            case Image():
                images.append(encode_image(part))
            case _:
                raise _unsayable(part)
    content = "\n".join(texts)
    # No field says that a call failed, so that the text has to.
    message: JsonObject = {
        "role": _TOOL,
        "content": f"Error: {content}" if result.is_error else content,
    }
    name = result.name or names.get(result.call_id)
    if name:
        message["tool_name"] = name
    if result.call_id:
        message["tool_call_id"] = result.call_id
    if images:
        message["images"] = images
    return {**message, **result.extras.get(OLLAMA, {})}


def _unsayable(part: Part) -> ApiFailure:
    match part:
        case Audio():
            what = "audio: send a transcript as text instead"
        case Document():
            what = "documents: send their text instead"
        case Opaque():
            kind = str(part.raw.get("type"))
            what = f"parts of type {kind!r} ({part.dialect}): leave them out of 'messages'"
        case _:
            what = f"a {type(part).__name__} at this place: move it to a user message"
    return bad_request(
        f"this model's provider does not take {what}", param="messages", code="unsupported_content"
    )
