"""OpenAI's own API."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings, openai_responses
from imitations.kinds import ImitatedKind, Refusal, openai_error

from forebay.protocol.canonical.listed_models import ListedModel

_LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199970",
    "x-ratelimit-reset-tokens": "9ms",
}


_OVERFLOW = Refusal(
    status=400,
    body=openai_error(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9000 tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    ),
)


_OVERLOADED = Refusal(
    status=503,
    body=openai_error(
        "The engine is currently overloaded, please try again later", "server_error", None
    ),
)


TABLE = ImitatedKind(
    kind="openai",
    address="https://api.openai.com/v1",
    model="gpt-4o-mini",
    apis={"/v1/chat/completions": openai_chat, "/v1/responses": openai_responses},
    embedding_model="text-embedding-3-small",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "gpt-4o-mini",
                    "object": "model",
                    "created": 1721172741,
                    "owned_by": "system",
                }
            ],
        },
    ),
    listed=(ListedModel("gpt-4o-mini", owner="system"),),
    wrong_key=Refusal(
        status=401,
        body=openai_error(
            "Incorrect API key provided: x.", "invalid_request_error", "invalid_api_key"
        ),
    ),
    unknown_path=Refusal(
        status=404, body=openai_error("Invalid URL (POST /x)", "invalid_request_error", None)
    ),
    rate_limited=Refusal(
        status=429,
        body=openai_error(
            "Rate limit reached for gpt-4o-mini in organization org-x on tokens per min (TPM): "
            "Limit 200000, Used 199000, Requested 3000. Please try again in 6s.",
            "tokens",
            "rate_limit_exceeded",
        ),
        headers={"retry-after": "6", "retry-after-ms": "6000"},
    ),
    waits=6.0,
    spent=Refusal(
        status=429,
        body=openai_error(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    overloaded=_OVERLOADED,
    overflow=_OVERFLOW,
    overflow_tokens=(9000, 8192),
    limit_headers=_LIMITS,
    told=frozenset({"requests", "tokens"}),
)
