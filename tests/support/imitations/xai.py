"""xAI."""

from __future__ import annotations

from imitations.answering import (
    anthropic_messages,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _xais(code: str, error: str) -> object:
    return {"code": code, "error": error}


TABLE = ImitatedKind(
    kind="xai",
    address="https://api.x.ai/v1",
    model="grok-4",
    apis={
        "/v1/chat/completions": openai_chat,
        "/v1/responses": openai_responses,
        "/v1/messages": anthropic_messages,
    },
    embedding_model="v1",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/language-models",
        {
            "models": [
                {
                    "id": "grok-4",
                    "fingerprint": "fp_x",
                    "created": 1752019200,
                    "object": "model",
                    "owned_by": "xai",
                    "version": "1.0.0",
                    "input_modalities": ["text", "image"],
                    "output_modalities": ["text"],
                    "prompt_text_token_price": 30000,
                    "cached_prompt_text_token_price": 7500,
                    "completion_text_token_price": 150000,
                    "aliases": ["grok-4-latest"],
                }
            ]
        },
    ),
    listed=(
        ListedModel(
            "grok-4",
            owner="xai",
            price_input=3.0,
            price_output=15.0,
            capabilities=frozenset({Capability.CHAT, Capability.VISION}),
            lacks=frozenset({Capability.AUDIO}),
        ),
    ),
    probed={"/v1/api-key": {"redacted_api_key": "xai-...x", "api_key_blocked": False}},
    wrong_key=Refusal(
        status=400,
        body=_xais(
            "Client specified an invalid argument",
            "Incorrect API key provided: xa***xx. You can obtain an API key from "
            "https://console.x.ai.",
        ),
    ),
    unknown_path=Refusal(status=404, body=_xais("Not Found", "The route was not found")),
    rate_limited=Refusal(
        status=429,
        body=_xais(
            "Some resource has been exhausted",
            "Too many requests for team x and model grok-4. Your team's rate limit is 480 "
            "requests per minute.",
        ),
    ),
    spent=Refusal(
        status=403,
        body=_xais(
            "The caller does not have permission to execute the specified operation",
            "Your newly created team doesn't have any credits yet.",
        ),
    ),
    overloaded=Refusal(
        status=503, body=_xais("The service is currently unavailable", "Service unavailable")
    ),
    overflow=Refusal(
        status=400,
        body=_xais(
            "Client specified an invalid argument",
            "This model's maximum prompt length is 256000 but the request contains 300000 tokens.",
        ),
    ),
    overflow_tokens=(300000, 256000),
    limit_headers={
        "x-ratelimit-limit-requests": "480",
        "x-ratelimit-remaining-requests": "479",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000",
    },
    told=frozenset({"requests", "tokens"}),
)
