"""SGLang."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel


def _flat(message: str, kind: str, code: int) -> object:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


TABLE = ImitatedKind(
    kind="openai_compatible",
    address=None,
    base_url="http://up.test/v1",
    model="Qwen/Qwen3-32B",
    apis={
        "/v1/chat/completions": lambda request: openai_chat(
            request, extras={"metadata": {"weight_version": "default"}}
        )
    },
    embedding_model="Alibaba-NLP/gte-Qwen2",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "Qwen/Qwen3-32B",
                    "object": "model",
                    "created": 1790000000,
                    "owned_by": "sglang",
                    "root": "Qwen/Qwen3-32B",
                    "parent": None,
                    "max_model_len": 40960,
                }
            ],
        },
    ),
    listed=(ListedModel("Qwen/Qwen3-32B", 40960, "sglang"),),
    wrong_key=Refusal(status=401, body={"error": "Unauthorized"}),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(
        status=503, body=_flat("The request queue is full.", "service_unavailable_error", 503)
    ),
    overflow=Refusal(
        status=400,
        body=_flat(
            "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            "BadRequestError",
            400,
        ),
    ),
    overflow_tokens=(61709, 40960),
)
