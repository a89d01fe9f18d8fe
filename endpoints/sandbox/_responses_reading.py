"""Reads requests to OpenAI's Responses API as strictly as OpenAI does where clients get it wrong.

Unlike compatible servers, OpenAI refuses fields that it does not know here. Functions are the only
tools. Conversations and prompts are kept by nobody; what else is kept is told by whoever keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from forebay.endpoints.sandbox._call import Call, CountCall, Effort
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import bad, check_ranges, find_model, refused
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._responses_echo import echo_of
from forebay.endpoints.sandbox._responses_items import Items, check_name, unsupported_value
from forebay.endpoints.sandbox._responses_tools import read_demand, read_tools
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject

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
    keeps: bool = True
    """The response is to be there later."""
    input_items: tuple[JsonObject, ...] = ()
    """All of the input, in the form in which it is listed."""


class EarlierResponse(Protocol):
    """A response that another one may go on from."""

    @property
    def conversation(self) -> list[JsonObject]:
        """All items up to its end."""


class Earlier(Protocol):
    """Finds them."""

    def find(self, wanted: str) -> EarlierResponse | None: ...


def read_response(fields: Fields, models: Models, earlier: Earlier) -> ResponsesCall:
    """Check a request for a response.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    previous = check_known(fields, _KNOWN, earlier)
    in_background, keeps = _keeping(fields)
    model = find_model(fields, models)
    items = read_items(fields, model, previous, needed=previous is None)
    tools, tools_size = read_tools(fields)
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
    demand, choice = read_demand(fields, tools)
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
        echo=echo_of(fields, choice),
        in_background=in_background,
        keeps=keeps,
        input_items=tuple(items.listed),
        summarizes=summarizes,
        encrypts="reasoning.encrypted_content" in include,
    )


def read_count(fields: Fields, models: Models, earlier: Earlier) -> CountCall:
    """Check a request to count input tokens.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    previous = check_known(fields, _COUNTED, earlier)
    model = find_model(fields, models)
    items = read_items(fields, model, previous, needed=False)
    tools, tools_size = read_tools(fields)
    read_demand(fields, tools)
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


def check_known(fields: Fields, known: frozenset[str], earlier: Earlier) -> EarlierResponse | None:
    """Check that no other fields than ``known`` are there, and find what they go on from."""
    for name in fields.values:
        if name not in known:
            raise refused(
                FailureKind.BAD_VALUE, f"Unknown parameter: '{name}'.", name, "unknown_parameter"
            )
    previous = fields.optional_text("previous_response_id")
    found = None if previous is None else earlier.find(previous)
    if previous is not None and found is None:
        raise refused(
            FailureKind.BAD_VALUE,
            f"Previous response with id '{previous}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    for name in _KEPT_ELSEWHERE:
        if fields.has(name):
            raise _unsupported(name)
    return found


def _keeping(fields: Fields) -> tuple[bool, bool]:
    """Whether the response is made in the background, and whether it is kept."""
    in_background = fields.flag("background", default=False)
    keeps = fields.flag("store", default=True)
    if in_background and not keeps:
        raise refused(
            FailureKind.BAD_VALUE, "Background mode requires 'store' to be true.", "store"
        )
    return in_background, keeps


def read_items(
    fields: Fields, model: SandboxModel, previous: EarlierResponse | None, *, needed: bool
) -> Items:
    """What the input adds up to, with what it goes on from."""
    items = Items(model)
    for said in [] if previous is None else previous.conversation:
        items.add(Fields(said))
    instructions = fields.optional_text("instructions")
    if instructions:
        items.system.append(instructions)
        items.size += len(instructions.encode())
    value = fields.values.get("input")
    if isinstance(value, str):
        items.add_text(value)
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
    check_includable(include, path_text(fields.at("include")))
    return include


def check_includable(names: Iterable[str], param: str) -> None:
    """Raises Refused: one of these can't be included."""
    for at, name in enumerate(names):
        if name not in _INCLUDABLE:
            quoted = ", ".join(f"'{one}'" for one in _INCLUDABLE)
            raise refused(
                FailureKind.BAD_VALUE,
                f"Invalid value: '{name}'. Supported values are: {quoted}.",
                f"{param}[{at}]",
            )


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


def _unsupported(param: str) -> Refused:
    return refused(
        FailureKind.UNSUPPORTED,
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param,
    )
