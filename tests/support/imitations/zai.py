"""Z.ai, with its coding plan and its API in Anthropic's style."""

from __future__ import annotations

from imitations.answering import anthropic_messages, openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel

_VERSIONED = frozenset({"anthropic-version"})


def _zais(code: str, message: str) -> object:
    return {"error": {"code": code, "message": message}}


TABLE = ImitatedKind(
    kind="zai",
    address="https://api.z.ai/api/paas/v4",
    model="glm-5",
    apis={
        "/api/paas/v4/chat/completions": lambda request: openai_chat(
            request, extras={"request_id": "20261122"}, usage_unasked=True
        ),
        "/api/coding/paas/v4/chat/completions": openai_chat,
        "/api/anthropic/v1/messages": anthropic_messages,
    },
    embedding_model="embedding-3",
    embeddings=("/api/paas/v4/embeddings", openai_embeddings),
    required_headers={"/api/anthropic/v1/messages": _VERSIONED},
    listing=(
        "/api/paas/v4/models",
        {"object": "list", "data": [{"id": "glm-5", "object": "model", "owned_by": "z-ai"}]},
    ),
    listed=(ListedModel("glm-5", owner="z-ai"),),
    wrong_key=Refusal(status=401, body=_zais("1000", "Authentication Failed")),
    unknown_path=Refusal(status=404, body=_zais("404", "Not Found")),
    rate_limited=Refusal(
        status=429, body=_zais("1302", "High concurrency usage of this API, please reduce it")
    ),
    spent=Refusal(
        status=429,
        body=_zais(
            "1308",
            "Usage limit reached for 5 hour. Your limit will reset at 2099-11-22 18:30:00",
        ),
    ),
    overloaded=Refusal(
        status=429, body=_zais("1305", "The API has triggered a frequency limit of the service")
    ),
    overflow=Refusal(status=400, body=_zais("1261", "Prompt exceeds max length")),
)
