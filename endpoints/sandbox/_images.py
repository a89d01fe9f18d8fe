"""Images inside requests: decoded far enough to tell their type and size."""

from __future__ import annotations

import base64
import binascii

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


class BadImage(ValueError):
    """The data is not base64."""


def decode(data: str) -> bytes:
    """The bytes of an image in standard base64.

    Raises:
        BadImage: it is no base64, or nothing at all.
    """
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadImage("not valid base64") from None
    if not decoded:
        raise BadImage("empty")
    return decoded


def sniff(data: bytes) -> str:
    """The media type by the first bytes, or "" if they are of no known kind."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")
