"""OpenRouter."""

from __future__ import annotations

from datetime import date

from imitations.answering import (
    anthropic_messages,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel

_OPENROUTER = {"x-generation-id": "gen-1"}


TABLE = ImitatedKind(
    kind="openrouter",
    address="https://openrouter.ai/api/v1",
    model="anthropic/claude-sonnet-4.5",
    apis={
        "/api/v1/chat/completions": lambda request: openai_chat(
            request,
            comment=b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n",
            extras={"provider": "Anthropic"},
        ),
        "/api/v1/messages": anthropic_messages,
        "/api/v1/responses": openai_responses,
    },
    embedding_model="openai/text-embedding-3-small",
    embeddings=("/api/v1/embeddings", openai_embeddings),
    listing=(
        "/api/v1/models",
        {
            "data": [
                {
                    "id": "anthropic/claude-sonnet-4.5",
                    "canonical_slug": "anthropic/claude-4.5-sonnet-20250929",
                    "name": "Anthropic: Claude Sonnet 4.5",
                    "created": 1759161676,
                    "context_length": 1000000,
                    "architecture": {
                        "modality": "text+image->text",
                        "input_modalities": ["text", "image", "file"],
                        "output_modalities": ["text"],
                        "tokenizer": "Claude",
                        "instruct_type": None,
                    },
                    "pricing": {
                        "prompt": "0.000003",
                        "completion": "0.000015",
                        "request": "0",
                        "input_cache_read": "0.0000003",
                    },
                    "top_provider": {
                        "context_length": 1000000,
                        "max_completion_tokens": 64000,
                        "is_moderated": True,
                    },
                    "per_request_limits": None,
                    "supported_parameters": ["max_tokens", "reasoning", "tools", "tool_choice"],
                    "expiration_date": None,
                },
                {
                    "id": "openrouter/auto",
                    "context_length": 2000000,
                    "pricing": {"prompt": "-1", "completion": "-1"},
                    "expiration_date": "2027-01-31",
                },
            ]
        },
    ),
    listed=(
        ListedModel(
            "anthropic/claude-sonnet-4.5",
            1000000,
            max_output_tokens=64000,
            price_input=3.0,
            price_output=15.0,
            capabilities=frozenset(
                {Capability.CHAT, Capability.TOOLS, Capability.THINKING, Capability.VISION}
            ),
            lacks=frozenset({Capability.JSON_SCHEMA, Capability.AUDIO}),
        ),
        ListedModel("openrouter/auto", 2000000, deprecated=True, retires=date(2027, 1, 31)),
    ),
    open_paths=frozenset({"/api/v1/models"}),
    probed={"/api/v1/key": {"data": {"label": "sk-or-v1-x", "limit": None, "usage": 0.1}}},
    wrong_key=Refusal(status=401, body={"error": {"message": "User not found.", "code": 401}}),
    unknown_path=Refusal(status=404, body={"error": {"message": "Not Found", "code": 404}}),
    rate_limited=Refusal(
        status=429,
        body={
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {
                    "raw": "temporarily rate-limited upstream. Please retry shortly.",
                    "provider_name": "Anthropic",
                },
            },
            "user_id": "user_1",
        },
        headers={"retry-after": "5"},
    ),
    waits=5.0,
    spent=Refusal(
        status=402,
        body={
            "error": {
                "message": "Insufficient credits. Add more using "
                "https://openrouter.ai/settings/credits",
                "code": 402,
            }
        },
    ),
    overloaded=Refusal(
        status=503,
        body={
            "error": {
                "message": "There is no available model provider that meets your routing "
                "requirements",
                "code": 503,
            }
        },
    ),
    overflow=Refusal(
        status=400,
        body={
            "error": {
                "message": "This endpoint's maximum context length is 1000000 tokens. However, "
                "you requested about 1200000 tokens (1200000 of text input). Please reduce the "
                "length of either one.",
                "code": 400,
                "metadata": {"provider_name": None},
            }
        },
    ),
    overflow_tokens=(1200000, 1000000),
    limit_headers=_OPENROUTER,
)
