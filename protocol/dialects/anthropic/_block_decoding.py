"""The content blocks of a client's request, read into parts.

Blocks that only this dialect has (server tools and their results, search results, files for a
container) become opaque parts. Fields that no part has a place for, like ``cache_control``, go to
the part's extras.
"""

from __future__ import annotations

from collections.abc import Callable

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Document,
    Extras,
    FileSource,
    Image,
    InlineData,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UrlSource,
)
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, kept, marked
from forebay.protocol.dialects.anthropic._tool_input import arguments_of
from forebay.protocol.dialects.fields import (
    as_object,
    as_string,
    missing,
    optional_bool,
    optional_object,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue

_SOURCE_FIELDS = frozenset({"type", "media_type", "data", "url", "file_id"})
_ONLY_IN: dict[str, Role] = {
    "thinking": Role.ASSISTANT,
    "redacted_thinking": Role.ASSISTANT,
    "tool_use": Role.ASSISTANT,
    "tool_result": Role.USER,
}


def read_content(value: JsonValue, path: str, role: Role) -> tuple[Part, ...]:
    """A turn's ``content``: a string, or a list of blocks.

    Raises:
        ApiFailure: BAD_REQUEST, naming the field under ``path``.
    """
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if value is None:
        raise missing(path)
    if not isinstance(value, list):
        raise wrong_type(path, "a string or an array of content blocks", value)
    return tuple(_read_block(block, f"{path}[{at}]", role) for at, block in enumerate(value))


def _read_block(value: JsonValue, path: str, role: Role) -> Part:
    block = as_object(value, path)
    kind = required_string(block, "type", f"{path}.")
    belongs_to = _ONLY_IN.get(kind, role)
    if belongs_to is not role:
        raise bad_request(f"'{path}': {kind} blocks are for {belongs_to} messages only", param=path)
    read = _READERS.get(kind)
    return Opaque(ANTHROPIC, block) if read is None else read(block, f"{path}.")


def _read_text(block: JsonObject, path: str) -> Text:
    return Text(_string(block, "text", path), extras=kept(block, ("type", "text")))


def _read_thinking(block: JsonObject, path: str) -> Thinking:
    return Thinking(
        text=_string(block, "thinking", path),
        # A block that another provider's model thought was given out with an empty signature.
        signature=optional_string(block, "signature", path) or None,
        extras=marked(block, ("type", "thinking", "signature")),
    )


def _read_redacted_thinking(block: JsonObject, path: str) -> Thinking:
    return Thinking(
        text="",
        redacted=_string(block, "data", path),
        extras=marked(block, ("type", "data")),
    )


def _read_tool_use(block: JsonObject, path: str) -> ToolCall:
    try:
        arguments = arguments_of(optional_object(block, "input", path) or {})
    except InvalidJson as fault:
        raise bad_request(f"'{path}input' can't be read: {fault}", param=f"{path}input") from None
    return ToolCall(
        id=required_string(block, "id", path),
        name=required_string(block, "name", path),
        arguments=arguments,
        extras=kept(block, ("type", "id", "name", "input")),
    )


def _read_tool_result(block: JsonObject, path: str) -> ToolResult:
    known = ["type", "tool_use_id", "content", "is_error"]
    raw = block.get("content")
    content, whole = _read_result_content(raw, f"{path}content")
    if not whole:
        known.remove("content")
    return ToolResult(
        call_id=required_string(block, "tool_use_id", path),
        content=content,
        is_error=optional_bool(block, "is_error", path) or False,
        extras=kept(block, known),
    )


def _read_result_content(
    value: JsonValue, path: str
) -> tuple[tuple[Text | Image | Document, ...], bool]:
    """The content of a tool's result, and whether that is all of it.

    Other dialects know no search results or tool references inside a result; for them their text
    stands in, and this dialect gets the raw content back.
    """
    if value is None:
        return (), True
    content: list[Text | Image | Document] = []
    whole = True
    for part in read_content(value, path, Role.USER):
        if isinstance(part, Text | Image | Document):
            content.append(part)
        else:
            whole = False
            text = _text_within(part.raw) if isinstance(part, Opaque) else ""
            if text:
                content.append(Text(text))
    return tuple(content), whole


def _text_within(raw: JsonObject) -> str:
    """The text that an unknown block shows: its title, source and the text blocks it holds."""
    found = [value for name in ("title", "source") if isinstance(value := raw.get(name), str)]
    inner = raw.get("content")
    found += (
        text
        for block in (inner if isinstance(inner, list) else [])
        if isinstance(block, dict) and isinstance(text := block.get("text"), str)
    )
    return "\n".join(found)


def _read_image(block: JsonObject, path: str) -> Image:
    source = _source_of(block, path)
    match _read_source(source, f"{path}source."):
        case InlineData() | UrlSource() | FileSource() as read:
            return Image(source=read, extras=_extras(block, source, ()))
        case _:
            raise _unknown_source(source, path)


def _read_document(block: JsonObject, path: str) -> Document | Opaque:
    source = _source_of(block, path)
    if source.get("type") == "content":
        return Opaque(ANTHROPIC, block)
    read = _read_source(source, f"{path}source.")
    if read is None:
        raise _unknown_source(source, path)
    return Document(
        source=read,
        title=optional_string(block, "title", path),
        extras=_extras(block, source, ("title",)),
    )


def _source_of(block: JsonObject, path: str) -> JsonObject:
    source = optional_object(block, "source", path)
    if source is None:
        raise missing(f"{path}source")
    required_string(source, "type", f"{path}source.")
    return source


def _read_source(
    source: JsonObject, path: str
) -> InlineData | UrlSource | FileSource | Text | None:
    match source.get("type"):
        case "base64":
            return InlineData(
                base64=_base64(source, path),
                media_type=optional_string(source, "media_type", path),
            )
        case "url":
            url = required_string(source, "url", path)
            if not url.startswith(("https://", "http://")):
                raise bad_request(f"'{path}url' must be an https URL", param=f"{path}url")
            return UrlSource(url)
        case "file":
            return FileSource(required_string(source, "file_id", path))
        case "text":
            return Text(_string(source, "data", path))
        case _:
            return None


def _base64(source: JsonObject, path: str) -> str:
    data = required_string(source, "data", path)
    if data.startswith("data:"):
        raise bad_request(
            f"'{path}data' must be base64 alone, without a 'data:' prefix", param=f"{path}data"
        )
    return "".join(data.split()) if "\n" in data or "\r" in data else data


def _unknown_source(source: JsonObject, path: str) -> ApiFailure:
    return bad_request(
        f"invalid value {source.get('type')!r} for '{path}source.type'",
        param=f"{path}source.type",
        code="invalid_value",
    )


def _extras(block: JsonObject, source: JsonObject, known: tuple[str, ...]) -> Extras:
    """The fields beyond ``known``, those inside ``source`` included; a file id is always marked."""
    rest = rest_of(block, ("type", "source", *known))
    if inside := rest_of(source, _SOURCE_FIELDS):
        rest["source"] = inside
    return {ANTHROPIC: rest} if rest or source.get("type") == "file" else {}


def _string(obj: JsonObject, name: str, path: str) -> str:
    """A required string that may be empty."""
    if name not in obj:
        raise missing(path + name)
    return as_string(obj[name], path + name)


_READERS: dict[str, Callable[[JsonObject, str], Part]] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted_thinking,
    "tool_use": _read_tool_use,
    "tool_result": _read_tool_result,
}
