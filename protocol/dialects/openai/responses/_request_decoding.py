"""A client's request to the canonical form: every field but the items and the tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Role,
    Sampling,
    ServerState,
    Text,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from forebay.protocol.dialects.fields import (
    as_string,
    optional_bool,
    optional_int,
    optional_list,
    optional_number,
    optional_object,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai.responses._items import decode_input
from forebay.protocol.dialects.openai.responses._names import RESPONSES
from forebay.protocol.dialects.openai.responses._output_format import decode_text
from forebay.protocol.dialects.openai.responses._reasoning import decode_reasoning
from forebay.protocol.dialects.openai.responses._tools import decode_tool_choice, decode_tools
from forebay.protocol.jsontext import JsonObject, is_writable

INSTRUCTIONS = "instructions"
"""In the ``extras`` of a turn: it is the request's ``instructions``, not an item."""
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED_REASONING = "reasoning.encrypted_content"

# The others that are understood (`user`, `store`, `include` and so on) stay raw as well.
_UNDERSTOOD = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "text",
        "reasoning",
        "metadata",
        "service_tier",
        "stream",
    }
)
_SAID_TWICE = (
    "user",
    "safety_identifier",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "stream_options",
)
_STRINGS = (
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "truncation",
)
_ECHOED = ("tools", "tool_choice", "text", "reasoning", "prompt", "conversation")


def decode_request(body: JsonObject, *, needs_input: bool = True) -> ChatRequest:
    """
    Args:
        needs_input: Whether there must be something to answer.

    Raises:
        ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    model = required_string(body, "model")
    state = _decode_state(body)
    knows_more = bool(state.previous_response_id or state.conversation_id or state.prompt_id)
    decoded = decode_input(body, may_be_empty=knows_more or not needs_input)
    tools = decode_tools(body)
    tool_choice, raw_choice = decode_tool_choice(
        body, tools, more_tools=state.prompt_id is not None
    )
    output, text = decode_text(body)
    include = _decode_include(body)
    _check(body)
    extras = rest_of(body, _UNDERSTOOD)
    if raw_choice is not None:
        extras["tool_choice"] = raw_choice
    if text:
        extras["text"] = text
    return ChatRequest(
        model=model,
        turns=(*_instructions(body), *decoded.turns),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=optional_bool(body, "parallel_tool_calls"),
        max_output_tokens=_decode_limit(body),
        sampling=_decode_sampling(body, logprobs=LOGPROBS in include),
        output=output,
        reasoning=decode_reasoning(body),
        user_id=optional_string(body, "safety_identifier") or optional_string(body, "user"),
        metadata=_decode_metadata(body),
        service_tier=optional_string(body, "service_tier"),
        stream=optional_bool(body, "stream") or False,
        state=replace(state, item_ids=decoded.item_ids),
        extras={RESPONSES: extras},
        said_twice=_said_twice(extras, tool_choice, include) & extras.keys(),
    )


def _said_twice(
    extras: JsonObject, tool_choice: ToolChoice | None, include: tuple[str, ...]
) -> frozenset[str]:
    """The raw fields that mean nothing beyond what the canonical form says."""
    names = set(_SAID_TWICE)
    if extras.get("store") is False:
        names.add("store")
    if extras.get("truncation") in (None, "disabled"):
        names.add("truncation")
    if LOGPROBS in include or not extras.get("top_logprobs"):
        names.add("top_logprobs")
    if set(include) <= {LOGPROBS, ENCRYPTED_REASONING}:
        names.add("include")
    choice = extras.get("tool_choice")
    if isinstance(choice, str) or (
        tool_choice is not None and tool_choice.mode is ToolChoiceMode.NAMED
    ):
        names.add("tool_choice")
    return frozenset(names)


def _instructions(body: JsonObject) -> tuple[Turn, ...]:
    text = optional_string(body, "instructions")
    if not text:
        return ()
    return (Turn(role=Role.SYSTEM, parts=(Text(text),), extras={RESPONSES: {INSTRUCTIONS: True}}),)


def _decode_state(body: JsonObject) -> ServerState:
    conversation = body.get("conversation")
    match conversation:
        case None | str():
            conversation_id = conversation
        case dict():
            conversation_id = required_string(conversation, "id", "conversation.")
        case _:
            raise wrong_type("conversation", "a string or an object", conversation)
    previous = optional_string(body, "previous_response_id")
    if previous is not None and conversation_id is not None:
        raise bad_request(
            "'previous_response_id' and 'conversation' can't be used together: leave one out",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    prompt = optional_object(body, "prompt")
    stored = optional_bool(body, "store")
    return ServerState(
        previous_response_id=previous,
        conversation_id=conversation_id,
        prompt_id=None if prompt is None else required_string(prompt, "id", "prompt."),
        background=optional_bool(body, "background") or False,
        store=True if stored is None else stored,
    )


def _decode_include(body: JsonObject) -> tuple[str, ...]:
    values = optional_list(body, "include") or ()
    return tuple(as_string(value, f"include[{at}]") for at, value in enumerate(values))


def _decode_limit(body: JsonObject) -> int | None:
    limit = optional_int(body, "max_output_tokens")
    if limit is not None and limit < 1:
        raise bad_request(
            f"'max_output_tokens' must be at least 1, got {limit}; leave it out for no limit",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    return limit


def _decode_sampling(body: JsonObject, *, logprobs: bool) -> Sampling:
    top_logprobs = optional_int(body, "top_logprobs")
    return Sampling(
        temperature=optional_number(body, "temperature"),
        top_p=optional_number(body, "top_p"),
        logprobs=True if logprobs else None,
        top_logprobs=top_logprobs if logprobs else None,
    )


def _decode_metadata(body: JsonObject) -> Mapping[str, str] | None:
    value = optional_object(body, "metadata")
    if value is None:
        return None
    return {name: as_string(text, f"metadata.{name}") for name, text in value.items()}


def _check(body: JsonObject) -> None:
    """What only the answer's echo shows must be of its type, too."""
    for name in _STRINGS:
        optional_string(body, name)
    optional_int(body, "max_tool_calls")
    optional_object(body, "stream_options")
    echoed: JsonObject = {name: body[name] for name in _ECHOED if name in body}
    if not is_writable(echoed):
        raise bad_request(
            "the request can't be answered: its tools or formats are nested too deeply"
        )
