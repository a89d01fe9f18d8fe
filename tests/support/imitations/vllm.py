"""vLLM, for all servers in OpenAI's style."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal, openai_error

from forebay.protocol.canonical.listed_models import ListedModel

TABLE = ImitatedKind(
    kind="openai_compatible",
    address=None,
    base_url="http://up.test/v1",
    model="Qwen/Qwen3-8B",
    apis={"/v1/chat/completions": openai_chat},
    embedding_model="BAAI/bge-m3",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "Qwen/Qwen3-8B",
                    "object": "model",
                    "created": 1790000000,
                    "owned_by": "vllm",
                    "root": "Qwen/Qwen3-8B",
                    "parent": None,
                    "max_model_len": 32768,
                    "permission": [],
                }
            ],
        },
    ),
    listed=(ListedModel("Qwen/Qwen3-8B", 32768, "vllm"),),
    wrong_key=Refusal(status=401, body={"error": "Unauthorized"}),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(
        status=503, body=openai_error("the engine is dead", "ServiceUnavailable", None)
    ),
    overflow=Refusal(
        status=400,
        body={
            "error": {
                "message": "This model's maximum context length is 32768 tokens. However, your "
                "request has 40000 input tokens. Please reduce the length of the input messages.",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
    ),
    overflow_tokens=(40000, 32768),
)
