"""Reads OpenAI chat completion requests as strictly as OpenAI does where clients get it wrong.

What is checked beyond types: the order of tool calls and results, ids of at most 40 characters,
tool names, tool choices without tools, ranges of the sampling fields. Audio and file parts are
taken and ignored; unknown top-level fields too, as compatible servers do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from forebay.endpoints.sandbox._call import Call, Effort, Tool, ToolDemand
from forebay.endpoints.sandbox._conversation import Conversation
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import (
    bad,
    check_ranges,
    find_model,
    read_choices,
    read_stop,
    read_streaming,
    refused,
)
from forebay.endpoints.sandbox._openai_images import read_image
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject, dumps

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_ID = 40
_EFFORTS = {
    "none": None,
    "minimal": Effort.LOW,
    "low": Effort.LOW,
    "medium": Effort.MEDIUM,
    "high": Effort.HIGH,
    "xhigh": Effort.HIGH,
    "max": Effort.HIGH,
}
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "top_logprobs": (0, 20),
}


def read_chat(fields: Fields, models: Models) -> Call:
    """Check a chat completion request.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    model = find_model(fields, models)
    talk = _Messages(model)
    messages = fields.array("messages")
    if not messages:
        raise bad("messages", "empty array. Expected an array with minimum length 1.")
    for message in fields.objects("messages"):
        talk.add(message)
    talk.end()
    stream, includes_usage = read_streaming(fields)
    check_ranges(fields, _RANGES)
    tools, tools_size = _tools(fields)
    if tools and not model.tools:
        raise _unsupported("tools")
    json_only, json_schema = _response_format(fields)
    input_tokens = prompt_tokens(talk.size + tools_size, talk.image_count)
    if input_tokens > model.context_tokens:
        raise refused(
            FailureKind.CONTEXT,
            f"This model's maximum context length is {model.context_tokens} tokens. However, "
            f"your messages resulted in {input_tokens} tokens. "
            "Please reduce the length of the messages.",
            "messages",
        )
    return Call(
        model=model,
        model_name=model.name,
        stream=stream,
        input_tokens=input_tokens,
        system_text="\n".join(talk.system),
        user_text=talk.user_text,
        said_before=_said_before(fields, talk),
        images=tuple(talk.images),
        tool_results=tuple(talk.results),
        tools=tools,
        demand=_demand(fields, tools),
        json_only=json_only,
        json_schema=json_schema,
        stop=read_stop(fields),
        max_tokens=_max_tokens(fields, model),
        effort=_effort(fields, model),
        choices=read_choices(fields),
        includes_usage=includes_usage,
    )


@dataclass(slots=True)
class _Messages(Conversation):
    """What they add up to."""

    open_ids: list[str] = field(default_factory=list)
    """Tool calls of the last assistant message that have no result yet."""
    open_at: str = ""
    last_answer: str = ""
    """The text of the last message, if it is the assistant's."""
    is_prefix: bool = False
    """That message says that it is to be gone on with."""

    def add(self, message: Fields) -> None:
        role = message.text("role")
        if role != "tool":
            self.end()
        self.last_answer, self.is_prefix = "", False
        match role:
            case "system" | "developer":
                self.system.append(self._content(message, ("text",)))
            case "user":
                self.results.clear()
                self.images.clear()
                self.user_text = self._content(
                    message, ("text", "image_url", "input_audio", "file")
                )
            case "assistant":
                self.results.clear()
                self._add_assistant(message)
            case "tool":
                self._add_result(message)
            case "function":
                self.results.append(self._content(message, ("text",)))
            case _:
                raise bad(
                    path_text(message.at("role")),
                    f"'{role}'. Supported values are: 'system', 'developer', 'assistant', "
                    "'user', 'function', and 'tool'.",
                )

    def end(self) -> None:
        """The next message is of another role, or there is none: all results must be in."""
        if self.open_ids:
            raise refused(
                FailureKind.BAD_VALUE,
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'. The following tool_call_ids did not have "
                f"response messages: {', '.join(self.open_ids)}",
                self.open_at,
            )

    def _content(self, message: Fields, allowed: tuple[str, ...]) -> str:
        value = message.values.get("content")
        if isinstance(value, str):
            self.size += len(value.encode())
            return value
        if not message.has("content"):
            message.text("content")
        if not isinstance(value, list):
            raise message.wrong("content", JsonType.TEXT)
        texts: list[str] = []
        for part in message.objects("content"):
            kind = part.text("type")
            if kind not in allowed:
                raise bad(
                    path_text(part.at("type")),
                    f"'{kind}'. Supported values are: "
                    + ", ".join(f"'{one}'" for one in allowed)
                    + ".",
                )
            if kind == "text":
                texts.append(part.text("text"))
                self.size += len(texts[-1].encode())
            elif kind == "refusal":
                part.text("refusal")
            elif kind == "image_url":
                self._add_image(part)
        return "\n".join(texts)

    def _add_image(self, part: Fields) -> None:
        if not self.model.vision:
            raise _unsupported("image_url")
        self.image_count += 1
        self.images.append(read_image(part.object("image_url"), "url"))

    def _add_assistant(self, message: Fields) -> None:
        calls = message.objects("tool_calls")
        old_call = message.optional_object("function_call")
        self.is_prefix = message.flag("prefix", default=False)
        if message.has("content"):
            self.last_answer = self._content(message, ("text", "refusal"))
        elif not calls and old_call is None and not message.has("refusal"):
            message.text("content")
        for call in calls:
            identifier = call.text("id")
            if len(identifier) > _MAX_ID:
                raise refused(
                    FailureKind.BAD_VALUE,
                    f"Invalid '{path_text(call.at('id'))}': string too long. Expected a string "
                    f"with maximum length {_MAX_ID}, but got a string with length "
                    f"{len(identifier)} instead.",
                    path_text(call.at("id")),
                    "string_above_max_length",
                )
            function = call.object("function")
            self.size += len(_name(function)) + len(function.text("arguments").encode())
            self.open_ids.append(identifier)
        self.open_at = path_text(message.at())

    def _add_result(self, message: Fields) -> None:
        identifier = message.text("tool_call_id")
        if identifier not in self.open_ids:
            raise refused(
                FailureKind.BAD_VALUE,
                f"Invalid parameter: messages with role 'tool' must be a response to a preceding "
                f"message with 'tool_calls' ('{identifier}' is none).",
                path_text(message.at()),
            )
        self.open_ids.remove(identifier)
        self.results.append(self._content(message, ("text",)))


def _said_before(fields: Fields, talk: _Messages) -> str:
    """What the answer is to go on with: like OpenAI, a last message of the assistant's is answered
    with another one, unless the request says otherwise in the words of servers that can do it."""
    if not fields.flag("continue_final_message", default=False):
        return talk.last_answer if talk.is_prefix else ""
    if fields.flag("add_generation_prompt", default=True):
        raise bad(
            "continue_final_message",
            "it can't be set together with 'add_generation_prompt'.",
        )
    if not talk.last_answer:
        raise bad("continue_final_message", "the last message must be the assistant's.")
    return talk.last_answer


def _name(function: Fields) -> str:
    name = function.text("name")
    if not _NAME.fullmatch(name):
        raise bad(
            path_text(function.at("name")),
            "string does not match pattern. Expected '^[a-zA-Z0-9_-]{1,64}$'.",
        )
    return name


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], int]:
    tools: list[Tool] = []
    size = 0
    for item in fields.objects("tools"):
        kind = item.text("type")
        if kind != "function":
            raise bad(path_text(item.at("type")), f"'{kind}'. Supported values are: 'function'.")
        function = item.object("function")
        name = _name(function)
        function.optional_text("description")
        parameters = function.optional_object("parameters")
        schema: JsonObject = {} if parameters is None else parameters.values
        tools.append(Tool(name, schema))
        size += len(dumps(item.values))
    return tuple(tools), size


def _demand(fields: Fields, tools: tuple[Tool, ...]) -> ToolDemand:
    if fields.has("parallel_tool_calls") and not tools:
        raise bad("parallel_tool_calls", "it is only allowed when 'tools' are specified.")
    parallel = fields.flag("parallel_tool_calls", default=True)
    choice = fields.values.get("tool_choice")
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise bad("tool_choice", f"'{choice}'. Expected 'none', 'auto' or 'required'.")
        if choice == "required" and not tools:
            raise bad("tool_choice", "it is only allowed when 'tools' are specified.")
        return ToolDemand(allowed=choice != "none", forced=choice == "required", parallel=parallel)
    named = fields.optional_object("tool_choice")
    if named is None:
        return ToolDemand(parallel=parallel)
    kind = named.text("type")
    if kind == "allowed_tools":
        mode = named.object("allowed_tools").text("mode")
        return ToolDemand(forced=mode == "required" and bool(tools), parallel=parallel)
    if kind != "function":
        raise bad("tool_choice.type", f"'{kind}'. Supported values are: 'function'.")
    name = named.object("function").text("name")
    if name not in [tool.name for tool in tools]:
        raise bad("tool_choice", f"the function '{name}' is not in 'tools'.")
    return ToolDemand(forced=True, name=name, parallel=parallel)


def _response_format(fields: Fields) -> tuple[bool, JsonObject | None]:
    wanted = fields.optional_object("response_format")
    if wanted is None:
        return False, None
    match wanted.text("type"):
        case "text":
            return False, None
        case "json_object":
            return True, None
        case "json_schema":
            described = wanted.object("json_schema")
            described.text("name")
            return True, described.object("schema").values
        case kind:
            raise bad(
                "response_format.type",
                f"'{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
            )


def _max_tokens(fields: Fields, model: SandboxModel) -> int | None:
    limit: int | None = None
    for key in ("max_tokens", "max_completion_tokens"):
        value = fields.optional_integer(key)
        if value is None:
            continue
        if not 1 <= value <= model.max_output_tokens:
            raise bad(
                key,
                f"expected a value from 1 to {model.max_output_tokens} for this model, "
                f"but got {value} instead.",
            )
        limit = value
    return limit


def _effort(fields: Fields, model: SandboxModel) -> Effort | None:
    asked = fields.optional_text("reasoning_effort")
    if asked is None:
        return Effort.MEDIUM if model.thinking is Thinking.BY_DEFAULT else None
    if asked not in _EFFORTS:
        raise bad(
            "reasoning_effort",
            f"'{asked}'. Supported values are: " + ", ".join(f"'{one}'" for one in _EFFORTS) + ".",
        )
    if model.thinking is Thinking.NEVER and asked != "none":
        raise _unsupported("reasoning_effort")
    return _EFFORTS[asked]


def _unsupported(param: str) -> Refused:
    return refused(
        FailureKind.UNSUPPORTED,
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param,
    )
