"""Tools and their calls. Arguments are an object on the wire, and text inside."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Extras,
    OpaqueTool,
    Tool,
    ToolCall,
    ToolChoiceMode,
)
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_list,
    optional_object,
    optional_string,
    required_string,
    rest_of,
)
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.jsontext import (
    InvalidJson,
    JsonObject,
    JsonValue,
    dumps_text,
    is_writable,
    loads,
    loads_object,
)

_TOOL_FIELDS = frozenset({"type", "function"})
_FUNCTION_FIELDS = frozenset({"name", "description", "parameters"})
_CALL_FIELDS = frozenset({"id", "function"})
_CALLED_FIELDS = frozenset({"name", "arguments"})
_HARMLESS_BRACKETS = 200


def decode_tools(body: JsonObject) -> tuple[Tool, ...]:
    tools = optional_list(body, "tools") or ()
    return tuple(
        _decode_tool(as_object(value, f"tools[{at}]"), f"tools[{at}].")
        for at, value in enumerate(tools)
    )


def _decode_tool(raw: JsonObject, path: str) -> Tool:
    function = _function_of(raw, path)
    inside = f"{path}function."
    # Anything but "function" is taken by Ollama as one, too; only the word is kept.
    kind = optional_string(raw, "type", path)
    outer = rest_of(raw, _TOOL_FIELDS)
    if kind not in (None, "function"):
        outer["type"] = kind
    return Tool(
        name=required_string(function, "name", inside),
        description=optional_string(function, "description", inside),
        parameters=optional_object(function, "parameters", inside),
        extras=_nested_extras(outer, rest_of(function, _FUNCTION_FIELDS)),
    )


def encode_tools(request: ChatRequest) -> tuple[list[JsonObject], list[str]]:
    """The ``tools`` that the model is to see, and the fields that could not be said.

    There is no ``tool_choice``: none is said by declaring no tool, a named one by declaring only
    that one. That a call *must* come can't be said.

    Raises:
        ApiFailure: BAD_REQUEST, a tool belongs to another provider, or the chosen one is missing.
    """
    dropped: list[str] = []
    choice = request.tool_choice
    if choice is not None and choice.mode is ToolChoiceMode.NONE:
        return [], dropped
    tools = [_portable(tool) for tool in request.tools]
    if choice is not None and choice.mode is ToolChoiceMode.NAMED:
        tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            raise bad_request(
                f"'tool_choice' names the tool {choice.name!r}, which is not among 'tools'",
                param="tool_choice",
                code="invalid_value",
            )
    if choice is not None and choice.mode in (ToolChoiceMode.NAMED, ToolChoiceMode.REQUIRED):
        dropped.append("tool_choice")
    if any(tool.strict for tool in tools):
        dropped.append("tools.strict")
    return [_encode_tool(tool) for tool in tools], dropped


def _portable(tool: Tool | OpaqueTool) -> Tool:
    if isinstance(tool, Tool):
        return tool
    raise bad_request(
        f"this model's provider can't run tools of type {str(tool.raw.get('type'))!r}: "
        "leave it out of 'tools', or declare a function",
        param="tools",
        code="unsupported_tool",
    )


def _encode_tool(tool: Tool) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    outer, inner = _restored(tool.extras)
    return {"type": "function", **outer, "function": {**function, **inner}}


def decode_tool_calls(message: JsonObject, path: str) -> tuple[ToolCall, ...]:
    """Read ``tool_calls`` of a message in a request; an id that is missing reads as ``""``."""
    calls = optional_list(message, "tool_calls", path) or ()
    return tuple(
        _decode_call(as_object(value, f"{path}tool_calls[{at}]"), f"{path}tool_calls[{at}].")
        for at, value in enumerate(calls)
    )


def _decode_call(raw: JsonObject, path: str) -> ToolCall:
    function = _function_of(raw, path)
    inside = f"{path}function."
    return ToolCall(
        id=optional_string(raw, "id", path) or "",
        name=required_string(function, "name", inside),
        arguments=_decode_arguments(function, inside),
        extras=_nested_extras(rest_of(raw, _CALL_FIELDS), rest_of(function, _CALLED_FIELDS)),
    )


def _decode_arguments(function: JsonObject, path: str) -> str:
    try:
        return arguments_text(optional_object(function, "arguments", path) or {})
    except InvalidJson as fault:
        raise bad_request(
            f"'{path}arguments' can't be read: {fault}", param=f"{path}arguments"
        ) from None


def encode_tool_call(call: ToolCall) -> JsonObject:
    """A call of an earlier turn, as it goes upstream."""
    outer, inner = _restored(call.extras)
    encoded: JsonObject = {"id": call.id} if call.id else {}
    encoded.update(outer)
    encoded["function"] = {
        "name": call.name,
        "arguments": arguments_object(call.arguments),
        **inner,
    }
    return encoded


def arguments_text(value: JsonValue) -> str:
    """Arguments that came as an object, as text.

    Raises:
        InvalidJson: they are nested deeper than JSON can be written.
    """
    return dumps_text(value)


def arguments_object(text: str) -> JsonObject:
    """The arguments as an object, whatever the model wrote: what is none goes under ``_raw``."""
    if not text.strip():
        return {}
    try:
        value = loads_object(text)
    except InvalidJson:
        return {"_raw": text}
    return value if _can_be_written(text, value) else {"_raw": text}


def is_whole_object(text: str) -> bool:
    """Whether the arguments are a JSON object that was written to its end."""
    try:
        return isinstance(loads(text), dict)
    except InvalidJson:
        return False


def _can_be_written(text: str, value: JsonObject) -> bool:
    """More levels can be read than written. Few texts have enough brackets to be looked at."""
    if text.count("{") + text.count("[") < _HARMLESS_BRACKETS:
        return True
    return is_writable(value)


def _function_of(raw: JsonObject, path: str) -> JsonObject:
    function = optional_object(raw, "function", path)
    if function is None:
        raise missing(f"{path}function")
    return function


def _nested_extras(outer: JsonObject, inner: JsonObject) -> Extras:
    if inner:
        outer["function"] = inner
    return {OLLAMA: outer} if outer else {}


def _restored(extras: Extras) -> tuple[JsonObject, JsonObject]:
    outer = dict(extras.get(OLLAMA, {}))
    inner = outer.pop("function", None)
    return outer, inner if isinstance(inner, dict) else {}
