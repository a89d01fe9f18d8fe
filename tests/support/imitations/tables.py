"""All tables. A new kind of provider comes with a table of its own, and its name here."""

from __future__ import annotations

from importlib import import_module

from imitations.kinds import ImitatedKind

_NAMES = (
    "anthropic",
    "azure",
    "azure_deployments",
    "deepseek",
    "gemini",
    "groq",
    "huggingface_endpoint",
    "huggingface_router",
    "llamacpp",
    "lm_studio",
    "mistral",
    "ollama",
    "ollama_cloud",
    "openai",
    "openrouter",
    "openvino",
    "together",
    "vllm",
    "xai",
    "zai",
    "zai_coding",
)


def _table(name: str) -> ImitatedKind:
    table = import_module(f"imitations.{name}").TABLE
    assert isinstance(table, ImitatedKind)
    return table


TABLES: dict[str, ImitatedKind] = {name: _table(name) for name in _NAMES}
"""By what tests call them."""
