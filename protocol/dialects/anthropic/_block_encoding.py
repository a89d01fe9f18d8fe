"""The parts of a conversation, written as content blocks for an upstream."""

from __future__ import annotations

import binascii
import re
from typing import assert_never

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Audio,
    Document,
    Extras,
    FileSource,
    Image,
    InlineData,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UrlSource,
)
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, is_native, raw_fields
from forebay.protocol.dialects.anthropic._tool_input import input_of
from forebay.protocol.dialects.tool_ids import fitted_id
from forebay.protocol.jsontext import JsonObject, JsonValue
from forebay.protocol.media_types import PDF, media_type_shown

_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""What the API takes."""
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_TOOL_USE_ID = 64


def tool_use_id(call_id: str) -> str:
    """``call_id`` as the API takes it, the same for a call and its result."""
    return fitted_id(call_id, pattern=_TOOL_USE_ID, max_length=_MAX_TOOL_USE_ID)


def text_block(text: str, extras: Extras | None = None) -> JsonObject | None:
    """A text block; None for blank text, which the API refuses."""
    if not text.strip():
        return None
    return {"type": "text", "text": text, **raw_fields(extras or {})}


def block_of(part: Part) -> JsonObject | None:
    """The block that says ``part``; None where it says nothing or must not be said.

    Thinking is sent on only if it came in this dialect and is signed or redacted: the API refuses
    blocks that it did not make itself, and leaving them out is allowed.

    Raises:
        ApiFailure: BAD_REQUEST, the API has no way to say it.
    """
    match part:
        case Text():
            return text_block(part.text, part.extras)
        case Refusal():
            return text_block(part.text)
        case Image():
            return _image_block(part)
        case Document():
            return _document_block(part)
        case Audio():
            raise _unsupported("audio input")
        case Thinking():
            return _thinking_block(part)
        case ToolCall():
            return {
                "type": "tool_use",
                "id": tool_use_id(part.id),
                "name": part.name,
                "input": input_of(part.arguments),
                **raw_fields(part.extras),
            }
        case ToolResult():
            return tool_result_block(part)
        case Opaque():
            if part.dialect != ANTHROPIC:
                raise _unsupported(f"a part of type {part.raw.get('type')!r} ({part.dialect})")
            return part.raw
        case _:
            assert_never(part)


def tool_result_block(result: ToolResult) -> JsonObject:
    block: JsonObject = {"type": "tool_result", "tool_use_id": tool_use_id(result.call_id)}
    content: list[JsonValue] = [
        said for part in result.content if (said := block_of(part)) is not None
    ]
    if content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    block.update(raw_fields(result.extras))
    return block


def missing_result_block(call_id: str) -> JsonObject:
    """What answers a call that the conversation left open; the API wants every call answered."""
    return {
        "type": "tool_result",
        "tool_use_id": tool_use_id(call_id),
        "content": [{"type": "text", "text": "no result"}],
        "is_error": True,
    }


def orphan_result_blocks(result: ToolResult) -> list[JsonObject]:
    """A result whose call is not in the turn before: said as text, since it can't be paired."""
    heading = "Tool error" if result.is_error else "Tool result"
    name = f" of {result.name}" if result.name else ""
    said: list[JsonObject] = [{"type": "text", "text": f"{heading}{name}:"}]
    said += (block for part in result.content if (block := block_of(part)) is not None)
    return said


def _thinking_block(part: Thinking) -> JsonObject | None:
    if not is_native(part.extras):
        return None
    raw = raw_fields(part.extras)
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted, **raw}
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature, **raw}


def _image_block(part: Image) -> JsonObject:
    match part.source:
        case InlineData() as data:
            media_type = media_type_shown(data.base64) or data.media_type
            if media_type not in _IMAGE_TYPES:
                raise bad_request(
                    f"an image of type {media_type or 'unknown'} can't be sent to this model:"
                    f" use one of {', '.join(_IMAGE_TYPES)}",
                    param="messages",
                    code="unsupported_image",
                )
            source: JsonObject = {
                "type": "base64",
                "media_type": media_type,
                "data": data.base64,
            }
        case UrlSource() as url:
            source = _url_source(url, "image")
        case FileSource() as file:
            source = _file_source(file, part.extras)
        case _:
            assert_never(part.source)
    return _with_source("image", source, {}, part.extras)


def _document_block(part: Document) -> JsonObject:
    match part.source:
        case InlineData() as data:
            source = _inline_document(data)
        case UrlSource() as url:
            source = _url_source(url, "document")
        case FileSource() as file:
            source = _file_source(file, part.extras)
        case Text() as text:
            source = _text_source(text.text)
        case _:
            assert_never(part.source)
    title: JsonObject = {} if part.title is None else {"title": part.title}
    return _with_source("document", source, title, part.extras)


def _inline_document(data: InlineData) -> JsonObject:
    media_type = media_type_shown(data.base64) or data.media_type or "unknown"
    if media_type == PDF:
        return {"type": "base64", "media_type": PDF, "data": data.base64}
    if media_type.startswith("text/"):
        try:
            return _text_source(binascii.a2b_base64(data.base64).decode())
        except ValueError:
            raise bad_request(
                "a text document must be base64 of UTF-8 text", param="messages"
            ) from None
    raise _unsupported(f"a document of type {media_type}")


def _text_source(text: str) -> JsonObject:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _url_source(source: UrlSource, what: str) -> JsonObject:
    if not source.url.startswith("https://"):
        raise bad_request(
            f"this model fetches {what}s from https URLs only: use one, or send the data inline",
            param="messages",
        )
    return {"type": "url", "url": source.url}


def _file_source(source: FileSource, extras: Extras) -> JsonObject:
    if not is_native(extras):
        raise bad_request(
            f"the file {source.file_id!r} is not known to this model's provider:"
            " send the data inline",
            param="messages",
        )
    return {"type": "file", "file_id": source.file_id}


def _with_source(kind: str, source: JsonObject, more: JsonObject, extras: Extras) -> JsonObject:
    raw = dict(raw_fields(extras))
    inside = raw.pop("source", None)
    if isinstance(inside, dict):
        source = {**source, **inside}
    return {"type": kind, "source": source, **more, **raw}


def _unsupported(what: str) -> ApiFailure:
    return bad_request(
        f"{what} can't be sent to this model: it is served over the Anthropic Messages API",
        param="messages",
        code="unsupported_content",
    )
