"""Tools of the Responses API, and which of them is to be called: functions only."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Tool, ToolDemand
from forebay.endpoints.sandbox._failures import FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._openai_fields import refused
from forebay.endpoints.sandbox._responses_items import check_name, unsupported_value
from forebay.protocol.jsontext import JsonValue, dumps


def read_tools(fields: Fields) -> tuple[tuple[Tool, ...], int]:
    """The functions, and how many bytes they take.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    tools: list[Tool] = []
    size = 0
    for item in fields.objects("tools"):
        if item.text("type") != "function":
            raise unsupported_value(item, "type", ("function",))
        name = check_name(item)
        item.optional_text("description")
        item.flag("strict", default=True)
        parameters = item.optional_object("parameters")
        tools.append(Tool(name, {} if parameters is None else parameters.values))
        size += len(dumps(item.values))
    return tuple(tools), size


def read_demand(fields: Fields, tools: tuple[Tool, ...]) -> tuple[ToolDemand, JsonValue]:
    """What is demanded, and how the response repeats it.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    parallel = fields.flag("parallel_tool_calls", default=True)
    choice = fields.values.get("tool_choice")
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise unsupported_value(fields, "tool_choice", ("none", "auto", "required"))
        if choice == "required" and not tools:
            raise _choice_without_tools()
        demand = ToolDemand(
            allowed=choice != "none", forced=choice == "required", parallel=parallel
        )
        return demand, choice
    named = fields.optional_object("tool_choice")
    if named is None:
        return ToolDemand(parallel=parallel), "auto"
    match named.text("type"):
        case "function":
            name = named.text("name")
            if name not in [tool.name for tool in tools]:
                raise refused(
                    FailureKind.BAD_VALUE,
                    f"Tool choice 'function' not found in 'tools' parameter: '{name}'.",
                    "tool_choice",
                )
            return ToolDemand(forced=True, name=name, parallel=parallel), named.values
        case "allowed_tools":
            forced = named.text("mode") == "required" and bool(tools)
            return ToolDemand(forced=forced, parallel=parallel), named.values
        case _:
            raise unsupported_value(named, "type", ("function", "allowed_tools"))


def _choice_without_tools() -> Refused:
    return refused(
        FailureKind.BAD_VALUE,
        "Tool choice 'required' must be specified with 'tools' parameter.",
        "tool_choice",
    )
