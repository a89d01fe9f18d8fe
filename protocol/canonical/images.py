"""The images of a request: those that it only links to, and putting them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from forebay.protocol.canonical.requests import (
    ChatRequest,
    Image,
    InlineData,
    Part,
    ToolResult,
    Turn,
    UrlSource,
)

_PartT = TypeVar("_PartT", bound=Part)


def links_to_images(request: ChatRequest) -> tuple[str, ...]:
    """The links, in the order of the request; also those inside the results of tools."""
    return tuple(_links(request))


def _links(request: ChatRequest) -> Iterator[str]:
    for turn in request.turns:
        for part in turn.parts:
            inner = part.content if isinstance(part, ToolResult) else (part,)
            for each in inner:
                if isinstance(each, Image) and isinstance(each.source, UrlSource):
                    yield each.source.url


def with_images_inline(request: ChatRequest, images: Mapping[str, InlineData]) -> ChatRequest:
    """The request with the images that stand at the links in ``images``."""
    return replace(request, turns=tuple(_turn(turn, images) for turn in request.turns))


def _turn(turn: Turn, images: Mapping[str, InlineData]) -> Turn:
    return replace(turn, parts=tuple(_part(part, images) for part in turn.parts))


def _part(part: _PartT, images: Mapping[str, InlineData]) -> _PartT:
    match part:
        case ToolResult():
            return replace(part, content=tuple(_part(inner, images) for inner in part.content))
        case Image(source=UrlSource(url=url)) if url in images:
            return replace(part, source=images[url])
        case _:
            return part
