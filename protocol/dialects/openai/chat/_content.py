"""The content of one message: a string, or a list of typed parts."""

from __future__ import annotations

from typing import TypeAlias

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Audio,
    Document,
    Extras,
    FileSource,
    Image,
    InlineData,
    Opaque,
    Refusal,
    Text,
    UrlSource,
)
from forebay.protocol.dialects.fields import (
    as_object,
    missing,
    optional_string,
    required_string,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.openai._media import (
    decode_data_url,
    encode_data_url,
    image_source,
    is_web_link,
    without_space,
)
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import extras_of, restored, with_nested
from forebay.protocol.jsontext import JsonObject, JsonValue
from forebay.protocol.media_types import PDF

ContentPart: TypeAlias = Text | Image | Audio | Document | Refusal | Opaque


def decode_content(message: JsonObject, path: str) -> tuple[ContentPart, ...] | None:
    """The parts of ``message["content"]``; None where it is absent or null.

    A part of an unknown type is kept as :class:`Opaque`.

    Raises:
        ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    content = message.get("content")
    match content:
        case None:
            return None
        case str():
            return (Text(content),)
        case list():
            return tuple(
                _decode_part(value, f"{path}content[{at}]") for at, value in enumerate(content)
            )
        case _:
            raise wrong_type(f"{path}content", "a string or an array of content parts", content)


def _decode_part(value: JsonValue, path: str) -> ContentPart:
    part = as_object(value, path)
    match required_string(part, "type", f"{path}."):
        case "text":
            return Text(
                _present_string(part, "text", f"{path}."),
                extras=extras_of(rest_of(part, ("type", "text"))),
            )
        case "refusal":
            return Refusal(_present_string(part, "refusal", f"{path}."))
        case "image_url":
            return _decode_image(part, path)
        case "input_audio":
            return _decode_audio(part, path)
        case "file":
            return _decode_file(part, path)
        case _:
            return Opaque(OPENAI, part)


def _decode_image(part: JsonObject, path: str) -> Image:
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}  # compatible servers take the bare link
    image = _required_object(image, f"{path}.image_url")
    url = required_string(image, "url", f"{path}.image_url.")
    return Image(
        source=image_source(url, f"{path}.image_url.url"),
        detail=optional_string(image, "detail", f"{path}.image_url."),
        extras=_part_extras(part, "image_url", rest_of(image, ("url", "detail"))),
    )


def _decode_audio(part: JsonObject, path: str) -> Audio:
    audio = _required_object(part.get("input_audio"), f"{path}.input_audio")
    return Audio(
        base64=without_space(required_string(audio, "data", f"{path}.input_audio.")),
        format=required_string(audio, "format", f"{path}.input_audio."),
        extras=_part_extras(part, "input_audio", rest_of(audio, ("data", "format"))),
    )


def _decode_file(part: JsonObject, path: str) -> Document:
    file = _required_object(part.get("file"), f"{path}.file")
    data = optional_string(file, "file_data", f"{path}.file.")
    file_id = optional_string(file, "file_id", f"{path}.file.")
    source: InlineData | UrlSource | FileSource
    if data:
        if is_web_link(data):
            source = UrlSource(data)  # OpenRouter takes links here
        else:
            source = decode_data_url(data) or InlineData(base64=without_space(data))
    elif file_id:
        source = FileSource(file_id)
    else:
        raise missing(f"{path}.file.file_data")
    known = ("file_data", "filename") if data else ("file_id", "filename")
    return Document(
        source=source,
        title=optional_string(file, "filename", f"{path}.file."),
        extras=_part_extras(part, "file", rest_of(file, known)),
    )


def _part_extras(part: JsonObject, name: str, nested: JsonObject) -> Extras:
    return extras_of(with_nested(rest_of(part, ("type", name)), name, nested))


def _present_string(part: JsonObject, key: str, path: str) -> str:
    # An empty text is legal, a missing one is not.
    text = optional_string(part, key, path)
    if text is None:
        raise missing(path + key)
    return text


def _required_object(value: JsonValue, path: str) -> JsonObject:
    if value is None:
        raise missing(path)
    return as_object(value, path)


def encode_part(part: ContentPart, *, same_dialect: bool) -> JsonObject:
    """One content part.

    Args:
        same_dialect: The part came in this dialect, so that its file ids and links are good at
            the upstream.

    Raises:
        ApiFailure: BAD_REQUEST, the part can't be said in this dialect.
    """
    match part:
        case Text():
            return restored({"type": "text", "text": part.text}, part.extras)
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image():
            return _encode_image(part, same_dialect=same_dialect)
        case Audio():
            audio: JsonObject = {"data": part.base64, "format": part.format}
            return restored({"type": "input_audio", "input_audio": audio}, part.extras)
        case Document():
            return _encode_document(part, same_dialect=same_dialect)
        case Opaque():
            if part.dialect != OPENAI:
                raise unsayable(f"content of type '{part.raw.get('type')}' ({part.dialect})")
            return part.raw


def unsayable(what: str, *, param: str = "messages") -> ApiFailure:
    """The failure for something that this dialect has no form for."""
    return bad_request(
        f"{what} can't be sent to this model, whose provider speaks OpenAI's chat API: "
        "leave it out, or ask for a model whose provider takes it",
        param=param,
        code="unsupported_value",
    )


def _encode_image(image: Image, *, same_dialect: bool) -> JsonObject:
    match image.source:
        case InlineData():
            url = encode_data_url(image.source, default_type="image/png", as_said=same_dialect)
        case UrlSource():
            url = image.source.url
        case FileSource():
            raise unsayable("an image given by its file id")
    target: JsonObject = {"url": url}
    if image.detail is not None:
        target["detail"] = image.detail
    return restored({"type": "image_url", "image_url": target}, image.extras)


def _encode_document(document: Document, *, same_dialect: bool) -> JsonObject:
    file: JsonObject
    match document.source:
        case Text(text=text):
            return {
                "type": "text",
                "text": f"{document.title}\n\n{text}" if document.title else text,
            }
        case InlineData():
            url = encode_data_url(document.source, default_type=PDF, as_said=same_dialect)
            file = {"file_data": url}
        case UrlSource(url=url) if same_dialect:
            file = {"file_data": url}
        case FileSource(file_id=file_id) if same_dialect:
            file = {"file_id": file_id}
        case UrlSource():
            raise unsayable("a document given by a link")
        case FileSource():
            raise unsayable("a document given by its file id")
    if document.title is not None:
        file["filename"] = document.title
    elif not same_dialect:
        file["filename"] = "document.pdf"  # OpenAI demands a name
    return restored({"type": "file", "file": file}, document.extras)
