"""OpenAI's API at Azure: a resource's v1 API."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings, openai_responses
from imitations.kinds import KEY, ImitatedKind, Refusal, openai_error
from imitations.openai import TABLE as OPENAI

TABLE = ImitatedKind(
    kind="azure",
    address=None,
    base_url="http://up.test/openai/v1",
    model="our-deployment",
    apis={
        "/openai/v1/chat/completions": openai_chat,
        "/openai/v1/responses": openai_responses,
    },
    embedding_model="our-embeddings",
    embeddings=("/openai/v1/embeddings", openai_embeddings),
    credential=("api-key", KEY),
    listing=(
        "/openai/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "gpt-4o-mini-2024-07-18",
                    "object": "model",
                    "created": 1721172741,
                    "owned_by": "system",
                    "capabilities": {"chat_completion": True, "embeddings": False},
                    "lifecycle_status": "generally-available",
                }
            ],
        },
    ),
    listed=(),
    wrong_key=Refusal(
        status=401,
        body={
            "error": {
                "code": "401",
                "message": "Access denied due to invalid subscription key or wrong API endpoint. "
                "Make sure to provide a valid key for an active subscription and use a correct "
                "regional API endpoint for your resource.",
            }
        },
    ),
    unknown_path=Refusal(
        status=404, body={"error": {"code": "404", "message": "Resource not found"}}
    ),
    rate_limited=Refusal(
        status=429,
        body={
            "error": {
                "code": "429",
                "message": "Requests to the ChatCompletions_Create Operation under Azure OpenAI "
                "API have exceeded token rate limit of your current OpenAI S0 pricing tier. "
                "Please retry after 26 seconds.",
            }
        },
        headers={"retry-after": "26", "x-ratelimit-limit-requests": "-1"},
    ),
    waits=26.0,
    spent=Refusal(
        status=429,
        body=openai_error(
            "You exceeded your current quota", "insufficient_quota", "insufficient_quota"
        ),
    ),
    overloaded=OPENAI.overloaded,
    overflow=OPENAI.overflow,
    overflow_tokens=(9000, 8192),
    limit_headers={**OPENAI.limit_headers, "x-ratelimit-limit-requests": "-1"},
    told=frozenset({"tokens"}),
)
