"""Tools, and the choice among them: from and to the canonical form.

Other APIs know functions only. So a *custom* tool, which takes free text, is a function with one
string to them, and the tools of a *namespace* are functions with both names in one. Both stay raw
as well, and calls of them are given back to the client in the form that it declared
(:mod:`_call_forms`). What the provider itself runs (web search and the like) can't be said
elsewhere: it stays opaque.
"""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    OpaqueTool,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from forebay.protocol.dialects.fields import (
    as_object,
    optional_bool,
    optional_list,
    optional_object,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai.responses._content import unsayable
from forebay.protocol.dialects.openai.responses._names import RESPONSES, kept, raw_of
from forebay.protocol.jsontext import JsonObject, JsonValue

CUSTOM = "custom"
"""In the ``extras`` of a tool: the custom tool as it was declared."""
NAMESPACE = "namespace"
"""In the ``extras`` of a tool: the namespace that holds it, without its tools."""
NAME = "name"
"""In the ``extras`` of a tool: its name inside its namespace."""
CUSTOM_INPUT = "input"
"""The one field of the function that stands for a custom tool."""

_FUNCTION_FIELDS = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string"}},
    "required": [CUSTOM_INPUT],
    "additionalProperties": False,
}

AnyTool = Tool | OpaqueTool


def flat_name(namespace: str | None, name: str) -> str:
    """What a tool of a namespace is called where there are none; the same in every request."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def decode_tools(body: JsonObject) -> tuple[AnyTool, ...]:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field.
    """
    tools: list[AnyTool] = []
    for at, value in enumerate(optional_list(body, "tools") or ()):
        tools += _decode_tool(as_object(value, f"tools[{at}]"), f"tools[{at}].")
    return tuple(tools)


def _decode_tool(tool: JsonObject, path: str) -> list[AnyTool]:
    match required_string(tool, "type", path):
        case "function":
            return [_decode_function(tool, path)]
        case "custom":
            return [_decode_custom(tool, path)]
        case "namespace":
            return _decode_namespace(tool, path)
        case _:
            return [OpaqueTool(RESPONSES, tool)]


def _decode_function(tool: JsonObject, path: str) -> Tool:
    return Tool(
        name=required_string(tool, "name", path),
        description=optional_string(tool, "description", path),
        parameters=optional_object(tool, "parameters", path),
        strict=optional_bool(tool, "strict", path),
        extras=kept(rest_of(tool, _FUNCTION_FIELDS)),
    )


def _decode_custom(tool: JsonObject, path: str) -> Tool:
    return Tool(
        name=required_string(tool, "name", path),
        description=_with_format(
            optional_string(tool, "description", path), optional_object(tool, "format", path)
        ),
        parameters=_CUSTOM_PARAMETERS,
        extras={RESPONSES: {CUSTOM: tool}},
    )


def _with_format(description: str | None, form: JsonObject | None) -> str | None:
    """A function can't enforce a grammar; the model is at least told of it."""
    match form:
        case {"type": "grammar", "definition": str(definition), **rest}:
            syntax = rest.get("syntax", "lark")
            rule = f"The input must follow this {syntax} grammar:\n{definition}"
            return f"{description}\n\n{rule}" if description else rule
        case _:
            return description


def _decode_namespace(tool: JsonObject, path: str) -> list[AnyTool]:
    name = required_string(tool, "name", path)
    shell = rest_of(tool, ("type", "tools"))
    tools: list[AnyTool] = []
    for at, value in enumerate(optional_list(tool, "tools", path) or ()):
        inner = as_object(value, f"{path}tools[{at}]")
        for decoded in _decode_tool(inner, f"{path}tools[{at}]."):
            if not isinstance(decoded, Tool):
                return [OpaqueTool(RESPONSES, tool)]
            raw = {**raw_of(decoded.extras), NAMESPACE: shell, NAME: decoded.name}
            tools.append(
                Tool(
                    name=flat_name(name, decoded.name),
                    description=decoded.description,
                    parameters=decoded.parameters,
                    strict=decoded.strict,
                    extras={RESPONSES: raw},
                )
            )
    return tools or [OpaqueTool(RESPONSES, tool)]


def encode_tools(tools: tuple[AnyTool, ...], *, same_api: bool) -> list[JsonValue]:
    """``tools``, with those of a namespace back in it.

    Args:
        same_api: They came in this API, where ``strict`` is on unless it is said; elsewhere it
            is off.

    Raises:
        ApiFailure: BAD_REQUEST, a tool is another dialect's own.
    """
    encoded: list[JsonValue] = []
    shell: JsonValue = None
    inside: list[JsonValue] = []
    for tool in tools:
        holder = raw_of(tool.extras).get(NAMESPACE) if isinstance(tool, Tool) else None
        if holder is None:
            encoded.append(_encode_tool(tool, same_api=same_api))
        elif holder is shell:  # one and the same: two alike may stand side by side
            inside.append(_encode_tool(tool, same_api=same_api))
        else:
            inside = [_encode_tool(tool, same_api=same_api)]
            assert isinstance(holder, dict)
            encoded.append({"type": "namespace", **holder, "tools": inside})
        shell = holder
    return encoded


def _encode_tool(tool: AnyTool, *, same_api: bool) -> JsonObject:
    if isinstance(tool, OpaqueTool):
        if tool.dialect != RESPONSES:
            kind = tool.raw.get("type") or tool.raw.get("name")
            raise unsayable(f"the tool '{kind}' ({tool.dialect})", param="tools")
        return tool.raw
    raw = raw_of(tool.extras)
    custom = raw.get(CUSTOM)
    if isinstance(custom, dict):
        return custom
    encoded: JsonObject = {"type": "function", "name": raw.get(NAME) or tool.name}
    if tool.description is not None:
        encoded["description"] = tool.description
    if tool.parameters is not None:
        encoded["parameters"] = tool.parameters
    elif not same_api:
        encoded["parameters"] = {"type": "object", "properties": {}}
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    elif not same_api:
        encoded["strict"] = False
    rest = {name: value for name, value in raw.items() if name not in (NAMESPACE, NAME)}
    return {**encoded, **rest}


# The choice among them


def decode_tool_choice(
    body: JsonObject, tools: tuple[AnyTool, ...], *, more_tools: bool
) -> tuple[ToolChoice | None, JsonValue]:
    """The canonical choice, and the raw field where the canonical form can't say all of it.

    Args:
        more_tools: The provider may know of tools that this request does not say.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    value = body.get("tool_choice")
    match value:
        case None:
            return None, None
        case "none" | "auto":
            # Without tools it says nothing that another API could be told.
            choice = ToolChoice(ToolChoiceMode(value))
            return (choice, None) if tools else (None, value)
        case "required":
            choice, raw = ToolChoice(ToolChoiceMode.REQUIRED), None
        case str():
            raise _invalid_choice("tool_choice")
        case dict():
            choice, raw = _decode_choice_object(value)
        case _:
            raise wrong_type("tool_choice", "a string or an object", value)
    if more_tools:
        return (choice if tools else None), raw or value
    if not tools:
        raise bad_request(
            "'tool_choice' asks for a call, but there are no tools", param="tool_choice"
        )
    if choice.mode is ToolChoiceMode.NAMED and not any(
        isinstance(tool, Tool) and tool.name == choice.name for tool in tools
    ):
        raise bad_request(
            f"'tool_choice' names the tool '{choice.name}', which is not among the tools",
            param="tool_choice",
            code="invalid_value",
        )
    return choice, raw


def _decode_choice_object(value: JsonObject) -> tuple[ToolChoice, JsonObject | None]:
    path = "tool_choice."
    match required_string(value, "type", path):
        case "function" | "custom" as kind:
            name = required_string(value, "name", path)
            namespace = optional_string(value, "namespace", path)
            plain = kind == "function" and set(value) == {"type", "name"}
            choice = ToolChoice(ToolChoiceMode.NAMED, flat_name(namespace, name))
            return choice, None if plain else value
        case "allowed_tools":
            mode = required_string(value, "mode", path)
            if mode not in ("auto", "required"):
                raise _invalid_choice(f"{path}mode")
            return ToolChoice(ToolChoiceMode(mode)), value
        case _:
            # A tool that the provider runs itself: it must be among the tools to be chosen.
            return ToolChoice(ToolChoiceMode.REQUIRED), value


def _invalid_choice(path: str) -> ApiFailure:
    return bad_request(
        f"invalid value for '{path}': expected 'none', 'auto', 'required' or the tool to call",
        param=path,
        code="invalid_value",
    )


def encode_tool_choice(choice: ToolChoice) -> JsonValue:
    if choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "name": choice.name}
    return choice.mode.value
