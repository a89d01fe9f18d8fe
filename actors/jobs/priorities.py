"""What a request's own words say of its priority among its client's requests."""

from __future__ import annotations

from typing import Final

from forebay.actors.scheduling.flows import Priority

_BY_TIER: Final = {"priority": Priority.HIGH, "flex": Priority.LOW}
"""OpenAI's tiers that are faster or slower than usual; Anthropic's say nothing of the kind."""


def priority_of_tier(service_tier: str | None) -> Priority:
    """By ``service_tier`` of a request, whatever its target makes of it."""
    return _BY_TIER.get(service_tier or "", Priority.NORMAL)
