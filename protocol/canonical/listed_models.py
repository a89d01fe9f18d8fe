"""What a provider's listing tells of one model, in the same words for all providers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TypeVar

NumberT = TypeVar("NumberT", int, float)


class Capability(StrEnum):
    """What a model can do, as far as requests ask for it."""

    CHAT = "chat"
    COMPLETION = "completion"
    """It goes on with a text as it stands."""
    EMBEDDING = "embedding"
    TOOLS = "tools"
    PARALLEL_TOOLS = "parallel_tools"
    """Several calls of tools in one answer."""
    JSON_SCHEMA = "json_schema"
    """Answers that follow a schema by force, not by the model's good will."""
    VISION = "vision"
    AUDIO = "audio"
    """It takes sound."""
    THINKING = "thinking"
    PREFIX_CONTINUATION = "prefix_continuation"
    """It goes on with a last turn of its own."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model, as its provider lists it. None, and what stands in neither set: not told."""

    id: str
    context_tokens: int | None = None
    """Prompt and answer together."""
    owner: str = ""
    """Whose model it is, as the provider writes it: local servers write what they are."""
    max_output_tokens: int | None = None
    price_input: float | None = None
    """US dollars for a million tokens."""
    price_output: float | None = None
    capabilities: frozenset[Capability] = frozenset()
    """What it is said to be capable of."""
    lacks: frozenset[Capability] = frozenset()
    """What it is said not to be capable of, or what a complete list leaves out."""
    deprecated: bool = False
    retires: date | None = None
    """When it goes, or has gone."""


def with_more(listed: ListedModel, told: ListedModel) -> ListedModel:
    """What ``told`` says of the same model, and of all else what was ``listed``."""
    return replace(
        listed,
        context_tokens=_first(told.context_tokens, listed.context_tokens),
        max_output_tokens=_first(told.max_output_tokens, listed.max_output_tokens),
        price_input=_first(told.price_input, listed.price_input),
        price_output=_first(told.price_output, listed.price_output),
        capabilities=told.capabilities | (listed.capabilities - told.lacks),
        lacks=told.lacks | (listed.lacks - told.capabilities),
        deprecated=told.deprecated or listed.deprecated,
        retires=listed.retires if told.retires is None else told.retires,
    )


def _first(better: NumberT | None, other: NumberT | None) -> NumberT | None:
    return other if better is None else better


def narrower(one: ListedModel, other: ListedModel) -> ListedModel:
    """What holds of a model whichever of two listings' servers serves it: the shorter lengths,
    the higher prices, and only what both are capable of."""
    retiring = [each.retires for each in (one, other) if each.retires is not None]
    return replace(
        one,
        context_tokens=_of_both(min, one.context_tokens, other.context_tokens),
        max_output_tokens=_of_both(min, one.max_output_tokens, other.max_output_tokens),
        price_input=_of_both(max, one.price_input, other.price_input),
        price_output=_of_both(max, one.price_output, other.price_output),
        capabilities=one.capabilities & other.capabilities,
        lacks=one.lacks | other.lacks,
        deprecated=one.deprecated or other.deprecated,
        retires=min(retiring, default=None),
    )


def _of_both(
    choose: Callable[[NumberT, NumberT], NumberT], one: NumberT | None, other: NumberT | None
) -> NumberT | None:
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)
