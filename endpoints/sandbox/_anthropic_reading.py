"""Reads Anthropic messages requests; the turns themselves are read in ``_anthropic_turns``."""

from __future__ import annotations

from forebay.endpoints.sandbox._anthropic_errors import bad
from forebay.endpoints.sandbox._anthropic_turns import Turns, tool_name
from forebay.endpoints.sandbox._call import Call, CountCall, Effort, Tool, ToolDemand
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Request
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject, dumps

_MIN_BUDGET = 1024
_NO_SAMPLING_SINCE = "2026-10-21"
_ANSWER_ONLY = (
    "max_tokens",
    "stream",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "metadata",
    "service_tier",
)
_EFFORTS = {
    "low": Effort.LOW,
    "medium": Effort.MEDIUM,
    "high": Effort.HIGH,
    "xhigh": Effort.HIGH,
    "max": Effort.HIGH,
}


def read_messages(fields: Fields, request: Request, models: Models) -> Call:
    """Check a messages request.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    version = _version(request)
    model = _model(fields, models)
    max_tokens = fields.integer("max_tokens")
    if max_tokens < 0:
        raise bad(("max_tokens",), "Input should be greater than or equal to 0")
    if max_tokens > model.max_output_tokens:
        raise bad(
            ("max_tokens",),
            f"{max_tokens} > {model.max_output_tokens}, which is the maximum allowed number of "
            f"output tokens for {model.name}",
        )
    call = _read(fields, model, version, max_tokens)
    if call.input_tokens > model.context_tokens:
        raise Refused(
            Failure(
                FailureKind.CONTEXT,
                f"prompt is too long: {call.input_tokens} tokens > {model.context_tokens} maximum",
            )
        )
    return call


def read_count(fields: Fields, request: Request, models: Models) -> CountCall:
    """Check a request to count tokens: the same but for what only an answer needs.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    version = _version(request)
    model = _model(fields, models)
    for name in _ANSWER_ONLY:
        if name in fields.values:
            raise bad((name,), "Extra inputs are not permitted")
    call = _read(fields, model, version, model.max_output_tokens)
    return CountCall(
        model=model,
        model_name=call.model_name,
        stream=False,
        input_tokens=0,
        user_text=call.user_text,
        counted_tokens=call.input_tokens,
    )


def _version(request: Request) -> str:
    version = request.headers.get("anthropic-version")
    if not version:
        raise bad((), "anthropic-version: header is required")
    return version


def _model(fields: Fields, models: Models) -> SandboxModel:
    name = fields.text("model")
    model = models.get(name)
    if model is None:
        raise Refused(Failure(FailureKind.NO_MODEL, f"model: {name}", "model"))
    return model


def _read(fields: Fields, model: SandboxModel, version: str, max_tokens: int) -> Call:
    name = model.name
    turns = Turns(model)
    if fields.has("system"):
        turns.system.extend(turns.texts(fields, "system"))
    if not fields.array("messages"):
        raise bad(("messages",), "at least one message is required")
    for message in fields.objects("messages"):
        turns.add(message)
    turns.end()
    _check_sampling(fields, version)
    tools, tools_size = _tools(fields)
    if tools and not model.tools:
        raise _unsupported(f"{name} does not support tools")
    demand = _demand(fields, tools)
    effort, hides_thinking = _thinking(fields, model, max_tokens)
    if effort is not None and turns.said_before:
        raise bad(("messages",), "prefilling assistant messages is not supported with thinking")
    if _has_budget(fields):
        if demand.forced:
            raise bad((), "Thinking may not be enabled when tool_choice forces tool use.")
        if turns.results and not turns.opens_with_thinking:
            raise bad(
                ("messages",),
                "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When "
                "`thinking` is enabled, a final `assistant` message must start with a thinking "
                "block.",
            )
    schema = _schema(fields)
    return Call(
        model=model,
        model_name=name,
        stream=fields.flag("stream", default=False),
        input_tokens=prompt_tokens(turns.size + tools_size, turns.image_count),
        system_text="\n".join(turns.system),
        user_text=turns.user_text,
        said_before=turns.said_before,
        images=tuple(turns.images),
        tool_results=tuple(turns.results),
        tools=tools,
        demand=demand,
        json_only=schema is not None,
        json_schema=schema,
        stop=_stop(fields),
        max_tokens=max_tokens,
        effort=effort,
        hides_thinking=hides_thinking,
    )


def _check_sampling(fields: Fields, version: str) -> None:
    for name, high in (("temperature", 1.0), ("top_p", 1.0), ("top_k", None)):
        value = fields.optional_number(name)
        if value is None:
            continue
        if version >= _NO_SAMPLING_SINCE:
            raise bad((name,), f"not supported with anthropic-version {version}")
        if value < 0 or (high is not None and value > high):
            raise bad((name,), f"range: 0..{'' if high is None else 1}")


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], int]:
    """The client's own tools; server tools are taken and never used."""
    tools: list[Tool] = []
    size = 0
    for item in fields.objects("tools"):
        size += len(dumps(item.values))
        name = tool_name(item)
        if item.optional_text("type") not in (None, "custom"):
            continue
        schema = item.object("input_schema")
        if schema.values.get("type") != "object":
            raise bad(schema.at("type"), "Input should be 'object'")
        tools.append(Tool(name, schema.values))
    return tuple(tools), size


def _demand(fields: Fields, tools: tuple[Tool, ...]) -> ToolDemand:
    choice = fields.optional_object("tool_choice")
    if choice is None:
        return ToolDemand()
    kind = choice.text("type")
    parallel = not choice.flag("disable_parallel_tool_use", default=False)
    if kind not in ("auto", "any", "tool", "none"):
        raise bad(choice.at("type"), f"'{kind}': Input should be 'auto', 'any', 'tool' or 'none'")
    if not fields.has("tools"):
        raise bad(("tool_choice",), "may only be specified while providing tools")
    if kind != "tool":
        return ToolDemand(allowed=kind != "none", forced=kind == "any", parallel=parallel)
    name = choice.text("name")
    if name not in [tool.name for tool in tools]:
        raise bad(choice.at("name"), f"Tool '{name}' not found in provided tools")
    return ToolDemand(forced=True, name=name, parallel=parallel)


def _thinking(fields: Fields, model: SandboxModel, max_tokens: int) -> tuple[Effort | None, bool]:
    """How long to think, and whether to leave its text out."""
    config = fields.optional_object("output_config")
    effort = Effort.MEDIUM
    asked_effort = config.optional_text("effort") if config is not None else None
    if asked_effort is not None:
        if asked_effort not in _EFFORTS:
            raise bad(("output_config", "effort"), f"Input should be one of {list(_EFFORTS)}")
        effort = _EFFORTS[asked_effort]
    thinking = fields.optional_object("thinking")
    if thinking is None:
        wanted = asked_effort is not None or model.thinking is Thinking.BY_DEFAULT
        if asked_effort is not None and model.thinking is Thinking.NEVER:
            raise _unsupported(f"{model.name} does not support effort")
        return (effort if wanted else None), False
    kind = thinking.text("type")
    if kind == "disabled":
        return None, False
    if kind not in ("enabled", "adaptive", "between_tools"):
        raise bad(thinking.at("type"), f"'{kind}': Input should be 'enabled', 'adaptive', ...")
    if model.thinking is Thinking.NEVER:
        raise _unsupported(f"{model.name} does not support thinking")
    if kind == "enabled":
        budget = thinking.integer("budget_tokens")
        if budget < _MIN_BUDGET:
            raise bad(
                thinking.at("budget_tokens"),
                f"Input should be greater than or equal to {_MIN_BUDGET}",
            )
        if budget >= max_tokens:
            raise bad((), "`max_tokens` must be greater than `thinking.budget_tokens`.")
    return effort, thinking.optional_text("display") == "omitted"


def _has_budget(fields: Fields) -> bool:
    """Thinking by a budget: only then does the API refuse forced tools, and tool loops without the
    thinking that began them. Adaptive thinking bears both."""
    thinking = fields.optional_object("thinking")
    return thinking is not None and thinking.text("type") == "enabled"


def _schema(fields: Fields) -> JsonObject | None:
    config = fields.optional_object("output_config")
    wanted = config.optional_object("format") if config is not None else None
    if wanted is None:
        return None
    if wanted.text("type") != "json_schema":
        raise bad(wanted.at("type"), "Input should be 'json_schema'")
    return wanted.object("schema").values


def _stop(fields: Fields) -> tuple[str, ...]:
    stop = fields.texts("stop_sequences")
    if not all(sequence.strip() for sequence in stop):
        raise bad(("stop_sequences",), "each stop sequence must contain non-whitespace")
    return tuple(stop)


def _unsupported(message: str) -> Refused:
    return Refused(Failure(FailureKind.UNSUPPORTED, message))
