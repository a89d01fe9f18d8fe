"""Whole answers of upstreams, as real servers send them: fields missing, null, of another type."""

from __future__ import annotations

from collections.abc import Iterator

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import AnswerPart, ChatResponse, PartKind
from forebay.protocol.canonical.requests import Extras, Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._error_decoding import error_inside
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of, with_nested
from forebay.protocol.dialects.openai._usage import decode_usage, rest_of_usage
from forebay.protocol.dialects.openai.chat._finish_reasons import decode_finish, is_failure
from forebay.protocol.dialects.openai.chat._spoken import REASONING_FIELDS, spoken
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps_text, is_writable

_LATEST_SECOND = 2**53

_BODY_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_FIELDS = frozenset({"index", "finish_reason", "message", "usage"})
MESSAGE_FIELDS = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", *REASONING_FIELDS}
)
_CALL_FIELDS = frozenset({"id", "index", "type", "function"})
_FUNCTION_FIELDS = frozenset({"name", "arguments"})


def decode_answer(body: JsonObject) -> ChatResponse:
    """The first choice of an answer. What else it said stays raw in ``extras``, in the shape of
    the body.

    Raises:
        ApiFailure: the error that the body carries; or UPSTREAM_ERROR, it is no chat answer.
    """
    _raise_error_inside(body)
    choice = _first_choice(body.get("choices"))
    _raise_error_inside(choice)  # OpenRouter
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _broken("its choice has no message")
    if is_failure(choice.get("finish_reason")):
        raise _broken(f"it broke off with '{choice['finish_reason']}'")
    parts = (*_spoken_parts(message), *decode_answer_calls(message))
    finish, stop_sequence = decode_finish(
        choice.get("finish_reason"),
        called=any(is_call(part) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
        stop_reason=choice.get("stop_reason"),
    )
    return ChatResponse(
        id=text_field(body, "id"),
        model=text_field(body, "model"),
        created=decode_created(body),
        parts=parts,
        finish=finish,
        stop_sequence=stop_sequence,
        usage=decode_usage(body.get("usage")) or decode_usage(choice.get("usage")),
        extras=_extras(body, choice, message),
    )


def _raise_error_inside(answer: JsonObject) -> None:
    error = error_inside(answer)
    if error is not None:
        raise ApiFailure(error[0])


def is_call(part: AnswerPart) -> bool:
    return isinstance(part, ToolCall) or (
        isinstance(part, Opaque) and part.dialect == OPENAI and part.raw.get("type") == "custom"
    )


def text_field(obj: JsonObject, name: str) -> str:
    value = obj.get(name)
    return value if isinstance(value, str) else ""


def decode_created(obj: JsonObject) -> int:
    """Unix seconds, or 0 where the server did not say."""
    created = obj.get("created")
    if isinstance(created, int | float) and 0 < created < _LATEST_SECOND:
        return int(created)
    return 0


def arguments_text(value: JsonValue) -> str:
    """Arguments as text: some servers send them as an object."""
    if isinstance(value, str):
        return value
    return "" if value is None else dumps_text(value)


def decode_answer_calls(message: JsonObject) -> Iterator[ToolCall | Opaque]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        if isinstance(function, dict):
            yield _call(call, function)
        elif call.get("type") == "custom":
            yield Opaque(OPENAI, call)
    function = message.get("function_call")
    if isinstance(function, dict):
        yield _call({}, function)


def _call(call: JsonObject, function: JsonObject) -> ToolCall:
    return ToolCall(
        id=text_field(call, "id"),
        name=text_field(function, "name"),
        arguments=arguments_text(function.get("arguments")),
        extras=extras_of(rest_of_call(call, function)),
    )


def rest_of_call(call: JsonObject, function: JsonObject) -> JsonObject:
    """What a call, or a fragment of one, says beyond what every call says."""
    rest = with_nested(
        said(rest_of(call, _CALL_FIELDS)), "function", said(rest_of(function, _FUNCTION_FIELDS))
    )
    return rest if is_writable(rest) else {}


def _first_choice(choices: JsonValue) -> JsonObject:
    if isinstance(choices, list):
        objects = [choice for choice in choices if isinstance(choice, dict)]
        for choice in objects:
            if choice.get("index", 0) == 0:
                return choice
        if objects:
            return objects[0]
    raise _broken("it has no choices")


def _spoken_parts(message: JsonObject) -> Iterator[AnswerPart]:
    for kind, text in spoken(message):
        if kind is PartKind.THINKING:
            yield Thinking(text=text)
        elif kind is PartKind.REFUSAL:
            yield Refusal(text)
        else:
            yield Text(text)


def _extras(body: JsonObject, choice: JsonObject, message: JsonObject) -> Extras:
    counted = rest_of_usage(body.get("usage")) or rest_of_usage(choice.get("usage"))
    rest = with_nested(said(rest_of(body, _BODY_FIELDS)), "usage", counted)
    rest_of_choice = said(rest_of(choice, _CHOICE_FIELDS))
    rest_of_message = said(rest_of(message, MESSAGE_FIELDS))
    if rest_of_message:
        rest_of_choice["message"] = rest_of_message
    if rest_of_choice:
        rest["choices"] = [rest_of_choice]
    return extras_of(rest)


def said(rest: JsonObject) -> JsonObject:
    return {name: value for name, value in rest.items() if value is not None}


def _broken(why: str) -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UPSTREAM_ERROR,
            message=f"the upstream's answer can't be used: {why}",
        )
    )
