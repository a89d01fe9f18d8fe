"""Where the two APIs put what the model says: inside a ``message``, or beside everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.ollama._tools import arguments_text
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, json_type_name

_LINE_FIELDS = (
    "model",
    "created_at",
    "done",
    "done_reason",
    "error",
    "prompt_eval_count",
    "eval_count",
)
_WORDS = ("role", "content", "response", "thinking", "tool_calls")


class NotAnAnswer(ValueError):
    """An upstream's object is not an answer of this API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidCall:
    id: str
    name: str
    arguments: str
    """JSON text."""
    rest: JsonObject
    """What else the call says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one line of an answer adds."""

    thinking: str = ""
    content: str = ""
    calls: tuple[SaidCall, ...] = ()
    rest: JsonObject
    """What else the line says, in its own shape: :meth:`AnswerShape.put_back` is the inverse."""


class AnswerShape(ABC):
    """How one API writes what the model says."""

    def write(
        self, content: str = "", *, thinking: str = "", calls: list[JsonValue] | None = None
    ) -> JsonObject:
        """The fields for one line; there is always a content, be it empty."""
        said = self._with_content(content)
        if thinking:
            said["thinking"] = thinking
        if calls:
            said["tool_calls"] = calls
        return self._placed(said)

    def read(self, line: JsonObject) -> Said:
        """Raises:
        NotAnAnswer: a field has the wrong type, or there is nothing of this API at all.
        """
        said = self._place(line)
        return Said(
            thinking=_text(said, "thinking"),
            content=_text(said, self._content_field),
            calls=_calls(said.get("tool_calls")),
            rest=self._rest(line),
        )

    def put_back(self, line: JsonObject, rest: JsonObject) -> None:
        """Say in ``line`` what another line said beside its words."""
        for name, value in rest.items():
            ours = line.get(name)
            if isinstance(ours, dict) and isinstance(value, dict):
                line[name] = {**value, **ours}
            elif name not in self._foreign:
                line[name] = value

    _content_field: str
    _foreign: frozenset[str]
    """Raw fields that only the other API has a place for."""

    def _rest(self, line: JsonObject) -> JsonObject:
        return said(rest_of(line, (*_LINE_FIELDS, *_WORDS)))

    @abstractmethod
    def _with_content(self, content: str) -> JsonObject: ...

    @abstractmethod
    def _placed(self, said: JsonObject) -> JsonObject: ...

    @abstractmethod
    def _place(self, line: JsonObject) -> JsonObject: ...


class MessageShape(AnswerShape):
    """``{"message": {"role": "assistant", "content": ...}}`` of ``/api/chat``."""

    _content_field = "content"
    _foreign = frozenset({"context"})

    def _with_content(self, content: str) -> JsonObject:
        return {"role": "assistant", "content": content}

    def _placed(self, said: JsonObject) -> JsonObject:
        return {"message": said}

    def _place(self, line: JsonObject) -> JsonObject:
        message = line.get("message")
        if isinstance(message, dict):
            return message
        if message is None and "done" in line:
            return {}
        raise NotAnAnswer("it has no 'message'")

    def _rest(self, line: JsonObject) -> JsonObject:
        rest = super()._rest(line)
        message = rest.pop("message", None)
        inner = said(rest_of(message, _WORDS)) if isinstance(message, dict) else {}
        return {**rest, "message": inner} if inner else rest


class CompletionShape(AnswerShape):
    """``{"response": ...}`` of ``/api/generate``."""

    _content_field = "response"
    _foreign = frozenset({"message"})

    def _with_content(self, content: str) -> JsonObject:
        return {"response": content}

    def _placed(self, said: JsonObject) -> JsonObject:
        return said

    def _place(self, line: JsonObject) -> JsonObject:
        if "response" in line or "done" in line:
            return line
        raise NotAnAnswer("it has no 'response'")


def said(rest: JsonObject) -> JsonObject:
    return {name: value for name, value in rest.items() if value is not None}


def _text(said: JsonObject, name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise NotAnAnswer(f"its '{name}' is {json_type_name(value)}")


def _calls(value: JsonValue) -> tuple[SaidCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise NotAnAnswer(f"its 'tool_calls' is {json_type_name(value)}")
    return tuple(_call(call) for call in value)


def _call(value: JsonValue) -> SaidCall:
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(function, dict):
        raise NotAnAnswer("one of its 'tool_calls' has no 'function'")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise NotAnAnswer("one of its 'tool_calls' names no function")
    call_id = value.get("id")
    arguments = function.get("arguments")
    if arguments is None:
        text = "{}"
    elif isinstance(arguments, str):
        # Not Ollama's form, but that of servers that imitate it.
        text = arguments or "{}"
    else:
        try:
            text = arguments_text(arguments)
        except InvalidJson as fault:
            raise NotAnAnswer(f"the arguments of one of its calls can't be read: {fault}") from None
    rest = said(rest_of(value, ("id", "function")))
    inner = said(rest_of(function, ("index", "name", "arguments")))
    return SaidCall(
        id=call_id if isinstance(call_id, str) else "",
        name=name,
        arguments=text,
        rest={**rest, "function": inner} if inner else rest,
    )
