"""Reads Ollama chat and generate requests, and refuses them in the words of its Go server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.endpoints.sandbox._call import Call, Effort, Image, Tool
from forebay.endpoints.sandbox._conversation import Conversation
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import Fields, JsonType
from forebay.endpoints.sandbox._images import BadImage, decode, sniff
from forebay.endpoints.sandbox._options import SandboxModel, Thinking
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject, dumps

_DURATION = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+|0")
_EFFORTS = {"low": Effort.LOW, "medium": Effort.MEDIUM, "high": Effort.HIGH, "max": Effort.HIGH}
_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class LoadOnly:
    """A request without a prompt, which only loads a model or unloads it."""

    model_name: str
    unloads: bool


def read_chat(fields: Fields, models: Models) -> Call | LoadOnly:
    """Check a request to ``/api/chat``.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    model = find_model(fields, models)
    unloads = _keep_alive_is_zero(fields)
    talk = _Messages(model)
    for message in fields.objects("messages"):
        talk.add(message)
    call = _call(fields, model, talk)
    if not fields.optional_array("messages"):
        return LoadOnly(call.model_name, unloads)
    return call


def read_generate(fields: Fields, models: Models) -> Call | LoadOnly:
    """Check a request to ``/api/generate``.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    model = find_model(fields, models)
    unloads = _keep_alive_is_zero(fields)
    talk = _Messages(model)
    system = fields.optional_text("system")
    if system:
        talk.system.append(system)
    prompt = fields.optional_text("prompt") or ""
    suffix = fields.optional_text("suffix") or ""
    talk.user_text = prompt
    talk.size = len(f"{system or ''}{prompt}{suffix}".encode())
    talk.add_images(fields)
    call = _call(fields, model, talk)
    if not prompt:
        return LoadOnly(call.model_name, unloads)
    return call


def find_model(fields: Fields, models: Models) -> SandboxModel:
    """The model that a request names, as ``model`` or in the old way as ``name``.

    Raises:
        Refused: it names none, or one that is not there.
    """
    name = fields.optional_text("model") or fields.optional_text("name")
    if not name:
        raise _bad("model is required")
    model = models.get(name) or models.get(name.removesuffix(":latest"))
    if model is None:
        raise Refused(Failure(FailureKind.NO_MODEL, f"model '{name}' not found"))
    return model


def check_options(fields: Fields) -> None:
    """Hold what any request may say of the model's life and settings to its types.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    fields.optional_object("options")
    _keep_alive_is_zero(fields)


@dataclass(slots=True)
class _Messages(Conversation):
    """What they add up to."""

    said_before: str = ""

    def add(self, message: Fields) -> None:
        role = message.text("role").lower()
        if role not in _ROLES:
            raise _bad(f"invalid role: {role}. Expected one of: {', '.join(_ROLES)}")
        content = message.optional_text("content") or ""
        self.size += len(content.encode())
        if role != "tool":
            self.results.clear()
        if role == "user":
            self.images.clear()
        self.add_images(message)
        self.said_before = content if role == "assistant" else ""
        if role == "system":
            self.system.append(content)
        elif role == "user":
            self.user_text = content
        elif role == "tool":
            message.optional_text("tool_name")
            self.results.append(content)
        for call in message.objects("tool_calls"):
            function = call.object("function")
            arguments = function.optional_object("arguments")
            self.size += len(function.text("name"))
            self.size += 0 if arguments is None else len(dumps(arguments.values))

    def add_images(self, holder: Fields) -> None:
        texts = holder.texts("images")
        if texts and not self.model.vision:
            raise _bad(f"{self.model.name} does not support image input")
        for text in texts:
            try:
                data = decode(text)
            except BadImage as fault:
                raise _bad(f"illegal image data: {fault}") from None
            self.image_count += 1
            self.images.append(Image(sniff(data) or "application/octet-stream", len(data)))


def _call(fields: Fields, model: SandboxModel, talk: _Messages) -> Call:
    tools, tools_size = _tools(fields)
    if tools and not model.tools:
        raise _bad(f"{model.name} does not support tools")
    options = fields.optional_object("options") or Fields({})
    options.optional_number("temperature")
    limit = options.optional_integer("num_predict")
    json_only, json_schema = _format(fields)
    tokens = prompt_tokens(talk.size + tools_size, talk.image_count)
    if tokens > model.context_tokens and not fields.flag("truncate", default=True):
        raise Refused(Failure(FailureKind.CONTEXT))
    return Call(
        model=model,
        model_name=fields.optional_text("model") or model.name,
        stream=fields.flag("stream", default=True),
        input_tokens=min(tokens, model.context_tokens),
        system_text="\n".join(talk.system),
        user_text=talk.user_text,
        said_before=talk.said_before,
        images=tuple(talk.images),
        tool_results=tuple(talk.results),
        tools=tools,
        json_only=json_only,
        json_schema=json_schema,
        stop=_stop(options),
        max_tokens=limit if limit is not None and limit > 0 else None,
        effort=_effort(fields, model),
    )


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], int]:
    tools: list[Tool] = []
    size = 0
    for item in fields.objects("tools"):
        function = item.object("function")
        parameters = function.optional_object("parameters")
        schema: JsonObject = {} if parameters is None else parameters.values
        tools.append(Tool(function.text("name"), schema))
        size += len(dumps(item.values))
    return tuple(tools), size


def _stop(options: Fields) -> tuple[str, ...]:
    value = options.values.get("stop")
    return (value,) if isinstance(value, str) else tuple(options.texts("stop"))


def _format(fields: Fields) -> tuple[bool, JsonObject | None]:
    value = fields.values.get("format")
    match value:
        case None | "":
            return False, None
        case "json":
            return True, None
        case dict():
            return True, value
        case _:
            raise _bad(f'invalid format: {dumps(value).decode()}; expected "json" or a JSON schema')


def _effort(fields: Fields, model: SandboxModel) -> Effort | None:
    value = fields.values.get("think")
    if value is None:
        return Effort.MEDIUM if model.thinking is Thinking.BY_DEFAULT else None
    if value is False:
        return None
    if value is not True and not isinstance(value, str):
        raise fields.wrong("think", JsonType.FLAG)
    if isinstance(value, str) and value not in _EFFORTS:
        raise _bad(
            f'invalid think value: "{value}" (must be "high", "medium", "low", "max", true, or '
            "false)"
        )
    if model.thinking is Thinking.NEVER:
        raise _bad(f'"{model.name}" does not support thinking')
    return Effort.MEDIUM if value is True else _EFFORTS[str(value)]


def _keep_alive_is_zero(fields: Fields) -> bool:
    value = fields.values.get("keep_alive")
    if isinstance(value, str):
        if not _DURATION.fullmatch(value):
            raise _bad(f'time: missing unit in duration "{value}"')
        return not any(digit in value for digit in "123456789")
    number = fields.optional_number("keep_alive")
    return number is not None and number == 0


def _bad(message: str) -> Refused:
    return Refused(Failure(FailureKind.BAD_VALUE, message))
