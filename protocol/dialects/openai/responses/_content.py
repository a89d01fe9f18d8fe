"""The content of messages and of tools' results: a string, or a list of typed parts.

Parts differ by who speaks: what is said to the model is ``input_text``, what the model said is
``output_text``. Images are plain links here, and files have three ways to be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    Audio,
    Document,
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
from forebay.protocol.dialects.openai.responses._names import RESPONSES, kept, raw_of
from forebay.protocol.jsontext import JsonObject, JsonValue

ContentPart: TypeAlias = Text | Image | Audio | Document | Refusal | Opaque


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from that is to be written here."""

    same_api: bool
    """From a client of this API: what it said is said again as it was."""
    same_family: bool
    """From this or another API of OpenAI's: its file ids are good at the upstream."""


SAID_TO_MODEL = "input_text"
SAID_BY_MODEL = "output_text"
_TEXT_TYPES = (SAID_TO_MODEL, SAID_BY_MODEL, "text")


def decode_content(
    content: JsonValue, path: str, *, text_type: str
) -> tuple[ContentPart, ...] | None:
    """The parts; None where ``content`` is absent or null.

    A part of an unknown type is kept as :class:`Opaque`.

    Args:
        text_type: The type that text has here; another one is kept.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    match content:
        case None:
            return None
        case str():
            return (Text(content),)
        case list():
            return tuple(
                _decode_part(value, f"{path}[{at}]", text_type) for at, value in enumerate(content)
            )
        case _:
            raise wrong_type(path, "a string or an array of content parts", content)


def _decode_part(value: JsonValue, path: str, text_type: str) -> ContentPart:
    part = as_object(value, path)
    kind = required_string(part, "type", f"{path}.")
    match kind:
        case _ if kind in _TEXT_TYPES:
            known = ("type", "text") if kind == text_type else ("text",)
            return Text(present_string(part, "text", f"{path}."), kept(rest_of(part, known)))
        case "refusal":
            refusal = present_string(part, "refusal", f"{path}.")
            return Refusal(refusal, kept(rest_of(part, ("type", "refusal"))))
        case "input_image":
            return _decode_image(part, f"{path}.")
        case "input_file":
            return _decode_file(part, f"{path}.")
        case "input_audio":
            return _decode_audio(part, f"{path}.")
        case _:
            return Opaque(RESPONSES, part)


def _decode_image(part: JsonObject, path: str) -> Image:
    url = optional_string(part, "image_url", path)
    file_id = optional_string(part, "file_id", path)
    source: InlineData | UrlSource | FileSource
    if url:
        source = image_source(url, f"{path}image_url")
        known = ("type", "image_url", "detail")
    elif file_id:
        source = FileSource(file_id)
        known = ("type", "file_id", "detail")
    else:
        raise missing(f"{path}image_url")
    return Image(
        source=source,
        detail=optional_string(part, "detail", path),
        extras=kept(rest_of(part, known)),
    )


def _decode_file(part: JsonObject, path: str) -> Document:
    data, url, file_id = (
        optional_string(part, name, path) for name in ("file_data", "file_url", "file_id")
    )
    source: InlineData | UrlSource | FileSource
    if data:
        given = "file_data"
        source = decode_data_url(data) or InlineData(base64=without_space(data))
    elif url:
        given = "file_url"
        if not is_web_link(url):
            raise bad_request(
                f"'{path}file_url' must be an http or https link: send the data in 'file_data'",
                param=f"{path}file_url",
                code="invalid_value",
            )
        source = UrlSource(url)
    elif file_id:
        given = "file_id"
        source = FileSource(file_id)
    else:
        raise missing(f"{path}file_data")
    return Document(
        source=source,
        title=optional_string(part, "filename", path),
        extras=kept(rest_of(part, ("type", given, "filename"))),
    )


def _decode_audio(part: JsonObject, path: str) -> Audio:
    audio = part.get("input_audio")
    if audio is None:
        raise missing(f"{path}input_audio")
    audio = as_object(audio, f"{path}input_audio")
    rest = rest_of(part, ("type", "input_audio"))
    inner = rest_of(audio, ("data", "format"))
    return Audio(
        base64=without_space(required_string(audio, "data", f"{path}input_audio.")),
        format=required_string(audio, "format", f"{path}input_audio."),
        extras=kept({**rest, "input_audio": inner} if inner else rest),
    )


def present_string(part: JsonObject, key: str, path: str) -> str:
    # An empty text is legal, a missing one is not.
    text = optional_string(part, key, path)
    if text is None:
        raise missing(path + key)
    return text


def encode_content(
    parts: Sequence[ContentPart], *, text_type: str, origin: Origin
) -> list[JsonValue]:
    """Content parts.

    Args:
        text_type: The type that text has where the parts will stand.
        origin: Of the request.

    Raises:
        ApiFailure: BAD_REQUEST, a part can't be said in this API.
    """
    return [_encode_part(part, text_type, origin=origin) for part in parts]


def _encode_part(part: ContentPart, text_type: str, *, origin: Origin) -> JsonObject:
    match part:
        case Text():
            text: JsonObject = {"type": text_type, "text": part.text, **raw_of(part.extras)}
            if text["type"] == SAID_BY_MODEL and not origin.same_api:
                text.setdefault("annotations", [])
            return text
        case Refusal():
            if text_type != SAID_BY_MODEL:
                return {"type": text_type, "text": part.text}
            return {"type": "refusal", "refusal": part.text, **raw_of(part.extras)}
        case Image():
            return _encode_image(part, origin=origin)
        case Document():
            return _encode_document(part, text_type, origin=origin)
        case Audio():
            raw = dict(raw_of(part.extras))
            inner = raw.pop("input_audio", None)
            audio: JsonObject = {"data": part.base64, "format": part.format}
            if isinstance(inner, dict):
                audio.update(inner)
            return {"type": "input_audio", "input_audio": audio, **raw}
        case Opaque():
            if part.dialect != RESPONSES:
                raise unsayable(f"content of type '{part.raw.get('type')}' ({part.dialect})")
            return part.raw


def unsayable(what: str, *, param: str = "messages") -> ApiFailure:
    """The failure for something that this API has no form for."""
    return bad_request(
        f"{what} can't be sent to this model, whose provider speaks OpenAI's Responses API: "
        "leave it out, or ask for a model whose provider takes it",
        param=param,
        code="unsupported_value",
    )


def _encode_image(image: Image, *, origin: Origin) -> JsonObject:
    encoded: JsonObject = {"type": "input_image"}
    match image.source:
        case InlineData():
            encoded["image_url"] = encode_data_url(
                image.source, default_type="image/png", as_said=origin.same_family
            )
        case UrlSource(url=url):
            encoded["image_url"] = url
        case FileSource(file_id=file_id):
            if not origin.same_family:
                raise unsayable("an image given by its file id")
            encoded["file_id"] = file_id
    if image.detail is not None:
        encoded["detail"] = image.detail
    return {**encoded, **raw_of(image.extras)}


def _encode_document(document: Document, text_type: str, *, origin: Origin) -> JsonObject:
    encoded: JsonObject = {"type": "input_file"}
    match document.source:
        case Text(text=text):
            titled = f"{document.title}\n\n{text}" if document.title else text
            return {"type": text_type, "text": titled}
        case InlineData():
            encoded["file_data"] = encode_data_url(
                document.source, default_type="application/pdf", as_said=origin.same_family
            )
        case UrlSource(url=url):
            encoded["file_url"] = url
        case FileSource(file_id=file_id):
            if not origin.same_family:
                raise unsayable("a document given by its file id")
            encoded["file_id"] = file_id
    if document.title is not None:
        encoded["filename"] = document.title
    elif not origin.same_family and isinstance(document.source, InlineData):
        encoded["filename"] = "document.pdf"  # OpenAI demands a name
    return {**encoded, **raw_of(document.extras)}
