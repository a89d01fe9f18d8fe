"""Names of tools: made to fit an upstream, and given back in its answer.

Clients name tools as they like (``mcp.github/create issue``, 128 characters by MCP's own rules);
OpenAI takes ``[a-zA-Z0-9_-]{1,64}``, Anthropic up to 128 of the same. A name that does not fit is
sent as a stand-in that a model can still read. Everything here is a pure function of the request:
a name has the same stand-in wherever it stands, in every later request (providers cache prompts by
their exact prefix) and at every upstream, so that whoever answers the client finds the name again
without knowing who was asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from forebay.protocol.canonical.events import ChatResponse, PartKind, PartStart, StreamEvent
from forebay.protocol.canonical.requests import ChatRequest, Part, Tool, ToolCall, ToolResult
from forebay.protocol.dialects.base import StreamEncoder

_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What every upstream takes. No plain name has a stand-in, and every stand-in is plain."""
_LONGEST = 64
_MISFITS = re.compile(r"[^a-zA-Z0-9_-]+")
_DIGITS = 8


def with_fitted_names(request: ChatRequest, pattern: re.Pattern[str]) -> ChatRequest:
    """The same request with stand-ins for the names that don't match ``pattern``: in its tools, the
    choice among them, and the calls and results of its history.

    Args:
        pattern: What a whole name must match; matches all plain names.

    Returns:
        ``request`` itself where every name fits.
    """
    stand_ins = {
        name: stand_in
        for name, stand_in in _stand_ins(request).items()
        if not pattern.fullmatch(name)
    }
    return _renamed(request, stand_ins) if stand_ins else request


def with_given_names(response: ChatResponse, request: ChatRequest) -> ChatResponse:
    """An answer to ``request`` with the names that the client gave its tools."""
    given = _given_names(request)
    if not given:
        return response
    parts = tuple(
        replace(part, name=given.get(part.name, part.name)) if isinstance(part, ToolCall) else part
        for part in response.parts
    )
    return replace(response, parts=parts)


def events_with_given_names(
    request: ChatRequest,
) -> Callable[[StreamEvent], StreamEvent] | None:
    """What gives an event of an answer to ``request`` the names that the client gave its tools;
    None where all events have them already."""
    given = _given_names(request)
    if not given:
        return None

    def renamed(event: StreamEvent) -> StreamEvent:
        match event:
            case PartStart(kind=PartKind.TOOL_CALL, call_name=name) if name in given:
                return replace(event, call_name=given[name])
            case _:
                return event

    return renamed


def encoder_with_given_names(encoder: StreamEncoder, request: ChatRequest) -> StreamEncoder:
    """``encoder``, made to say the names that the client gave its tools."""
    renamed = events_with_given_names(request)
    return encoder if renamed is None else _GivenNamesEncoder(encoder, renamed)


class _GivenNamesEncoder(StreamEncoder):
    def __init__(
        self, encoder: StreamEncoder, renamed: Callable[[StreamEvent], StreamEvent]
    ) -> None:
        self._encoder = encoder
        self._renamed = renamed

    def encode(self, event: StreamEvent) -> bytes:
        return self._encoder.encode(self._renamed(event))

    def keepalive(self) -> bytes:
        return self._encoder.keepalive()

    def relay(self, raw: bytes) -> bytes:
        return self._encoder.relay(raw)


def _stand_ins(request: ChatRequest) -> dict[str, str]:
    """By each name of the request that is not plain."""
    misfits = [name for name in dict.fromkeys(_names_of(request)) if not _PLAIN.fullmatch(name)]
    if not misfits:
        return {}
    declared = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    return {name: _stand_in(name, declared) for name in misfits}


def _given_names(request: ChatRequest) -> Mapping[str, str]:
    return {stand_in: name for name, stand_in in _stand_ins(request).items()}


def _names_of(request: ChatRequest) -> Iterator[str]:
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield tool.name
    if request.tool_choice is not None and request.tool_choice.name is not None:
        yield request.tool_choice.name
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall | ToolResult) and part.name:
                yield part.name


def _stand_in(name: str, declared: set[str]) -> str:
    """What is readable of a name, and digits that tell it from all others; not the name of another
    tool of the client's."""
    readable = _MISFITS.sub("_", name).strip("_")[: _LONGEST - _DIGITS - 1] or "tool"
    source = name
    while True:
        digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        stand_in = f"{readable}_{digest[:_DIGITS]}"
        if stand_in not in declared:
            return stand_in
        source = digest


def _renamed(request: ChatRequest, stand_ins: Mapping[str, str]) -> ChatRequest:
    choice = request.tool_choice
    if choice is not None and choice.name is not None:
        choice = replace(choice, name=stand_ins.get(choice.name, choice.name))
    tools = tuple(
        replace(tool, name=stand_ins.get(tool.name, tool.name)) if isinstance(tool, Tool) else tool
        for tool in request.tools
    )
    turns = tuple(
        replace(turn, parts=tuple(_renamed_part(part, stand_ins) for part in turn.parts))
        for turn in request.turns
    )
    return replace(request, tools=tools, tool_choice=choice, turns=turns)


def _renamed_part(part: Part, stand_ins: Mapping[str, str]) -> Part:
    match part:
        case ToolCall(name=str(name)) | ToolResult(name=str(name)) if name in stand_ins:
            return replace(part, name=stand_ins[name])
        case _:
            return part
