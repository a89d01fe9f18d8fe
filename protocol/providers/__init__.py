"""The kinds of providers that Forebay knows: one file each, found here by its ``PROFILE``."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType

from forebay.protocol.providers.base import ProviderProfile


def _profiles() -> Iterator[ProviderProfile]:
    for module in pkgutil.iter_modules(__path__):
        profile = getattr(import_module(f"{__name__}.{module.name}"), "PROFILE", None)
        if isinstance(profile, ProviderProfile):
            yield profile


PROFILES: Mapping[str, ProviderProfile] = MappingProxyType(
    {profile.kind: profile for profile in _profiles()}
)
"""By kind."""

__all__ = ["PROFILES", "ProviderProfile"]
