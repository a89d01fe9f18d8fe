"""The kinds of providers that Forebay knows: one file each, and this registry of them."""

from collections.abc import Mapping
from types import MappingProxyType

from forebay.protocol.providers import (
    anthropic,
    azure,
    azure_deployments,
    deepseek,
    gemini,
    groq,
    huggingface,
    mistral,
    ollama,
    ollama_cloud,
    openai,
    openai_compatible,
    openrouter,
    openvino,
    sandbox,
    together,
    xai,
    zai,
)
from forebay.protocol.providers.base import ProviderProfile

PROFILES: Mapping[str, ProviderProfile] = MappingProxyType(
    {
        profile.kind: profile
        for profile in (
            openai.PROFILE,
            anthropic.PROFILE,
            openrouter.PROFILE,
            together.PROFILE,
            huggingface.PROFILE,
            zai.PROFILE,
            ollama.PROFILE,
            ollama_cloud.PROFILE,
            openvino.PROFILE,
            openai_compatible.PROFILE,
            groq.PROFILE,
            deepseek.PROFILE,
            mistral.PROFILE,
            gemini.PROFILE,
            xai.PROFILE,
            azure.PROFILE,
            azure_deployments.PROFILE,
            sandbox.PROFILE,
        )
    }
)

__all__ = ["PROFILES", "ProviderProfile"]
