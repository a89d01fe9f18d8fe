"""What kind of file inline data is, by its first bytes.

Clients guess the type of an image from its file's name, or say none at all (Ollama's); Anthropic
refuses an image whose type is not that of its bytes. So what the bytes show counts before what
was said of them.
"""

from __future__ import annotations

import binascii

PDF = "application/pdf"

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", PDF),
)
_HEAD_CHARACTERS = 24
"""Base64 of the first 18 bytes: enough for every signature here, and a multiple of four."""


def media_type_shown(base64: str) -> str | None:
    """The media type that the first bytes show; None where they show none that is known here.

    Args:
        base64: Standard base64 without line breaks.
    """
    try:
        head = binascii.a2b_base64(base64[:_HEAD_CHARACTERS])
    except ValueError:
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        # Two letters alone may begin a text.
        return "image/bmp"
    return next((media_type for start, media_type in _STARTS if head.startswith(start)), None)
