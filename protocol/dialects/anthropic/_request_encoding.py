"""A request of any dialect, written for an upstream that speaks the Messages API."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from forebay.protocol.canonical.completions import refuse_raw_completion
from forebay.protocol.canonical.continuations import refuse_going_on
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    OpaqueTool,
    OutputKind,
    Sampling,
    Tool,
    ToolChoiceMode,
)
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.anthropic._losses import LOSSES
from forebay.protocol.dialects.anthropic._names import (
    ANTHROPIC,
    is_native,
    raw_fields,
)
from forebay.protocol.dialects.anthropic._output_schema import closed
from forebay.protocol.dialects.anthropic._reasoning_encoding import ThinkingPlan, plan_thinking
from forebay.protocol.dialects.anthropic._turn_encoding import EncodedTurns, encode_turns
from forebay.protocol.dialects.base import EncodedRequest, Prefill, UpstreamTraits
from forebay.protocol.dialects.tool_names import with_fitted_names
from forebay.protocol.jsontext import JsonObject, JsonValue

VERSION_HEADER = {"anthropic-version": "2023-06-01"}
"""The newest version whose models still take sampling parameters."""

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

_JSON_INSTRUCTION = "Answer with one valid JSON object and nothing else."

_SERVICE_TIERS = frozenset({"auto", "standard_only"})

_MIN_TOP_P_OF_THINKING = 0.95

_PERSONAL_ID = re.compile(r"\S+@\S+\.\S+|\+?[\d\s().-]{7,}")
"""An e-mail address or a telephone number: the API refuses them as ``user_id``."""
_MAX_USER_ID = 256


def encode_request(request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    """Write the body of ``POST /v1/messages``.

    Where the API refuses a combination that other dialects allow, the weaker wish yields:

    - Forced tools (``required``, or a named one) with thinking become ``tool_choice`` auto,
      reported as dropped.
    - Sampling that the model refuses altogether is left out (a client of this dialect hears the
      refusal itself).
    - ``temperature`` and ``top_k`` with thinking are left out, as is ``top_p`` below 0.95;
      newer models refuse ``temperature`` together with ``top_p``: the former stays.
    - Tools that the conversation has called must be declared: where the client declares none any
      more, they are declared by name with ``tool_choice`` none.

    Raises:
        ApiFailure: BAD_REQUEST, see :meth:`ChatCodec.encode_request`.
    """
    refuse_missing_state(request)
    refuse_raw_completion(request)
    if traits.prefill is Prefill.NONE:
        refuse_going_on(request)
    _refuse_what_cannot_be_said(request)
    native = is_native(request.extras)
    if not native:
        # A client of this dialect has named its tools as its upstream takes them.
        request = with_fitted_names(request, _TOOL_NAME)
    turns = encode_turns(request.turns)
    plan = plan_thinking(request, traits, unthought_tool_loop=turns.unthought_tool_loop)
    dropped: list[str] = []
    body: JsonObject = {"model": request.model, "max_tokens": plan.max_tokens}
    system = turns.system
    if _needs_json_instruction(request):
        system = [*system, {"type": "text", "text": _JSON_INSTRUCTION}]
    if system:
        body["system"] = system
    body["messages"] = turns.messages
    _add_tools(body, request, turns, plan, dropped)
    if stop := [sequence for sequence in request.stop if sequence.strip()]:
        body["stop_sequences"] = [*stop]
    sampling = request.sampling
    if not (native or traits.takes_sampling):
        sampling = _without_tuning(sampling, dropped)
    _add_sampling(body, sampling, plan, native=native, dropped=dropped)
    if plan.thinking is not None:
        body["thinking"] = plan.thinking
    if plan.dropped:
        dropped.append("thinking" if native else "reasoning")
    raw = dict(raw_fields(request.extras))
    _add_object(body, "output_config", _output_config(request, plan, native=native), raw)
    _add_object(body, "metadata", _metadata(request, native=native), raw)
    if request.service_tier in _SERVICE_TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        dropped.append("service_tier")
    dropped += LOSSES.dropped(request, traits)
    dropped += request.lost_extras(ANTHROPIC)
    if request.stream:
        body["stream"] = True
    for name, value in raw.items():
        body.setdefault(name, value)
    return EncodedRequest(body=body, dropped=tuple(dict.fromkeys(dropped)), headers=VERSION_HEADER)


def _refuse_what_cannot_be_said(request: ChatRequest) -> None:
    if request.choices > 1:
        raise bad_request("'n' must be 1: this model gives one answer per request", param="n")
    if request.sampling.logprobs:
        raise bad_request(
            "this model can't report log probabilities: leave out 'logprobs'", param="logprobs"
        )
    if request.sampling.top_logprobs:
        raise bad_request(
            "this model can't report log probabilities: leave out 'top_logprobs'",
            param="top_logprobs",
        )


def _add_tools(
    body: JsonObject,
    request: ChatRequest,
    turns: EncodedTurns,
    plan: ThinkingPlan,
    dropped: list[str],
) -> None:
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        choice = _tool_choice(request, plan, dropped)
        if choice is not None:
            body["tool_choice"] = choice
        return
    if request.tool_choice is not None and request.tool_choice.mode in {
        ToolChoiceMode.REQUIRED,
        ToolChoiceMode.NAMED,
    }:
        raise bad_request("'tool_choice' asks for a call, but there are no 'tools'", param="tools")
    if turns.tool_names and not is_native(request.extras):
        body["tools"] = [
            {"name": name, "input_schema": {"type": "object"}} for name in turns.tool_names
        ]
        body["tool_choice"] = {"type": "none"}


def _tool(tool: Tool | OpaqueTool) -> JsonObject:
    if isinstance(tool, OpaqueTool):
        if tool.dialect != ANTHROPIC:
            raise bad_request(
                f"a tool of type {tool.raw.get('type')!r} ({tool.dialect}) can't be used with"
                " this model: declare a function instead",
                param="tools",
            )
        return tool.raw
    written: JsonObject = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    schema = tool.parameters or {}
    written["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if tool.strict is not None:
        written["strict"] = tool.strict
    written.update(raw_fields(tool.extras))
    return written


def _tool_choice(request: ChatRequest, plan: ThinkingPlan, dropped: list[str]) -> JsonObject | None:
    choice = request.tool_choice
    parallel = request.parallel_tool_calls
    if choice is None:
        return None if parallel is not False else _choice("auto", parallel)
    match choice.mode:
        case ToolChoiceMode.NONE:
            return {"type": "none"}
        case ToolChoiceMode.AUTO:
            return _choice("auto", parallel)
        case _ if plan.thinks:
            dropped.append("tool_choice")
            return _choice("auto", parallel)
        case ToolChoiceMode.REQUIRED:
            return _choice("any", parallel)
        case ToolChoiceMode.NAMED:
            return {**_choice("tool", parallel), "name": choice.name}


def _choice(kind: str, parallel: bool | None) -> JsonObject:
    choice: JsonObject = {"type": kind}
    if parallel is not None:
        choice["disable_parallel_tool_use"] = not parallel
    return choice


def _without_tuning(sampling: Sampling, dropped: list[str]) -> Sampling:
    """For models that sample as they see fit: they refuse even their own defaults."""
    if sampling.temperature not in (None, 1):
        dropped.append("temperature")
    if sampling.top_p not in (None, 1):
        dropped.append("top_p")
    if sampling.top_k is not None:
        dropped.append("top_k")
    return replace(sampling, temperature=None, top_p=None, top_k=None)


def _add_sampling(
    body: JsonObject,
    sampling: Sampling,
    plan: ThinkingPlan,
    *,
    native: bool,
    dropped: list[str],
) -> None:
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if plan.thinks:
        if temperature is not None and temperature != 1:
            dropped.append("temperature")
        temperature = None
        if top_p is not None and not _MIN_TOP_P_OF_THINKING <= top_p <= 1:
            dropped.append("top_p")
            top_p = None
        if top_k is not None:
            dropped.append("top_k")
            top_k = None
    elif temperature is not None and top_p is not None and not native:
        if top_p != 1:
            dropped.append("top_p")
        top_p = None
    if temperature is not None:
        body["temperature"] = min(max(temperature, 0), 1)
    if top_p is not None:
        body["top_p"] = top_p
    if top_k is not None:
        body["top_k"] = top_k


def _needs_json_instruction(request: ChatRequest) -> bool:
    output = request.output
    return output.kind is OutputKind.JSON or (
        output.kind is OutputKind.JSON_SCHEMA and output.schema is None
    )


def _output_config(request: ChatRequest, plan: ThinkingPlan, *, native: bool) -> JsonObject:
    config: JsonObject = {}
    if plan.effort is not None:
        config["effort"] = plan.effort
    schema = request.output.schema
    if request.output.kind is OutputKind.JSON_SCHEMA and schema is not None:
        config["format"] = {"type": "json_schema", "schema": schema if native else closed(schema)}
    return config


def _metadata(request: ChatRequest, *, native: bool) -> JsonObject:
    user_id = request.user_id
    if user_id is None:
        return {}
    if not native and (len(user_id) > _MAX_USER_ID or _PERSONAL_ID.fullmatch(user_id)):
        user_id = hashlib.sha256(user_id.encode()).hexdigest()
    return {"user_id": user_id}


def _add_object(body: JsonObject, name: str, said: JsonObject, raw: JsonObject) -> None:
    """Set an object field from what the request says and the raw fields that it came with."""
    rest = raw.pop(name, None)
    written: dict[str, JsonValue] = {**said, **(rest if isinstance(rest, dict) else {})}
    if written:
        body[name] = written
