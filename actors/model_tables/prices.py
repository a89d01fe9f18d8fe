"""What models cost, by the tables of ``genai-prices``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from forebay.protocol.canonical.model_facts import ModelFacts

PriceLookup: TypeAlias = Callable[[str], ModelFacts]
"""From a model's id to what its tables say."""


class PriceTables:
    """Of all providers. Making one takes a fifth of a second."""

    def __init__(self) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._snapshot = get_snapshot()

    def name_at(self, url: str) -> str | None:
        """What the tables call the provider at an address."""
        try:
            return self._snapshot.find_provider(None, None, url).id
        except LookupError:
            return None

    def of(self, name: str) -> PriceLookup | None:
        """The tables of one provider; None: there are none.

        Args:
            name: what the tables call it; "": nothing.
        """
        try:
            provider = self._snapshot.find_provider(None, name, None) if name else None
        except LookupError:
            return None
        if provider is None:
            return None
        others = self._snapshot.providers

        def look_up(model_id: str) -> ModelFacts:
            model = provider.find_model(model_id, all_providers=others)
            if model is None:
                return ModelFacts()
            prices = model.get_prices(datetime.now(UTC)) if model.prices else None
            return ModelFacts(
                context_tokens=model.context_window or None,
                price_input=_dollars(getattr(prices, "input_mtok", None)),
                price_output=_dollars(getattr(prices, "output_mtok", None)),
                deprecated=True if model.deprecated else None,
            )

        return look_up


def _dollars(price: object) -> float | None:
    """Where prices depend on the length of the prompt, that of short ones. None: it is charged
    otherwise."""
    price = getattr(price, "base", price)
    return float(price) if isinstance(price, Decimal) else None
