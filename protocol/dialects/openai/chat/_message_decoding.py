"""Messages of a client to canonical turns.

Consecutive ``tool`` messages become one user turn of results. The reasoning of an assistant
message becomes :class:`Thinking`, and stays raw in the turn's ``extras`` as well: it is put back
under its own name where this dialect is spoken again.
"""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Document,
    Image,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolResult,
    Turn,
)
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai._raw_fields import extras_of
from forebay.protocol.dialects.openai.chat._content import ContentPart, decode_content
from forebay.protocol.dialects.openai.chat._spoken import reasoning_text
from forebay.protocol.dialects.openai.chat._tools import decode_calls
from forebay.protocol.jsontext import JsonObject

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_RESULT_FIELDS = frozenset({"role", "tool_call_id", "content", "name"})
_ASSISTANT_FIELDS = frozenset({"role", "content", "name", "refusal", "tool_calls", "function_call"})


def decode_messages(body: JsonObject) -> tuple[Turn, ...]:
    """The turns of ``body["messages"]``.

    Raises:
        ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of messages", messages)
    if not messages:
        raise _empty_array("messages", "at least one message")
    turns: list[Turn] = []
    results: list[ToolResult] = []
    for at, value in enumerate(messages):
        message = as_object(value, f"messages[{at}]")
        path = f"messages[{at}]."
        role = required_string(message, "role", path)
        if role in ("tool", "function"):
            results.append(_decode_result(message, role, path))
            continue
        if results:
            turns.append(Turn(role=Role.USER, parts=tuple(results)))
            results.clear()
        turns.append(_decode_turn(message, role, path))
    if results:
        turns.append(Turn(role=Role.USER, parts=tuple(results)))
    return tuple(turns)


def _decode_turn(message: JsonObject, role: str, path: str) -> Turn:
    match role:
        case "assistant":
            return _decode_assistant(message, path)
        case "system" | "developer" | "user":
            return Turn(
                role=Role(role),
                parts=_required_content(message, path),
                name=optional_string(message, "name", path),
                extras=extras_of(rest_of(message, ("role", "content", "name"))),
            )
        case _:
            raise bad_request(
                f"invalid value {role!r} for '{path}role': expected one of "
                + ", ".join(repr(known) for known in _ROLES),
                param=f"{path}role",
                code="invalid_value",
            )


def _required_content(message: JsonObject, path: str) -> tuple[ContentPart, ...]:
    content = decode_content(message, path)
    if content is None:
        raise missing(f"{path}content")
    if not content:
        raise _empty_array(f"{path}content", "at least one content part")
    return content


def _decode_assistant(message: JsonObject, path: str) -> Turn:
    calls = decode_calls(message, path)
    refusal = optional_string(message, "refusal", path)
    reasoning = reasoning_text(message)
    parts: list[Part] = []
    if reasoning:
        parts.append(Thinking(text=reasoning))
    if calls or refusal or reasoning or isinstance(message.get("audio"), dict):
        parts += decode_content(message, path) or ()
    else:
        parts += _required_content(message, path)
    if refusal:
        parts.append(Refusal(refusal))
    return Turn(
        role=Role.ASSISTANT,
        parts=(*parts, *calls),
        name=optional_string(message, "name", path),
        extras=extras_of(rest_of(message, _ASSISTANT_FIELDS)),
    )


def _decode_result(message: JsonObject, role: str, path: str) -> ToolResult:
    content: list[Text | Image | Document] = []
    parts = decode_content(message, path)
    if parts is None and role == "tool":
        raise missing(f"{path}content")
    for at, part in enumerate(parts or ()):
        if not isinstance(part, Text | Image | Document):
            raise bad_request(
                f"'{path}content[{at}].type' must be 'text' or 'image_url' in the result of a tool",
                param=f"{path}content[{at}].type",
                code="invalid_value",
            )
        content.append(part)
    if role == "tool":
        call_id = required_string(message, "tool_call_id", path)
        name = optional_string(message, "name", path)
    else:
        call_id = ""
        name = required_string(message, "name", path)
    return ToolResult(
        call_id=call_id,
        name=name,
        content=tuple(content),
        extras=extras_of(rest_of(message, _RESULT_FIELDS)),
    )


def _empty_array(path: str, expected: str) -> ApiFailure:
    return bad_request(f"'{path}' is empty: expected {expected}", param=path, code="empty_array")
