"""How models are asked. Thousands of them are alike in that, so what is found out of one of them,
for one request, holds for all that are asked in the same manner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.providers.base import ProviderProfile


@dataclass(frozen=True, slots=True, eq=False)
class Manner:
    """One for all models that are asked alike: to be told from others by its identity."""

    profile: ProviderProfile
    traits: UpstreamTraits
    completes_text: bool
    """The model goes on with texts as they stand."""


_KNOWN: Final[dict[tuple[str, UpstreamTraits, bool], Manner]] = {}


def manner(profile: ProviderProfile, traits: UpstreamTraits, *, completes_text: bool) -> Manner:
    """The one object for models of a kind that have these traits."""
    key = (profile.kind, traits, completes_text)
    known = _KNOWN.get(key)
    if known is None or known.profile is not profile:
        known = _KNOWN[key] = Manner(profile, traits, completes_text)
    return known
