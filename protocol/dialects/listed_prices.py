"""What models cost, as servers list it: US dollars for a million tokens.

OpenRouter and Vercel write decimal texts for one token (``{"pricing": {"prompt": "0.000003"}}``),
Together and Hugging Face's router numbers for a million (``{"pricing": {"input": 0.6}}``),
DeepInfra numbers for a million under ``metadata``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from forebay.protocol.jsontext import JsonObject, JsonValue

_FIELDS = (("prompt", "completion"), ("input", "output"), ("input_tokens", "output_tokens"))
_TOKENS = 1_000_000
_DIGITS = 6
"""Of dollars; what is beyond is the rounding of binary fractions."""

Prices = tuple[float | None, float | None]
"""Of input and output; None: not told."""


def prices_of(entry: JsonObject) -> Prices:
    """What an entry says that its model costs. Of several providers behind it, the dearest."""
    told = [prices for prices in map(_prices_in, _places(entry)) if prices != (None, None)]
    return (
        max((price for price, _ in told if price is not None), default=None),
        max((price for _, price in told if price is not None), default=None),
    )


def _places(entry: JsonObject) -> Iterator[JsonObject]:
    metadata = entry.get("metadata")
    for holder in (entry, metadata if isinstance(metadata, dict) else {}, *live_providers(entry)):
        pricing = holder.get("pricing")
        if isinstance(pricing, dict):
            yield pricing


def live_providers(entry: JsonObject) -> list[JsonObject]:
    """The providers behind a model that serve it (Hugging Face's router)."""
    providers = entry.get("providers")
    return [
        provider
        for provider in (providers if isinstance(providers, list) else [])
        if isinstance(provider, dict) and provider.get("status") in (None, "live")
    ]


def _prices_in(pricing: JsonObject) -> Prices:
    for input_field, output_field in _FIELDS:
        if input_field in pricing or output_field in pricing:
            values = pricing.get(input_field), pricing.get(output_field)
            # Together writes zeros for models that are let by the hour.
            if not any(isinstance(value, str) for value in values) and not any(values):
                return None, None
            return _price(values[0]), _price(values[1])
    return None, None


def _price(value: JsonValue) -> float | None:
    """OpenRouter writes -1 for a price that varies."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            price = float(value) * _TOKENS
        except ValueError:
            return None
    elif isinstance(value, int | float):
        price = float(value)
    else:
        return None
    return round(price, _DIGITS) if math.isfinite(price) and price >= 0 else None
