"""The sandbox that ships with Forebay: all three dialects at once, no real model."""

from forebay.protocol.dialects.anthropic import ANTHROPIC_COUNT_TOKENS, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.dialects.ollama import (
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
)
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPACTION,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_INPUT_TOKENS,
    OPENAI_RESPONSES,
)
from forebay.protocol.providers.base import Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.any_headers import any_reader

PROFILE = ProviderProfile(
    kind="sandbox",
    notes=Notes(
        title="The sandbox that ships with Forebay",
        limits="headers in any of the known notations, as its options say.",
        lossy=("Nothing but what it is told to lose.",),
    ),
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
        OPENAI_COMPACTION: "/v1/responses/compact",
    },
    listing_path="/v1/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    probe=Probe(path="/v1/models"),
    keeps_responses=True,
    read_limits=any_reader(requests_window=60.0, tokens_window=60.0),
    needs_key=False,
    traits=UpstreamTraits(prefill=Prefill.CONTINUE_FINAL_MESSAGE),
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta", "x-sandbox-fault"}),
)
