"""What stands in a request, gathered from wherever the canonical form has it: for those who ask
what a request says. What a feature is called, and what counts as one, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from forebay.protocol.canonical.requests import (
    ChatRequest,
    Document,
    Effort,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    Part,
    Role,
    Tool,
    ToolChoiceMode,
    ToolResult,
)

_FORCED: Final = (ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED)
_COMMON_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")


def asks_to_think(request: ChatRequest) -> bool:
    """Whether the client wants reasoning, however much."""
    reasoning = request.reasoning
    if reasoning is None or reasoning.enabled is False or reasoning.effort is Effort.NONE:
        return False
    return bool(
        reasoning.enabled or reasoning.effort or reasoning.budget_tokens or reasoning.adaptive
    )


def has_no_measure(request: ChatRequest) -> bool:
    """Whether it wants reasoning, and says neither an effort nor a number of tokens."""
    reasoning = request.reasoning
    return (
        asks_to_think(request)
        and reasoning is not None
        and reasoning.effort is None
        and reasoning.budget_tokens is None
    )


def parts_in(request: ChatRequest) -> Iterator[Part]:
    """All parts, also those inside of results."""
    for turn in request.turns:
        for part in turn.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def images_in(request: ChatRequest) -> Iterator[Image]:
    """All images, also those inside of results."""
    return (part for part in parts_in(request) if isinstance(part, Image))


def is_uncommon(image: Image) -> bool:
    """Whether it is data in a form that not every API takes."""
    source = image.source
    return isinstance(source, InlineData) and source.media_type not in _COMMON_IMAGES


def documents_in(request: ChatRequest) -> Iterator[Document]:
    """All documents, also those inside of results."""
    return (part for part in parts_in(request) if isinstance(part, Document))


def results_in(request: ChatRequest) -> Iterator[ToolResult]:
    """The results of tools."""
    return (part for part in parts_in(request) if isinstance(part, ToolResult))


def tools_in(request: ChatRequest) -> Iterator[Tool]:
    """The functions that the model may call, without tools of one dialect only."""
    return (tool for tool in request.tools if isinstance(tool, Tool))


def forced_tools_in(request: ChatRequest) -> object:
    """The choice of tools, where it makes the model call one."""
    choice = request.tool_choice
    return choice if choice is not None and choice.mode in _FORCED else None


def inline_documents_in(request: ChatRequest) -> list[Document]:
    """The documents that are in the request themselves."""
    return [each for each in documents_in(request) if isinstance(each.source, InlineData)]


def later_instructions_in(request: ChatRequest) -> list[str]:
    """What the system says once others have spoken."""
    said: list[str] = []
    others = False
    for turn in request.turns:
        if turn.role not in (Role.SYSTEM, Role.DEVELOPER):
            others = True
        elif others:
            said.append(turn.text)
    return said


def turns_after_the_prompt(request: ChatRequest) -> int:
    """How many turns there are beyond the system's own and one prompt."""
    return sum(turn.role not in (Role.SYSTEM, Role.DEVELOPER) for turn in request.turns) - 1


def raw_fields_in(request: ChatRequest, name: str) -> list[object]:
    """A raw field of parts and tools, whatever dialect it came in."""
    holders = [*parts_in(request), *request.tools, *request.turns]
    return [
        fields[name]
        for holder in holders
        if not isinstance(holder, Opaque | OpaqueTool)
        for fields in holder.extras.values()
        if fields.get(name)
    ]
