"""Chat requests of a given size."""

from __future__ import annotations

from typing import Final

from harness.scene import chat_request

_WORD: Final = "tide "
_TOKEN_BYTES: Final = 4
"""Bytes of text that the sandbox counts as a token."""


def sized_request(tokens: int, *, client: int = 0, stream: bool = False) -> bytes:
    """A chat request of about so many tokens, as the sandbox counts."""
    text = _WORD * (tokens * _TOKEN_BYTES // len(_WORD))
    return chat_request(client=client, stream=stream, text=text)
