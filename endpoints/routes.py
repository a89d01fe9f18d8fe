"""Which dialect a path belongs to, and which paths ask for an answer."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.anthropic import ANTHROPIC, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.ollama import OLLAMA, OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT

CHAT_PATHS: Mapping[str, Api] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/messages": ANTHROPIC_MESSAGES,
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OLLAMA_GENERATE,
}
"""Answered by a chat session, all by POST."""


def dialect_of(head: RequestHead) -> Dialect:
    """The dialect in which a request is to be answered, whatever becomes of it.

    By path where that is clear; ``/v1/models`` and unknown paths by the header that Anthropic's
    clients always send.
    """
    path = head.path
    if path.startswith("/api/") or path in ("/", "/api"):
        return OLLAMA
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return ANTHROPIC
    if path in CHAT_PATHS:
        return OPENAI
    return ANTHROPIC if head.header("anthropic-version") is not None else OPENAI
