"""What is known of a model at one provider, from whoever says it: the configuration, the provider's
own listing, and tables of prices and capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

from forebay.protocol.canonical.listed_models import Capability, ListedModel

ValueT = TypeVar("ValueT")
_NONE: Final[frozenset[Capability]] = frozenset()


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


def any_of(facts: Iterable[ModelFacts]) -> ModelFacts:
    """What can be counted on where each of several may serve, and whoever is able to does: what any
    of them is capable of, the shortest lengths and the highest prices."""
    each = tuple(facts)
    if len(each) == 1:
        return each[0]
    capabilities = _NONE.union(*(one.capabilities for one in each))
    lacks = each[0].lacks.intersection(*(one.lacks for one in each)) if each else _NONE
    return ModelFacts(
        capabilities=capabilities,
        lacks=lacks,
        context_tokens=_least(one.context_tokens for one in each),
        max_output_tokens=_least(one.max_output_tokens for one in each),
        price_input=_most(one.price_input for one in each),
        price_output=_most(one.price_output for one in each),
        is_local=bool(each) and all(one.is_local for one in each),
        # It is gone when the last of them is.
        deprecated=True if each and all(one.deprecated for one in each) else None,
        retires=_last([one.retires for one in each]),
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


def _least(numbers: Iterable[int | None]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _most(numbers: Iterable[float | None]) -> float | None:
    return max((number for number in numbers if number is not None), default=None)


def _last(dates: Sequence[date | None]) -> date | None:
    known = [each for each in dates if each is not None]
    return max(known) if known and len(known) == len(dates) else None


def _first(higher: ValueT | None, lower: ValueT | None) -> ValueT | None:
    return lower if higher is None else higher
