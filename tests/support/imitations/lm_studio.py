"""LM Studio."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel

_WRITES = frozenset({Capability.CHAT, Capability.COMPLETION})


def _entry(model: str) -> object:
    return {"id": model, "object": "model", "owned_by": "organization_owner"}


TABLE = ImitatedKind(
    kind="openai_compatible",
    address=None,
    base_url="http://up.test/v1",
    model="qwen2-vl-7b-instruct",
    apis={"/v1/chat/completions": openai_chat},
    embedding_model="text-embedding-nomic-embed-text-v1.5",
    embeddings=("/v1/embeddings", openai_embeddings),
    credential=None,
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                _entry("qwen2-vl-7b-instruct"),
                _entry("text-embedding-nomic-embed-text-v1.5"),
            ],
        },
    ),
    probed={
        "/api/v0/models": {
            "object": "list",
            "data": [
                {
                    "id": "qwen2-vl-7b-instruct",
                    "object": "model",
                    "type": "vlm",
                    "publisher": "mlx-community",
                    "arch": "qwen2_vl",
                    "compatibility_type": "mlx",
                    "quantization": "4bit",
                    "state": "loaded",
                    "max_context_length": 32768,
                    "loaded_context_length": 4096,
                    "capabilities": ["tool_use"],
                },
                {
                    "id": "text-embedding-nomic-embed-text-v1.5",
                    "object": "model",
                    "type": "embeddings",
                    "publisher": "nomic-ai",
                    "arch": "nomic-bert",
                    "compatibility_type": "gguf",
                    "quantization": "Q4_0",
                    "state": "not-loaded",
                    "max_context_length": 2048,
                },
            ],
        }
    },
    listed=(
        ListedModel(
            "qwen2-vl-7b-instruct",
            4096,
            "organization_owner",
            capabilities=_WRITES | {Capability.VISION, Capability.TOOLS},
        ),
        ListedModel(
            "text-embedding-nomic-embed-text-v1.5",
            2048,
            "organization_owner",
            capabilities=frozenset({Capability.EMBEDDING}),
            lacks=_WRITES,
        ),
    ),
    wrong_key=Refusal(status=401, body={"error": "unauthorized"}),
    unknown_path=Refusal(status=200, body={"error": "Unexpected endpoint or method."}),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(status=503, body={"error": "The model is being loaded"}),
    overflow=Refusal(
        status=400,
        body={
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, "
            "the model is loaded with context length of only 4096 tokens, which is not enough. Try "
            "to load the model with a larger context length, or provide a shorter input"
        },
    ),
)
