"""The sandbox that ships with Forebay: all three dialects at once, no real model."""

from forebay.protocol.dialects.anthropic import ANTHROPIC_COUNT_TOKENS, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.ollama import (
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
)
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_INPUT_TOKENS,
    OPENAI_RESPONSES,
)
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="sandbox",
    paths={
        OPENAI_CHAT: "/v1/chat/completions",
        ANTHROPIC_MESSAGES: "/v1/messages",
        OLLAMA_CHAT: "/api/chat",
        OLLAMA_GENERATE: "/api/generate",
        OPENAI_COMPLETIONS: "/v1/completions",
        OPENAI_EMBEDDINGS: "/v1/embeddings",
        OLLAMA_EMBED: "/api/embed",
        OLLAMA_EMBEDDINGS: "/api/embeddings",
        ANTHROPIC_COUNT_TOKENS: "/v1/messages/count_tokens",
        OPENAI_RESPONSES: "/v1/responses",
        OPENAI_INPUT_TOKENS: "/v1/responses/input_tokens",
    },
    listing_path="/v1/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta", "x-sandbox-fault"}),
)
