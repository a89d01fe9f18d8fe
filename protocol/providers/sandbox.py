"""The sandbox that ships with Forebay: all three dialects at once, no real model."""

from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="sandbox",
    paths={
        OPENAI_CHAT: "/v1/chat/completions",
        ANTHROPIC_MESSAGES: "/v1/messages",
        OLLAMA_CHAT: "/api/chat",
        OLLAMA_GENERATE: "/api/generate",
    },
    listing_path="/v1/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta", "x-sandbox-fault"}),
)
