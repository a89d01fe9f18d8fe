"""The items of ``input`` to canonical turns.

Items are flat; turns are not. What the assistant did without being answered becomes one turn,
since other APIs want all calls of a turn in one message; a second message begins a new turn as
long as no call is open. Adjacent results of tools become one user turn. Each part remembers the
fields of its item, so that the items can be written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import (
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
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai.responses._call_forms import custom_arguments
from forebay.protocol.dialects.openai.responses._content import (
    SAID_BY_MODEL,
    SAID_TO_MODEL,
    ContentPart,
    decode_content,
    present_string,
)
from forebay.protocol.dialects.openai.responses._names import (
    ITEM,
    RESPONSES,
    RESULTS,
    kept,
    raw_of,
)
from forebay.protocol.dialects.openai.responses._reasoning import decode_reasoning_item
from forebay.protocol.dialects.openai.responses._tools import CUSTOM, flat_name
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, dumps_text

_OUTPUTS_WITHOUT_THE_SUFFIX = ("mcp_approval_response", "additional_tools", "item_reference")
"""Items of unknown kinds that, like results, come from the client."""


@dataclass(frozen=True, slots=True)
class DecodedInput:
    turns: tuple[Turn, ...]
    item_ids: tuple[str, ...]
    """The items that are only referred to."""


def decode_input(body: JsonObject, *, may_be_empty: bool) -> DecodedInput:
    """The turns that ``input`` says.

    Args:
        may_be_empty: There may be no input, since the server knows what to go on from.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    value = body.get("input")
    match value:
        case None if may_be_empty:
            return DecodedInput((), ())
        case None:
            raise missing("input")
        case str():
            return DecodedInput((Turn(role=Role.USER, parts=(Text(value),)),), ())
        case list():
            if not value and not may_be_empty:
                raise bad_request(
                    "'input' is empty: expected a string or at least one item",
                    param="input",
                    code="empty_array",
                )
            reader = _ItemReader()
            for at, entry in enumerate(value):
                reader.add(as_object(entry, f"input[{at}]"), f"input[{at}].")
            return reader.decoded()
        case _:
            raise wrong_type("input", "a string or an array of items", value)


class _ItemReader:
    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._assistant: list[Part] = []
        self._has_message = False
        self._has_calls = False
        self._results: list[Part] = []
        self._item_ids: list[str] = []

    def decoded(self) -> DecodedInput:
        self._end_turn()
        return DecodedInput(tuple(self._turns), tuple(self._item_ids))

    def add(self, item: JsonObject, path: str) -> None:
        # Messages may come without a type.
        kind = optional_string(item, "type", path) or "message"
        match kind:
            case "message":
                self._add_message(item, path)
            case "function_call":
                self._add_call(_decode_call(item, path))
            case "custom_tool_call":
                self._add_call(_decode_custom_call(item, path))
            case "function_call_output" | "custom_tool_call_output":
                self._add_result(_decode_result(item, path, custom=kind != "function_call_output"))
            case "reasoning":
                self._add_thinking(decode_reasoning_item(item, path))
            case "item_reference":
                self._item_ids.append(required_string(item, "id", path))
                self._add_result(Opaque(RESPONSES, item))
            case _ if kind.endswith("_output") or kind in _OUTPUTS_WITHOUT_THE_SUFFIX:
                self._add_result(Opaque(RESPONSES, item))
            case _:
                self._add_call(Opaque(RESPONSES, item))

    def _add_message(self, item: JsonObject, path: str) -> None:
        role = _role(item, path)
        if role is not Role.ASSISTANT:
            self._end_turn()
            self._turns.append(_decode_message(item, role, path))
            return
        if self._results or (self._has_message and not self._has_calls):
            self._end_turn()
        self._assistant += _decode_answer(item, path)
        self._has_message = True

    def _add_thinking(self, thinking: Thinking) -> None:
        if self._results or (self._has_message and not self._has_calls):
            self._end_turn()
        self._assistant.append(thinking)

    def _add_call(self, call: ToolCall | Opaque) -> None:
        if self._results:
            self._end_turn()
        self._assistant.append(call)
        self._has_calls = True

    def _add_result(self, result: ToolResult | Opaque) -> None:
        self._results.append(result)

    def _end_turn(self) -> None:
        if self._assistant:
            self._turns.append(Turn(role=Role.ASSISTANT, parts=tuple(self._assistant)))
        if self._results:
            self._turns.append(
                Turn(
                    role=Role.USER,
                    parts=tuple(self._results),
                    extras={RESPONSES: {RESULTS: True}},
                )
            )
        self._assistant, self._results = [], []
        self._has_message = self._has_calls = False


def _role(item: JsonObject, path: str) -> Role:
    role = required_string(item, "role", path)
    try:
        return Role(role)
    except ValueError:
        known = ", ".join(repr(role.value) for role in Role)
        raise bad_request(
            f"invalid value {role!r} for '{path}role': expected one of {known}",
            param=f"{path}role",
            code="invalid_value",
        ) from None


def _content_of(item: JsonObject, path: str, text_type: str) -> tuple[ContentPart, ...]:
    content = decode_content(item.get("content"), f"{path}content", text_type=text_type)
    if content is None:
        raise missing(f"{path}content")
    return content


def _decode_message(item: JsonObject, role: Role, path: str) -> Turn:
    return Turn(
        role=role,
        parts=_content_of(item, path, SAID_TO_MODEL),
        extras=kept(rest_of(item, ("role", "content"))),
    )


def _decode_answer(item: JsonObject, path: str) -> Sequence[Part]:
    parts = _content_of(item, path, SAID_BY_MODEL)
    for part in parts:
        if not isinstance(part, Text | Refusal):
            return (Opaque(RESPONSES, item),)
    shell = rest_of(item, ("role", "content"))
    first = parts[0] if parts else Text("")
    assert isinstance(first, Text | Refusal)
    marked = replace(first, extras={RESPONSES: {**raw_of(first.extras), ITEM: shell}})
    return (marked, *parts[1:])


def _decode_call(item: JsonObject, path: str) -> ToolCall:
    name = required_string(item, "name", path)
    namespace = optional_string(item, "namespace", path)
    known = ["type", "call_id", "arguments"] + ([] if namespace else ["name"])
    return ToolCall(
        id=required_string(item, "call_id", path),
        name=flat_name(namespace, name),
        arguments=_arguments(item, path),
        extras={RESPONSES: {ITEM: rest_of(item, known)}},
    )


def _arguments(item: JsonObject, path: str) -> str:
    value = item.get("arguments")
    if isinstance(value, dict):  # compatible servers' clients
        try:
            return dumps_text(value)
        except InvalidJson as fault:
            raise bad_request(
                f"'{path}arguments' can't be read: {fault}", param=f"{path}arguments"
            ) from None
    return present_string(item, "arguments", path)


def _decode_custom_call(item: JsonObject, path: str) -> ToolCall:
    name = required_string(item, "name", path)
    namespace = optional_string(item, "namespace", path)
    known = ["type", "call_id", "input"] + ([] if namespace else ["name"])
    return ToolCall(
        id=required_string(item, "call_id", path),
        name=flat_name(namespace, name),
        arguments=custom_arguments(present_string(item, "input", path)),
        extras={RESPONSES: {ITEM: rest_of(item, known), CUSTOM: True}},
    )


def _decode_result(item: JsonObject, path: str, *, custom: bool) -> ToolResult:
    content: list[Text | Image | Document] = []
    parts = decode_content(item.get("output"), f"{path}output", text_type=SAID_TO_MODEL)
    if parts is None:
        raise missing(f"{path}output")
    for at, part in enumerate(parts):
        if not isinstance(part, Text | Image | Document):
            where = f"{path}output[{at}].type"
            raise bad_request(
                f"'{where}' must be 'input_text', 'input_image' or 'input_file' in the result of "
                "a tool",
                param=where,
                code="invalid_value",
            )
        content.append(part)
    raw: JsonObject = {ITEM: rest_of(item, ("type", "call_id", "output"))}
    if custom:
        raw[CUSTOM] = True
    return ToolResult(
        call_id=required_string(item, "call_id", path),
        content=tuple(content),
        extras={RESPONSES: raw},
    )


def input_of_one_string(value: JsonValue) -> JsonObject | None:
    """The item that a plain string stands for; None where ``value`` is none."""
    if not isinstance(value, str):
        return None
    return {
        "type": "message",
        "role": Role.USER.value,
        "content": [{"type": SAID_TO_MODEL, "text": value}],
    }
