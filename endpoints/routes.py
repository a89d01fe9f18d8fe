"""Which dialect a request belongs to, and which paths ask for an answer of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.completion_session import CompletionSession
from forebay.endpoints.embedding_session import EmbeddingSession
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.session import Session, SessionParts
from forebay.endpoints.token_count_session import TokenCountSession
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.openai import OpenAICompletionsCodec
from forebay.protocol.dialects.registry import CODECS, EMBEDDING_CODECS, SPEECH, TOKEN_COUNT_CODECS

SessionFactory: TypeAlias = Callable[[SessionParts], Session]


def _chat_sessions(codec: ChatCodec) -> SessionFactory:
    match codec:
        case OpenAICompletionsCodec():
            return partial(CompletionSession, codec=codec)
        case _:
            return partial(ChatSession, codec=codec)


SESSIONS: Mapping[str, SessionFactory] = MappingProxyType(
    {
        **{codec.path: _chat_sessions(codec) for codec in CODECS.values()},
        **{
            codec.path: partial(EmbeddingSession, codec=codec)
            for codec in EMBEDDING_CODECS.values()
        },
        **{
            codec.path: partial(TokenCountSession, codec=codec)
            for codec in TOKEN_COUNT_CODECS.values()
        },
    }
)
"""By path; all by POST."""

_DIALECTS: Mapping[str, Dialect] = {
    **{codec.path: codec.dialect for codec in CODECS.values()},
    **{codec.path: codec.dialect for codec in EMBEDDING_CODECS.values()},
    **{codec.path: codec.dialect for codec in TOKEN_COUNT_CODECS.values()},
}
_GREETING_PATH = "/"
"""Where Ollama's clients look whether a server is there."""
_FALLBACK = next(iter(SPEECH))


def dialect_of(head: RequestHead) -> Dialect:
    """The dialect in which a request is to be answered, whatever becomes of it.

    By path where that is clear; shared and unknown paths by the header that marks a dialect's
    clients.
    """
    known = _DIALECTS.get(head.path)
    if known is not None:
        return known
    if head.path == _GREETING_PATH:
        return OLLAMA
    for dialect, speech in SPEECH.items():
        if head.path.startswith(speech.path_prefixes):
            return dialect
    for dialect, speech in SPEECH.items():
        if speech.marker_header is not None and head.header(speech.marker_header) is not None:
            return dialect
    return _FALLBACK
