"""What kind of file inline data is, by its first bytes.

Anthropic refuses an image whose ``media_type`` is not that of its bytes, and clients of other
dialects often guess it from a file name.
"""

from __future__ import annotations

import binascii

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""What the Messages API takes."""

PDF = "application/pdf"

_HEAD_CHARACTERS = 24
"""Base64 of the first 18 bytes: enough for every signature below, and a multiple of four."""


def media_type_of(base64: str) -> str | None:
    """The media type that the first bytes show; None where they show none that is known here."""
    try:
        head = binascii.a2b_base64(base64[:_HEAD_CHARACTERS])
    except ValueError:
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return PDF
    return None
