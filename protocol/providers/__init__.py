"""The kinds of providers that Forebay knows: one file each, and this registry of them."""

from collections.abc import Mapping
from types import MappingProxyType

from forebay.protocol.providers import (
    anthropic,
    ollama,
    openai,
    openai_compatible,
    openvino,
    sandbox,
    zai,
)
from forebay.protocol.providers.base import ProviderProfile

PROFILES: Mapping[str, ProviderProfile] = MappingProxyType(
    {
        profile.kind: profile
        for profile in (
            openai.PROFILE,
            anthropic.PROFILE,
            ollama.PROFILE,
            openai_compatible.PROFILE,
            openvino.PROFILE,
            zai.PROFILE,
            sandbox.PROFILE,
        )
    }
)

__all__ = ["PROFILES", "ProviderProfile"]
