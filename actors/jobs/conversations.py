"""Which conversation a request goes on with, so that it may go where that was last.

Known by how it begins: the system prompt, the tools and all that was said before the model first
spoke. That stays as it is while a conversation grows, and providers keep it in their prompt caches.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator

from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Document,
    FileSource,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UrlSource,
)
from forebay.protocol.jsontext import dumps

_SALT = secrets.token_bytes(16)
"""Of this process: what is remembered tells nobody what was written."""
_MOST_BYTES = 64 * 1024
"""Requests that are alike so far are taken for one conversation: they share that much of a cache
anyway."""


def conversation_of(request: ChatRequest, client: str) -> int:
    """A number that requests of the same client have in common that begin alike.

    Args:
        client: its name. Nobody learns by where their own requests go what others have asked.
    """
    digest = hashlib.blake2b(client.encode(), digest_size=8, key=_SALT)
    left = _MOST_BYTES
    for piece in _beginning(request):
        data = piece[:left].encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
        left -= len(data)
        if left <= 0:
            break
    return int.from_bytes(digest.digest(), "big")


def _beginning(request: ChatRequest) -> Iterator[str]:
    for turn in request.turns:
        if turn.role is Role.ASSISTANT:
            break
        yield turn.role
        for part in turn.parts:
            yield from _content(part)
    for tool in request.tools:
        if isinstance(tool, OpaqueTool):
            yield dumps(tool.raw).decode("utf-8", "surrogatepass")
        else:
            yield tool.name
            yield tool.description or ""


def _content(part: Part) -> Iterator[str]:
    match part:
        case Text(text=text) | Refusal(text=text) | Thinking(text=text):
            yield text
        case Image(source=source) | Document(source=source):
            match source:
                case InlineData(base64=data):
                    yield data
                case UrlSource(url=url):
                    yield url
                case FileSource(file_id=file_id):
                    yield file_id
                case Text(text=text):
                    yield text
        case Audio(base64=data):
            yield data
        case ToolCall():
            yield part.name
            yield part.arguments
        case ToolResult(content=content):
            for inner in content:
                yield from _content(inner)
        case Opaque(raw=raw):
            yield dumps(raw).decode("utf-8", "surrogatepass")
