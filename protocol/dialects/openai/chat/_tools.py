"""Tools, the choice among them, and calls of them: from and to the canonical form.

The form before tools (``functions``, ``function_call``, role ``function``) is read as tools; a
client that speaks it is answered in it, an upstream is never sent it.
"""

from __future__ import annotations

import re

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Opaque,
    OpaqueTool,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
)
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_bool,
    optional_list,
    optional_object,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of, restored, with_nested
from forebay.protocol.dialects.openai.chat._content import unsayable
from forebay.protocol.dialects.tool_ids import fitted_id
from forebay.protocol.jsontext import JsonObject, JsonValue

_ANY_ID = re.compile(r".+", re.DOTALL)
_LONGEST_ID = 40
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")


def speaks_functions(request: ChatRequest) -> bool:
    """Whether the client speaks the form before tools and wants its answer in it."""
    return request.extra(OPENAI, "functions") is not None


# Tools


def decode_tools(body: JsonObject) -> tuple[Tool | OpaqueTool, ...]:
    """``tools``, or ``functions`` where there are none. Tools of a type other than ``function``
    are kept raw.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    tools = optional_list(body, "tools")
    if tools:
        return tuple(_decode_tool(value, f"tools[{at}]") for at, value in enumerate(tools))
    functions = optional_list(body, "functions") or ()
    return tuple(
        _decode_function(as_object(value, f"functions[{at}]"), f"functions[{at}].", {})
        for at, value in enumerate(functions)
    )


def _decode_tool(value: JsonValue, path: str) -> Tool | OpaqueTool:
    tool = as_object(value, path)
    if required_string(tool, "type", f"{path}.") != "function":
        return OpaqueTool(OPENAI, tool)
    function = optional_object(tool, "function", f"{path}.")
    if function is None:
        raise missing(f"{path}.function")
    return _decode_function(function, f"{path}.function.", rest_of(tool, ("type", "function")))


def _decode_function(function: JsonObject, path: str, rest: JsonObject) -> Tool:
    return Tool(
        name=required_string(function, "name", path),
        description=optional_string(function, "description", path),
        parameters=optional_object(function, "parameters", path),
        strict=optional_bool(function, "strict", path),
        extras=extras_of(with_nested(rest, "function", rest_of(function, _FUNCTION_FIELDS))),
    )


def encode_tool(tool: Tool | OpaqueTool) -> JsonObject:
    """Raises:
    ApiFailure: BAD_REQUEST, the tool is another dialect's own.
    """
    if isinstance(tool, OpaqueTool):
        if tool.dialect != OPENAI:
            kind = tool.raw.get("type") or tool.raw.get("name")
            raise unsayable(f"the tool '{kind}' ({tool.dialect})", param="tools")
        return tool.raw
    function: JsonObject = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return restored({"type": "function", "function": function}, tool.extras)


# The choice among them


def decode_tool_choice(
    body: JsonObject, tools: tuple[Tool | OpaqueTool, ...]
) -> tuple[ToolChoice | None, JsonValue]:
    """The canonical choice, and the raw field where the canonical form can't say all of it
    (``allowed_tools``, ``custom``).

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    name = "tool_choice"
    value = body.get(name)
    if value is None and not body.get("tools"):
        name = "function_call"
        value = body.get(name)
    match value:
        case None:
            return None, None
        case "none" | "auto":
            return (ToolChoice(ToolChoiceMode(value)) if tools else None), None
        case "required" if name == "tool_choice":
            choice, raw = ToolChoice(ToolChoiceMode.REQUIRED), None
        case str():
            raise _invalid_choice(name)
        case dict():
            choice, raw = _decode_choice_object(value, name)
        case _:
            raise wrong_type(name, "a string or an object", value)
    if not tools:
        raise bad_request(f"'{name}' asks for a call, but there are no tools", param=name)
    if raw is None and choice.mode is ToolChoiceMode.NAMED:
        _check_named(choice, tools, name)
    return choice, raw


def _decode_choice_object(value: JsonObject, name: str) -> tuple[ToolChoice, JsonObject | None]:
    if name == "function_call":
        called = required_string(value, "name", f"{name}.")
        return ToolChoice(ToolChoiceMode.NAMED, called), None
    kind = required_string(value, "type", f"{name}.")
    inner = optional_object(value, kind, f"{name}.")
    if inner is None and kind in ("function", "custom", "allowed_tools"):
        raise missing(f"{name}.{kind}")
    match kind:
        case "function" | "custom":
            assert inner is not None
            called = required_string(inner, "name", f"{name}.{kind}.")
            choice = ToolChoice(ToolChoiceMode.NAMED, called)
            return choice, value if kind == "custom" else None
        case "allowed_tools":
            assert inner is not None
            mode = required_string(inner, "mode", f"{name}.{kind}.")
            if mode not in ("auto", "required"):
                raise _invalid_choice(f"{name}.{kind}.mode")
            return ToolChoice(ToolChoiceMode(mode)), value
        case _:
            raise _invalid_choice(f"{name}.type")


def _invalid_choice(path: str) -> ApiFailure:
    return bad_request(
        f"invalid value for '{path}': expected 'none', 'auto', 'required' or the tool to call",
        param=path,
        code="invalid_value",
    )


def _check_named(choice: ToolChoice, tools: tuple[Tool | OpaqueTool, ...], path: str) -> None:
    if not any(isinstance(tool, Tool) and tool.name == choice.name for tool in tools):
        raise bad_request(
            f"'{path}' names the tool '{choice.name}', which is not among the tools",
            param=path,
            code="invalid_value",
        )


def encode_tool_choice(choice: ToolChoice) -> JsonValue:
    if choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode.value


# Calls in messages


def decode_calls(message: JsonObject, path: str) -> tuple[ToolCall | Opaque, ...]:
    """``tool_calls`` and ``function_call`` of an assistant message; custom calls are kept raw.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    calls = tuple(
        _decode_call(value, f"{path}tool_calls[{at}]")
        for at, value in enumerate(optional_list(message, "tool_calls", path) or ())
    )
    function = optional_object(message, "function_call", path)
    if function is None:
        return calls
    return (*calls, _called_function(function, f"{path}function_call.", call_id="", rest={}))


def _decode_call(value: JsonValue, path: str) -> ToolCall | Opaque:
    call = as_object(value, path)
    call_id = required_string(call, "id", f"{path}.")
    function = optional_object(call, "function", f"{path}.")
    if function is None:
        # Mistral's clients leave the type of function calls out, OpenAI's never.
        if required_string(call, "type", f"{path}.") == "function":
            raise missing(f"{path}.function")
        return Opaque(OPENAI, call)
    rest = rest_of(call, ("id", "type", "function"))
    return _called_function(function, f"{path}.function.", call_id=call_id, rest=rest)


def _called_function(
    function: JsonObject, path: str, *, call_id: str, rest: JsonObject
) -> ToolCall:
    return ToolCall(
        id=call_id,
        name=required_string(function, "name", path),
        arguments=optional_string(function, "arguments", path) or "",
        extras=extras_of(with_nested(rest, "function", rest_of(function, ("name", "arguments")))),
    )


def encode_call(call: ToolCall) -> JsonObject:
    function: JsonObject = {
        "name": call.name,
        "arguments": call.arguments if call.arguments.strip() else "{}",
    }
    encoded: JsonObject = {"id": chat_call_id(call.id), "type": "function", "function": function}
    return restored(encoded, call.extras)


def chat_call_id(call_id: str) -> str:
    """The id as an upstream of this API bears it: at most 40 characters."""
    return fitted_id(call_id, pattern=_ANY_ID, max_length=_LONGEST_ID)
