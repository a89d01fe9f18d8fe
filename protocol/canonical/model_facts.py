"""What is known of a model at one provider, from whoever says it: the configuration, the provider's
own listing, and tables of prices and capabilities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from forebay.protocol.canonical.listed_models import Capability, ListedModel

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What one source says, or several laid :meth:`over` each other. None, and what stands in
    neither set: nobody says."""

    capabilities: frozenset[Capability] = frozenset()
    lacks: frozenset[Capability] = frozenset()
    """What it is not capable of; nothing stands in both sets."""
    context_tokens: int | None = None
    """Prompt and answer together."""
    max_output_tokens: int | None = None
    price_input: float | None = None
    """US dollars for a million tokens."""
    price_output: float | None = None
    is_local: bool = False
    """It runs on this machine or in its network: a fact of its provider."""
    deprecated: bool | None = None
    retires: date | None = None
    """When it goes, or has gone."""

    def can(self, capability: Capability) -> bool | None:
        """Whether the model is capable of it; None: nobody says."""
        if capability in self.capabilities:
            return True
        return False if capability in self.lacks else None

    def over(self, lower: ModelFacts) -> ModelFacts:
        """Both together, field by field and capability by capability: what this one says wins, and
        ``lower`` says the rest."""
        stays = self.deprecated is False
        return ModelFacts(
            capabilities=self.capabilities | (lower.capabilities - self.lacks),
            lacks=self.lacks | (lower.lacks - self.capabilities),
            context_tokens=_first(self.context_tokens, lower.context_tokens),
            max_output_tokens=_first(self.max_output_tokens, lower.max_output_tokens),
            price_input=_first(self.price_input, lower.price_input),
            price_output=_first(self.price_output, lower.price_output),
            is_local=self.is_local or lower.is_local,
            deprecated=_first(self.deprecated, lower.deprecated),
            # Of a model that is said to stay, nobody else's date counts.
            retires=self.retires if stays else _first(self.retires, lower.retires),
        )


def listed_facts(model: ListedModel) -> ModelFacts:
    """What a listing says of a model."""
    return ModelFacts(
        capabilities=model.capabilities - model.lacks,
        lacks=model.lacks - model.capabilities,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        price_input=model.price_input,
        price_output=model.price_output,
        deprecated=True if model.deprecated else None,
        retires=model.retires,
    )


def _first(higher: ValueT | None, lower: ValueT | None) -> ValueT | None:
    return lower if higher is None else higher
