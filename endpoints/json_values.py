"""How many values a JSON text holds, told before it is parsed.

A value costs memory and time however few bytes it has: 32 MB of ``[],[],[],...`` become 800 MB of
objects, in seconds during which nobody else is served.
"""

from __future__ import annotations

from typing import Final

_BEFORE_VALUES: Final = (b",", b"[", b"{")
"""Every value but the outermost comes after one of these, or after a key that does."""
_PIECE_BYTES: Final = 64 * 1024


def holds_more_values(text: bytes, limit: int) -> bool:
    """Whether ``text`` holds more than about ``limit`` JSON values, in linear time.

    Lists and objects count once more than their members, so it is up to twice what there are.
    Text that is no JSON gets some answer.
    """
    # Counting at all is only worth it for large texts, and mostly the strings needn't be left out.
    if len(text) <= limit or _count(text) <= limit:
        return False
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    count = 0
    within_string = False
    for start in range(0, len(bare), _PIECE_BYTES):
        parts = bare[start : start + _PIECE_BYTES].split(b'"')
        count += _count(b"".join(parts[within_string::2]))
        if count > limit:
            return True
        within_string ^= len(parts) % 2 == 0
    return False


def _count(text: bytes) -> int:
    return sum(map(text.count, _BEFORE_VALUES))
