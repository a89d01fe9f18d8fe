"""An Ollama server."""

from __future__ import annotations

from imitations.answering import ollama_chat, ollama_embed
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _plain(message: str) -> object:
    return {"error": message}


TABLE = ImitatedKind(
    kind="ollama",
    address="http://127.0.0.1:11434",
    base_url="http://up.test",
    takes_hosts=True,
    model="llama3.2:latest",
    apis={"/api/chat": ollama_chat},
    embedding_model="nomic-embed-text:latest",
    embeddings=("/api/embed", ollama_embed),
    credential=None,
    listing=(
        "/api/tags",
        {
            "models": [
                {
                    "name": "llama3.2:latest",
                    "model": "llama3.2:latest",
                    "modified_at": "2026-11-01T10:00:00Z",
                    "size": 2019393189,
                    "digest": "a80c4f17acd5",
                    "details": {"format": "gguf", "family": "llama", "parameter_size": "3.2B"},
                }
            ]
        },
    ),
    shown=(
        "/api/show",
        {
            "llama3.2:latest": {
                "modelfile": "FROM llama3.2",
                "parameters": 'stop                           "<|eot_id|>"\n'
                "num_ctx                        8192",
                "template": "{{ .Prompt }}",
                "details": {"format": "gguf", "family": "llama"},
                "model_info": {
                    "general.architecture": "llama",
                    "llama.context_length": 131072,
                    "llama.embedding_length": 3072,
                },
                "capabilities": ["completion", "tools"],
            }
        },
    ),
    listed=(
        ListedModel(
            "llama3.2:latest",
            8192,
            capabilities=frozenset(
                {
                    Capability.CHAT,
                    Capability.COMPLETION,
                    Capability.TOOLS,
                    Capability.JSON_SCHEMA,
                }
            ),
            lacks=frozenset(
                {
                    Capability.VISION,
                    Capability.AUDIO,
                    Capability.THINKING,
                }
            ),
        ),
    ),
    probed={"/api/version": {"version": "0.15.2"}},
    wrong_key=Refusal(status=401, body=_plain("unauthorized")),
    unknown_path=Refusal(status=404, body=_plain("404 page not found")),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(
        status=503, body=_plain("server busy, please try again.  maximum pending requests exceeded")
    ),
    overflow=Refusal(
        status=400, body=_plain("input length exceeds the context length of 4096 tokens")
    ),
)
