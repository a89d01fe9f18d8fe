"""Vectors that look like embeddings: from a hash of the text, of length one."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from array import array
from functools import lru_cache

LONGEST = 64
"""Numbers of a vector, unless fewer are asked for."""


@lru_cache(maxsize=4096)
def vector(text: str, dimensions: int = LONGEST) -> tuple[float, ...]:
    """The first ``dimensions`` numbers of the text's vector, scaled to length one; each can be
    held by float32. The same text always has the same."""
    digest = hashlib.shake_256(text.encode()).digest(4 * LONGEST)
    raw = [number / 2**31 or 1.0 for number in struct.unpack(f"<{LONGEST}i", digest)[:dimensions]]
    length = math.hypot(*raw)
    return tuple(array("f", (number / length for number in raw)))


def packed(numbers: tuple[float, ...]) -> str:
    """Base64 of little-endian float32 numbers."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
