"""In which form calls and their results are said: as functions, as custom tools, in a namespace.

To the canonical form and to every other API all calls are functions; what they were declared as
is known from the tools of the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from forebay.protocol.canonical.requests import Tool
from forebay.protocol.dialects.openai.responses._names import raw_of
from forebay.protocol.dialects.openai.responses._tools import (
    CUSTOM,
    CUSTOM_INPUT,
    NAME,
    NAMESPACE,
    AnyTool,
)
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps_text, loads


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """How the client wants to see the calls of one tool."""

    name: str
    namespace: str | None = None
    custom: bool = False

    @property
    def item_type(self) -> str:
        return "custom_tool_call" if self.custom else "function_call"

    @property
    def id_prefix(self) -> str:
        return "ctc" if self.custom else "fc"

    def item(self, *, item_id: str, call_id: str, said: str, status: str) -> JsonObject:
        """The item of a call.

        Args:
            said: The arguments of a function, the input of a custom tool.
        """
        item: JsonObject = {
            "id": item_id,
            "type": self.item_type,
            "status": status,
            "call_id": call_id,
            "name": self.name,
            "input" if self.custom else "arguments": said,
        }
        if self.namespace is not None:
            item["namespace"] = self.namespace
        return item


class CallForms:
    """The forms of all tools of one request."""

    def __init__(self, tools: tuple[AnyTool, ...]) -> None:
        self._forms = {tool.name: _form_of(tool) for tool in tools if isinstance(tool, Tool)}

    def of(self, name: str) -> CallForm:
        """The form of the tool that the upstream calls ``name``."""
        return self._forms.get(name) or CallForm(name=name)


def _form_of(tool: Tool) -> CallForm:
    raw = raw_of(tool.extras)
    name, holder = raw.get(NAME), raw.get(NAMESPACE)
    namespace = holder.get("name") if isinstance(holder, dict) else None
    return CallForm(
        name=name if isinstance(name, str) else tool.name,
        namespace=namespace if isinstance(namespace, str) else None,
        custom=CUSTOM in raw,
    )


def custom_arguments(text: str) -> str:
    """The arguments of the function that stands for a custom tool, called with ``text``."""
    return dumps_text({CUSTOM_INPUT: text})


def custom_input(arguments: str) -> str:
    """The input of a custom tool; arguments that are not of its function's shape stand for
    themselves."""
    try:
        value = loads(arguments)
    except InvalidJson:
        return arguments
    match value:
        case {"input": str(text)}:
            return text
        case _:
            return arguments
