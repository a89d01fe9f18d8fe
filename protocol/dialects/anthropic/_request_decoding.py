"""A client's request, read into the canonical form.

Source: the Messages API as of ``anthropic-version: 2026-10-21``, and what earlier versions took
(``output_format`` at the top level, sampling parameters).
"""

from __future__ import annotations

from enum import StrEnum

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import (
    TEXT_OUTPUT,
    ChatRequest,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Role,
    Sampling,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from forebay.protocol.dialects.anthropic._block_decoding import read_content
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, kept
from forebay.protocol.dialects.anthropic._reasoning_decoding import read_reasoning
from forebay.protocol.dialects.fields import (
    as_object,
    as_string,
    missing,
    optional_bool,
    optional_choice,
    optional_int,
    optional_list,
    optional_number,
    optional_object,
    optional_string,
    required_string,
    rest_of,
)
from forebay.protocol.jsontext import JsonObject

_REQUEST_FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "output_config",
        "output_format",
        "tools",
        "tool_choice",
        "metadata",
        "service_tier",
    }
)


class _MessageRole(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class _ChoiceType(StrEnum):
    AUTO = "auto"
    ANY = "any"
    TOOL = "tool"
    NONE = "none"


_CHOICE_MODES = {
    _ChoiceType.AUTO: ToolChoiceMode.AUTO,
    _ChoiceType.ANY: ToolChoiceMode.REQUIRED,
    _ChoiceType.TOOL: ToolChoiceMode.NAMED,
    _ChoiceType.NONE: ToolChoiceMode.NONE,
}


def decode_request(body: JsonObject, *, needs_max_tokens: bool = True) -> ChatRequest:
    """Read the body of ``POST /v1/messages``; without ``max_tokens`` that of ``count_tokens``.

    Raises:
        ApiFailure: BAD_REQUEST, naming the field at fault.
    """
    output_config = optional_object(body, "output_config") or {}
    metadata = optional_object(body, "metadata") or {}
    tool_choice, parallel = _read_tool_choice(body)
    extras = rest_of(body, _REQUEST_FIELDS)
    if rest := rest_of(output_config, ("effort", "format")):
        extras["output_config"] = rest
    if rest := rest_of(metadata, ("user_id",)):
        extras["metadata"] = rest
    return ChatRequest(
        model=required_string(body, "model"),
        turns=(*_read_system(body), *_read_messages(body)),
        tools=_read_tools(body),
        tool_choice=tool_choice,
        parallel_tool_calls=parallel,
        max_output_tokens=_read_max_tokens(body, required=needs_max_tokens),
        sampling=Sampling(
            temperature=optional_number(body, "temperature"),
            top_p=optional_number(body, "top_p"),
            top_k=optional_int(body, "top_k"),
        ),
        stop=_read_stop_sequences(body),
        output=_read_output(body, output_config),
        reasoning=read_reasoning(body, output_config),
        user_id=optional_string(metadata, "user_id", "metadata."),
        service_tier=optional_string(body, "service_tier"),
        stream=optional_bool(body, "stream") or False,
        # Streams of this dialect always report usage.
        stream_usage=True,
        extras={ANTHROPIC: extras},
    )


def _read_max_tokens(body: JsonObject, *, required: bool) -> int | None:
    limit = optional_int(body, "max_tokens")
    if limit is None and required:
        raise missing("max_tokens")
    # 0 asks for the prompt to be cached, without an answer.
    if limit is not None and limit < 0:
        raise bad_request("'max_tokens' must be 0 or more", param="max_tokens")
    return limit


def _read_system(body: JsonObject) -> tuple[Turn, ...]:
    if body.get("system") is None:
        return ()
    parts = read_content(body["system"], "system", Role.SYSTEM)
    return (Turn(role=Role.SYSTEM, parts=parts),) if parts else ()


def _read_messages(body: JsonObject) -> list[Turn]:
    messages = optional_list(body, "messages")
    if messages is None:
        raise missing("messages")
    if not messages:
        raise bad_request("'messages' must hold at least one message", param="messages")
    turns: list[Turn] = []
    for at, value in enumerate(messages):
        path = f"messages[{at}]"
        message = as_object(value, path)
        said = optional_choice(message, "role", _MessageRole, f"{path}.")
        if said is None:
            raise missing(f"{path}.role")
        role = Role(said)
        # The role as a raw field sets a system message in the midst apart from the field `system`.
        known = ("content",) if role is Role.SYSTEM else ("role", "content")
        turns.append(
            Turn(
                role=role,
                parts=read_content(message.get("content"), f"{path}.content", role),
                extras=kept(message, known),
            )
        )
    return turns


def _read_tools(body: JsonObject) -> tuple[Tool | OpaqueTool, ...]:
    tools: list[Tool | OpaqueTool] = []
    for at, value in enumerate(optional_list(body, "tools") or []):
        path = f"tools[{at}]"
        tool = as_object(value, path)
        if optional_string(tool, "type", f"{path}.") not in {None, "custom"}:
            tools.append(OpaqueTool(ANTHROPIC, tool))
            continue
        name = required_string(tool, "name", f"{path}.")
        schema = optional_object(tool, "input_schema", f"{path}.")
        if schema is None:
            raise missing(f"{path}.input_schema")
        tools.append(
            Tool(
                name=name,
                description=optional_string(tool, "description", f"{path}."),
                parameters=schema,
                strict=optional_bool(tool, "strict", f"{path}."),
                extras=kept(tool, ("name", "description", "input_schema", "strict")),
            )
        )
    return tuple(tools)


def _read_tool_choice(body: JsonObject) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be parallel."""
    choice = optional_object(body, "tool_choice")
    if choice is None:
        return None, None
    kind = optional_choice(choice, "type", _ChoiceType, "tool_choice.")
    if kind is None:
        raise missing("tool_choice.type")
    name = required_string(choice, "name", "tool_choice.") if kind is _ChoiceType.TOOL else None
    disabled = optional_bool(choice, "disable_parallel_tool_use", "tool_choice.")
    return ToolChoice(_CHOICE_MODES[kind], name), None if disabled is None else not disabled


def _read_stop_sequences(body: JsonObject) -> tuple[str, ...]:
    values = optional_list(body, "stop_sequences") or []
    return tuple(as_string(value, f"stop_sequences[{at}]") for at, value in enumerate(values))


def _read_output(body: JsonObject, output_config: JsonObject) -> OutputFormat:
    path = "output_config.format"
    wanted = optional_object(output_config, "format", "output_config.")
    if wanted is None:
        path = "output_format"
        wanted = optional_object(body, "output_format")
    if wanted is None:
        return TEXT_OUTPUT
    if required_string(wanted, "type", f"{path}.") != "json_schema":
        raise bad_request(
            f"invalid value {wanted['type']!r} for '{path}.type': expected 'json_schema'",
            param=f"{path}.type",
            code="invalid_value",
        )
    schema = optional_object(wanted, "schema", f"{path}.")
    if schema is None:
        raise missing(f"{path}.schema")
    return OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=schema)
