"""Reads requests to OpenAI's Responses API as strictly as OpenAI does where clients get it wrong.

Unlike compatible servers, OpenAI refuses fields that it does not know here. Functions are the only
tools, and nothing is kept between requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from forebay.endpoints.sandbox._call import Call, CountCall, Effort, Tool, ToolDemand
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import bad, check_ranges, find_model, refused
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._responses_items import Items, check_name, unsupported_value
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_COUNTED = frozenset(
    {
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    }
)
"""What a request to count may have."""
_KNOWN = _COUNTED | {
    "background",
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
}
_INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_EFFORTS = {
    "none": None,
    "minimal": Effort.LOW,
    "low": Effort.LOW,
    "medium": Effort.MEDIUM,
    "high": Effort.HIGH,
    "xhigh": Effort.HIGH,
    "max": Effort.HIGH,
}
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "top_logprobs": (0, 20)}
_LEAST_OUTPUT = 16
_KEPT_ELSEWHERE = ("conversation", "prompt")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesCall(Call):
    """A request for a response."""

    echo: JsonObject
    """What the response repeats of its request."""
    summarizes: bool = False
    """Reasoning is shown as a summary."""
    encrypts: bool = False
    """Reasoning comes with what brings it back."""


def read_response(fields: Fields, models: Models) -> ResponsesCall:
    """Check a request for a response.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    _check_known(fields, _KNOWN)
    model = find_model(fields, models)
    items = _read_items(fields, model, needed=True)
    tools, tools_size = _tools(fields)
    if tools and not model.tools:
        raise _unsupported("tools")
    check_ranges(fields, _RANGES)
    include = _include(fields)
    json_only, json_schema = _format(fields)
    effort, summarizes = _reasoning(fields, model)
    input_tokens = prompt_tokens(items.size + tools_size, items.image_count)
    if input_tokens > model.context_tokens:
        raise refused(
            FailureKind.CONTEXT,
            "Your input exceeds the context window of this model. Please adjust your input and "
            "try again.",
            "input",
        )
    demand, choice = _demand(fields, tools)
    return ResponsesCall(
        model=model,
        model_name=model.name,
        stream=_stream(fields),
        input_tokens=input_tokens,
        system_text="\n".join(items.system),
        user_text=items.user_text,
        images=tuple(items.images),
        tool_results=tuple(items.results),
        tools=tools,
        demand=demand,
        json_only=json_only,
        json_schema=json_schema,
        max_tokens=_max_tokens(fields, model),
        effort=effort,
        echo=_echo(fields, choice),
        summarizes=summarizes,
        encrypts="reasoning.encrypted_content" in include,
    )


def read_count(fields: Fields, models: Models) -> CountCall:
    """Check a request to count input tokens.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    _check_known(fields, _COUNTED)
    model = find_model(fields, models)
    items = _read_items(fields, model, needed=False)
    tools, tools_size = _tools(fields)
    _demand(fields, tools)
    _format(fields)
    _reasoning(fields, model)
    counted = prompt_tokens(items.size + tools_size, items.image_count)
    return CountCall(
        model=model,
        model_name=model.name,
        stream=False,
        input_tokens=0,
        counted_tokens=counted,
        user_text=items.user_text,
    )


def _check_known(fields: Fields, known: frozenset[str]) -> None:
    for name in fields.values:
        if name not in known:
            raise refused(
                FailureKind.BAD_VALUE, f"Unknown parameter: '{name}'.", name, "unknown_parameter"
            )
    previous = fields.optional_text("previous_response_id")
    if previous is not None:
        raise refused(
            FailureKind.BAD_VALUE,
            f"Previous response with id '{previous}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    for name in _KEPT_ELSEWHERE:
        if fields.has(name):
            raise _unsupported(name)
    if "background" in known and fields.flag("background", default=False):
        raise _unsupported("background")


def _read_items(fields: Fields, model: SandboxModel, *, needed: bool) -> Items:
    items = Items(model)
    instructions = fields.optional_text("instructions")
    if instructions:
        items.system.append(instructions)
        items.size += len(instructions.encode())
    value = fields.values.get("input")
    if isinstance(value, str):
        items.user_text = value
        items.size += len(value.encode())
    elif value is not None or needed:
        if value is None:
            fields.text("input")
        if not isinstance(value, list):
            raise fields.wrong("input", JsonType.TEXT)
        if not value:
            raise bad("input", "empty array. Expected an array with minimum length 1.")
        for item in fields.objects("input"):
            items.add(item)
    items.end()
    return items


def _stream(fields: Fields) -> bool:
    stream = fields.flag("stream", default=False)
    options = fields.optional_object("stream_options")
    if options is not None:
        if not stream:
            raise bad("stream_options", "it is only allowed when 'stream' is enabled.")
        options.flag("include_obfuscation", default=True)
    return stream


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], int]:
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


def _demand(fields: Fields, tools: tuple[Tool, ...]) -> tuple[ToolDemand, JsonValue]:
    """What is demanded, and how the response repeats it."""
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


def _format(fields: Fields) -> tuple[bool, JsonObject | None]:
    text = fields.optional_object("text")
    if text is None:
        return False, None
    verbosity = text.optional_text("verbosity")
    if verbosity not in (None, "low", "medium", "high"):
        raise unsupported_value(text, "verbosity", ("low", "medium", "high"))
    wanted = text.optional_object("format")
    if wanted is None:
        return False, None
    match wanted.text("type"):
        case "text":
            return False, None
        case "json_object":
            return True, None
        case "json_schema":
            check_name(wanted)
            return True, wanted.object("schema").values
        case _:
            raise unsupported_value(wanted, "type", ("json_object", "json_schema", "text"))


def _reasoning(fields: Fields, model: SandboxModel) -> tuple[Effort | None, bool]:
    usual = Effort.MEDIUM if model.thinking is Thinking.BY_DEFAULT else None
    reasoning = fields.optional_object("reasoning")
    if reasoning is None:
        return usual, False
    summary = reasoning.optional_text("summary")
    if summary not in (None, "auto", "concise", "detailed"):
        raise unsupported_value(reasoning, "summary", ("auto", "concise", "detailed"))
    effort = reasoning.optional_text("effort")
    if effort is None:
        return usual, summary is not None
    if effort not in _EFFORTS:
        raise unsupported_value(reasoning, "effort", tuple(_EFFORTS))
    if model.thinking is Thinking.NEVER and effort != "none":
        raise _unsupported("reasoning.effort")
    return _EFFORTS[effort], summary is not None


def _include(fields: Fields) -> list[str]:
    include = fields.texts("include")
    for at, name in enumerate(include):
        if name not in _INCLUDABLE:
            quoted = ", ".join(f"'{one}'" for one in _INCLUDABLE)
            raise refused(
                FailureKind.BAD_VALUE,
                f"Invalid value: '{name}'. Supported values are: {quoted}.",
                path_text(fields.at("include", at)),
            )
    return include


def _max_tokens(fields: Fields, model: SandboxModel) -> int | None:
    limit = fields.optional_integer("max_output_tokens")
    if limit is None:
        return None
    if limit < _LEAST_OUTPUT:
        raise refused(
            FailureKind.BAD_VALUE,
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{_LEAST_OUTPUT}, but got {limit} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    if limit > model.max_output_tokens:
        raise refused(
            FailureKind.BAD_VALUE,
            "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= "
            f"{model.max_output_tokens}, but got {limit} instead.",
            "max_output_tokens",
            "integer_above_max_value",
        )
    return limit


def _echo(fields: Fields, choice: JsonValue) -> JsonObject:
    given = fields.values
    text = fields.optional_object("text")
    reasoning = fields.optional_object("reasoning")
    metadata = fields.optional_object("metadata")
    names = [] if metadata is None else list(metadata.values)
    tools: list[JsonValue] = [
        {"description": None, "strict": True, "parameters": None, **tool.values}
        for tool in fields.objects("tools")
    ]
    return {
        "background": False,
        "instructions": fields.optional_text("instructions"),
        "max_output_tokens": fields.optional_integer("max_output_tokens"),
        "max_tool_calls": fields.optional_integer("max_tool_calls"),
        "metadata": {name: metadata.text(name) for name in names} if metadata else {},
        "parallel_tool_calls": fields.flag("parallel_tool_calls", default=True),
        "previous_response_id": None,
        "prompt_cache_key": fields.optional_text("prompt_cache_key"),
        "prompt_cache_retention": fields.optional_text("prompt_cache_retention"),
        "reasoning": {
            "effort": None,
            "summary": None,
            **({} if reasoning is None else reasoning.values),
        },
        "safety_identifier": fields.optional_text("safety_identifier"),
        "service_tier": "default",
        "store": fields.flag("store", default=True),
        "temperature": 1.0 if given.get("temperature") is None else given["temperature"],
        "text": {
            "format": {"type": "text"},
            "verbosity": "medium",
            **({} if text is None else text.values),
        },
        "tool_choice": choice,
        "tools": tools,
        "top_logprobs": fields.optional_integer("top_logprobs") or 0,
        "top_p": 1.0 if given.get("top_p") is None else given["top_p"],
        "truncation": fields.optional_text("truncation") or "disabled",
        "user": fields.optional_text("user"),
    }


def _unsupported(param: str) -> Refused:
    return refused(
        FailureKind.UNSUPPORTED,
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param,
    )
