"""llama.cpp's server."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _error(message: str, kind: str, code: int, **more: object) -> object:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


TABLE = ImitatedKind(
    kind="openai_compatible",
    address=None,
    base_url="http://up.test/v1",
    model="smollm2",
    apis={"/v1/chat/completions": openai_chat},
    embedding_model="smollm2",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "models": [{"name": "smollm2", "model": "smollm2", "capabilities": ["completion"]}],
            "object": "list",
            "data": [
                {
                    "id": "smollm2",
                    "object": "model",
                    "created": 1795416919,
                    "owned_by": "llamacpp",
                    "meta": {"vocab_type": 2, "n_vocab": 49152, "n_ctx_train": 8192},
                }
            ],
        },
    ),
    probed={
        "/health": {"status": "ok"},
        "/props": {
            "default_generation_settings": {"n_ctx": 2048, "params": {"n_predict": -1}},
            "total_slots": 2,
            "modalities": {"vision": True, "audio": False},
            "chat_template": "{{ messages }}",
            "chat_template_caps": {
                "supports_tools": True,
                "supports_tool_calls": True,
                "supports_parallel_tool_calls": False,
            },
        },
    },
    listed=(
        ListedModel(
            "smollm2",
            2048,
            "llamacpp",
            capabilities=frozenset({Capability.TOOLS, Capability.VISION}),
            lacks=frozenset({Capability.PARALLEL_TOOLS, Capability.AUDIO}),
        ),
    ),
    told_slots=2,
    wrong_key=Refusal(status=401, body=_error("Invalid API Key", "authentication_error", 401)),
    unknown_path=Refusal(status=404, body=_error("File Not Found", "not_found_error", 404)),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(status=503, body=_error("Loading model", "unavailable_error", 503)),
    overflow=Refusal(
        status=400,
        body=_error(
            "request (4000 tokens) exceeds the available context size (2048 tokens), try "
            "increasing it",
            "exceed_context_size_error",
            400,
            n_prompt_tokens=4000,
            n_ctx=2048,
        ),
    ),
    overflow_tokens=(4000, 2048),
)
