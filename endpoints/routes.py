"""Which dialect a request belongs to, and which paths ask for an answer."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.registry import CODECS, SPEECH

CHAT_PATHS: Mapping[str, ChatCodec] = {codec.path: codec for codec in CODECS.values()}
"""Answered by a chat session, all by POST."""

_GREETING_PATH = "/"
"""Where Ollama's clients look whether a server is there."""
_FALLBACK = next(iter(SPEECH))


def dialect_of(head: RequestHead) -> Dialect:
    """The dialect in which a request is to be answered, whatever becomes of it.

    By path where that is clear; shared and unknown paths by the header that marks a dialect's
    clients.
    """
    codec = CHAT_PATHS.get(head.path)
    if codec is not None:
        return codec.dialect
    if head.path == _GREETING_PATH:
        return OLLAMA
    for dialect, speech in SPEECH.items():
        if head.path.startswith(speech.path_prefixes):
            return dialect
    for dialect, speech in SPEECH.items():
        if speech.marker_header is not None and head.header(speech.marker_header) is not None:
            return dialect
    return _FALLBACK
