"""Images: bare base64 on the wire, without a word about what they are."""

from __future__ import annotations

import binascii

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import Image, InlineData
from forebay.protocol.dialects.fields import as_string, optional_list
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.media_types import media_type_shown

_LINE_BREAKS = str.maketrans("", "", "\r\n")


def decode_images(obj: JsonObject, path: str = "") -> tuple[Image, ...]:
    """Read ``images`` of a message or of a generate request.

    Raises:
        ApiFailure: BAD_REQUEST, an entry is not bare base64.
    """
    images = optional_list(obj, "images", path) or ()
    return tuple(
        _decode_image(as_string(value, f"{path}images[{at}]"), f"{path}images[{at}]")
        for at, value in enumerate(images)
    )


def _decode_image(text: str, path: str) -> Image:
    base64 = text.translate(_LINE_BREAKS)
    try:
        data = binascii.a2b_base64(base64, strict_mode=True)
    except ValueError:
        data = b""
    if not data:
        raise bad_request(
            f"'{path}' must be the image's bytes in base64, without a 'data:' prefix",
            param=path,
            code="invalid_value",
        )
    return Image(source=InlineData(base64=base64, media_type=media_type_shown(base64)))


def encode_image(image: Image) -> str:
    """Raises:
    ApiFailure: BAD_REQUEST, the image is not in the request itself.
    """
    if isinstance(image.source, InlineData):
        return image.source.base64
    raise bad_request(
        "this model's provider takes only inline images: send the image's bytes as base64 instead "
        "of a link or a file id",
        param="messages",
        code="unsupported_image_source",
    )
