"""Which dialect a request belongs to, and which paths ask for an answer of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.compaction_session import CompactionSession
from forebay.endpoints.completion_session import CompletionSession
from forebay.endpoints.embedding_session import EmbeddingSession
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.kept_response_session import KeptResponseSession, ResponsePath
from forebay.endpoints.management_session import BlobSession, ManagementSession
from forebay.endpoints.relay_session import RelaySession
from forebay.endpoints.response_session import ResponseCountSession, ResponseSession
from forebay.endpoints.session import Session, SessionParts
from forebay.endpoints.token_count_session import TokenCountSession
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.ollama.management import MANAGEMENT, is_blob
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_COMPACTION,
    OpenAICompletionsCodec,
    OpenAIInputTokenCodec,
    OpenAIResponsesCodec,
)
from forebay.protocol.dialects.registry import (
    CODECS,
    EMBEDDING_CODECS,
    RELAYED,
    SPEECH,
    TOKEN_COUNT_CODECS,
)
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.dialects.token_counts import TokenCountCodec

SessionFactory: TypeAlias = Callable[[SessionParts], Session]


def _chat_sessions(codec: ChatCodec) -> SessionFactory:
    match codec:
        case OpenAICompletionsCodec():
            return partial(CompletionSession, codec=codec)
        case OpenAIResponsesCodec():
            return partial(ResponseSession, codec=codec)
        case _:
            return partial(ChatSession, codec=codec)


def _count_sessions(codec: TokenCountCodec) -> SessionFactory:
    match codec:
        case OpenAIInputTokenCodec():
            return partial(ResponseCountSession, codec=codec)
        case _:
            return partial(TokenCountSession, codec=codec)


def _relay_session(relayed: RelayedApi) -> type[RelaySession]:
    return CompactionSession if relayed.api == OPENAI_COMPACTION else RelaySession


SESSIONS: Mapping[str, SessionFactory] = MappingProxyType(
    {
        **{codec.path: _chat_sessions(codec) for codec in CODECS.values()},
        **{
            codec.path: partial(EmbeddingSession, codec=codec)
            for codec in EMBEDDING_CODECS.values()
        },
        **{codec.path: _count_sessions(codec) for codec in TOKEN_COUNT_CODECS.values()},
        **{
            path: partial(_relay_session(relayed), api=relayed)
            for relayed in RELAYED.values()
            for path in relayed.paths
        },
    }
)
"""By path; all by POST."""


@dataclass(frozen=True, slots=True)
class Route:
    """What serves a path, and by which methods."""

    begin: SessionFactory
    methods: tuple[str, ...] = ("POST",)


_MANAGEMENT: Mapping[str, Route] = {
    api.path: Route(partial(ManagementSession, api=api), (api.method,)) for api in MANAGEMENT
}
_BLOB = Route(BlobSession, ("HEAD", "POST"))


def route_of(path: str) -> Route | None:
    """What serves requests to ``path`` in a session; None where that is for a page."""
    begin = SESSIONS.get(path)
    if begin is not None:
        return Route(begin)
    response = ResponsePath.read(path)
    if response is not None:
        return Route(partial(KeptResponseSession, path=response), response.about.methods)
    return _BLOB if is_blob(path) else _MANAGEMENT.get(path)


_DIALECTS: Mapping[str, Dialect] = {
    **{codec.path: codec.dialect for codec in CODECS.values()},
    **{codec.path: codec.dialect for codec in EMBEDDING_CODECS.values()},
    **{codec.path: codec.dialect for codec in TOKEN_COUNT_CODECS.values()},
    **{path: relayed.dialect for relayed in RELAYED.values() for path in relayed.paths},
}
OPENAI_PATHS = frozenset(path for path, dialect in _DIALECTS.items() if dialect == OPENAI)
"""Those of OpenAI's APIs that a session serves."""
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
