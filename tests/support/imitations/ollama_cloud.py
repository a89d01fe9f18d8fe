"""Ollama's cloud."""

from __future__ import annotations

from imitations.answering import ollama_chat, ollama_embed
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _plain(message: str) -> object:
    return {"error": message}


TABLE = ImitatedKind(
    kind="ollama_cloud",
    address="https://ollama.com",
    model="gpt-oss:120b",
    apis={"/api/chat": ollama_chat},
    embedding_model="embeddinggemma",
    embeddings=("/api/embed", ollama_embed),
    listing=(
        "/api/tags",
        {"models": [{"name": "gpt-oss:120b", "model": "gpt-oss:120b", "size": 65369815980}]},
    ),
    shown=(
        "/api/show",
        {
            "gpt-oss:120b": {
                "parameters": "",
                "model_info": {
                    "general.architecture": "gptoss",
                    "gptoss.context_length": 131072,
                },
                "capabilities": ["completion", "tools", "thinking"],
            }
        },
    ),
    listed=(
        ListedModel(
            "gpt-oss:120b",
            131072,
            capabilities=frozenset(
                {
                    Capability.CHAT,
                    Capability.COMPLETION,
                    Capability.TOOLS,
                    Capability.THINKING,
                    Capability.JSON_SCHEMA,
                }
            ),
            lacks=frozenset({Capability.VISION, Capability.AUDIO}),
        ),
    ),
    open_paths=frozenset({"/api/tags"}),
    wrong_key=Refusal(status=401, body=_plain("unauthorized")),
    unknown_path=Refusal(status=404, body=_plain("not found")),
    rate_limited=Refusal(status=429, body=_plain("too many concurrent requests")),
    spent=Refusal(
        status=429,
        body=_plain(
            "you (someone) have reached your weekly usage limit, upgrade for higher limits: "
            "https://ollama.com/upgrade"
        ),
    ),
    overloaded=Refusal(
        status=503, body=_plain("Server overloaded, please retry shortly (ref: 06d81c91)")
    ),
    overflow=Refusal(
        status=400, body=_plain("input length exceeds the context length of 131072 tokens")
    ),
)
