"""Together."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal, openai_error

from forebay.protocol.canonical.listed_models import Capability, ListedModel

TABLE = ImitatedKind(
    kind="together",
    address="https://api.together.xyz/v1",
    model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
    apis={
        "/v1/chat/completions": lambda request: openai_chat(
            request, finish="eos", extras={"prompt": []}, usage_unasked=True
        ),
    },
    embedding_model="BAAI/bge-base-en-v1.5",
    embeddings=(
        "/v1/embeddings",
        lambda request: openai_embeddings(request, knows_base64=False),
    ),
    listing=(
        "/v1/models",
        [
            {
                "id": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
                "object": "model",
                "created": 1733466629,
                "type": "chat",
                "display_name": "Llama 3.3 70B",
                "organization": "Meta",
                "context_length": 131072,
                "pricing": {"hourly": 0, "input": 0.88, "output": 0.88, "base": 0, "finetune": 0},
            },
            {
                "id": "BAAI/bge-base-en-v1.5",
                "object": "model",
                "type": "embedding",
                "context_length": 512,
                "pricing": {"hourly": 0, "input": 0.008, "output": 0, "base": 0, "finetune": 0},
            },
        ],
    ),
    listed=(
        ListedModel(
            "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            131072,
            price_input=0.88,
            price_output=0.88,
            capabilities=frozenset({Capability.CHAT}),
        ),
        ListedModel(
            "BAAI/bge-base-en-v1.5",
            512,
            price_input=0.008,
            price_output=0.0,
            capabilities=frozenset({Capability.EMBEDDING}),
            lacks=frozenset({Capability.CHAT, Capability.COMPLETION}),
        ),
    ),
    wrong_key=Refusal(
        status=401,
        body={
            "id": "o1",
            "error": {
                "message": "Invalid API key provided.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_api_key",
            },
        },
    ),
    rate_limited=Refusal(
        status=429,
        body={
            "error": {
                "message": "You have reached the rate limit for this model: 9.0 queries per second",
                "type": "rate_limit",
                "error_type": "dynamic_request_limited",
                "param": None,
                "code": None,
            }
        },
        headers={"retry-after": "2"},
    ),
    waits=2.0,
    spent=Refusal(
        status=402,
        body=openai_error("Credit limit exceeded, please add credits", "credit_limit", None),
    ),
    overloaded=Refusal(
        status=503,
        body=openai_error(
            "The server is overloaded or not ready yet.", "service_unavailable", None
        ),
    ),
    overflow=Refusal(
        status=422,
        body=openai_error(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 131073. "
            "Given: 140000 `inputs` tokens and 0 `max_new_tokens`",
            "invalid_request_error",
            None,
            "max_tokens",
        ),
    ),
    limit_headers={
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "9",
        "x-ratelimit-reset": "1",
        "x-tokenlimit-limit": "30000",
        "x-tokenlimit-remaining": "29000",
        "x-ratelimit-limit-dynamic": "3",
        "x-ratelimit-remaining-dynamic": "2",
    },
    told=frozenset({"requests", "requests-dynamic", "tokens"}),
)
