"""Data URLs (RFC 2397), which carry every inline image and file of this dialect."""

from __future__ import annotations

import re

from forebay.protocol.canonical.requests import InlineData

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*?);base64,", re.IGNORECASE)
_SPACE = re.compile(r"\s")
# First bytes, as base64 shows them whatever follows.
_IMAGE_STARTS = (
    ("iVBORw0KGg", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)
_PDF_START = "JVBERi"


def decode_data_url(url: str) -> InlineData | None:
    """The data inside a base64 data URL; None where ``url`` is not one. A media type that the URL
    does not name is left open."""
    head = _DATA_URL.match(url)
    if head is None:
        return None
    return InlineData(
        base64=without_space(url[head.end() :]),
        media_type=head["type"].strip().lower() or None,
    )


def encode_data_url(data: InlineData, *, default_type: str) -> str:
    media_type = data.media_type or _sniffed(data.base64) or default_type
    return f"data:{media_type};base64,{data.base64}"


def without_space(base64: str) -> str:
    """Base64 without the line breaks that some encoders put in."""
    return _SPACE.sub("", base64) if _SPACE.search(base64) else base64


def _sniffed(base64: str) -> str | None:
    if base64.startswith(_PDF_START):
        return "application/pdf"
    return next((name for start, name in _IMAGE_STARTS if base64.startswith(start)), None)
