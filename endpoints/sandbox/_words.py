"""Seeded words, and the sandbox's idea of a token: four bytes of UTF-8."""

from __future__ import annotations

import zlib
from functools import lru_cache

TOKEN_BYTES = 4
IMAGE_TOKENS = 85
"""What an image adds to a prompt, whatever its size."""

_VOCABULARY = (
    "amber basin cedar delta ember fjord grove harbor inlet jetty kelp lagoon meadow north oak "
    "pebble quay reed shore tide upland valley willow yarrow alder brook cliff dune eddy fern "
    "gorge heath isle juniper knoll larch marsh nook otter pine quill ridge slope thorn umber "
    "vale weir aspen birch cove drift elm ford glade heron iris jade kite linden moss nettle "
    "orchid poplar rowan"
)
_WORDS = _VOCABULARY.split()


def seed_of(*parts: str | int) -> int:
    """A number that depends on the parts and on nothing else."""
    return zlib.crc32("\0".join(map(str, parts)).encode())


def word(seed: int) -> str:
    return _WORDS[_next(seed) >> 16 & 63]


@lru_cache(maxsize=1024)
def words(seed: int, size: int) -> str:
    """A sentence of exactly ``size`` ASCII bytes."""
    state = seed
    chosen: list[str] = []
    length = 0
    while length <= size:
        state = _next(state)
        chosen.append(_WORDS[state >> 16 & 63])
        length += len(chosen[-1]) + 1
    text = " ".join(chosen)[: size - 1].capitalize()
    if text.endswith(" "):
        text = f"{text[:-1]}s"
    return f"{text}."


def token_count(text: str) -> int:
    return -(-len(text.encode()) // TOKEN_BYTES)


def prompt_tokens(size: int, images: int) -> int:
    """Tokens of a prompt with ``size`` bytes of text."""
    return max(1, -(-size // TOKEN_BYTES)) + IMAGE_TOKENS * images


def cut(text: str, tokens: int) -> tuple[str, bool]:
    """At most so many tokens of a text, whole characters only, and whether any was cut off."""
    encoded = text.encode()
    if len(encoded) <= tokens * TOKEN_BYTES:
        return text, False
    return encoded[: tokens * TOKEN_BYTES].decode("utf-8", "ignore"), True


def split_pieces(text: str) -> list[str]:
    """The text in pieces of one token, without splitting a character."""
    if text.isascii():
        return [text[at : at + TOKEN_BYTES] for at in range(0, len(text), TOKEN_BYTES)]
    pieces: list[str] = []
    start = size = 0
    for at, character in enumerate(text):
        width = len(character.encode())
        if size + width > TOKEN_BYTES:
            pieces.append(text[start:at])
            start, size = at, 0
        size += width
    pieces.append(text[start:])
    return pieces


def _next(state: int) -> int:
    """A linear congruential step; its high bits are good enough to choose words."""
    return (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
