"""What a request needs of the model that is to serve it, and what a model lacks of that.

A model that is known to lack something is of no use; one of which nobody says whether it has it
may be of use, though less surely.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of one request, or of somebody who says what a model must be."""

    capabilities: frozenset[Capability] = frozenset()
    """All of these."""
    any_of: frozenset[Capability] = frozenset()
    """One of these, unless it is empty."""
    wishes: frozenset[Capability] = frozenset()
    """Good to have: nobody is ruled out for the lack of them."""
    context_tokens: int = 0
    """Prompt and answer together: the model must take at least so many."""
    output_tokens: int = 0
    """It must be able to answer with at least so many."""
    local: bool = False
    """It must run here."""
    most_price: float | None = None
    """US dollars for a million tokens, whether of input or of output; None: whatever it costs."""

    def also(self, other: Needs) -> Needs:
        """Both together."""
        if other is NO_NEEDS:
            return self
        if self is NO_NEEDS:
            return other
        prices = [each.most_price for each in (self, other) if each.most_price is not None]
        return Needs(
            capabilities=self.capabilities | other.capabilities,
            any_of=self.any_of or other.any_of,
            wishes=self.wishes | other.wishes,
            context_tokens=max(self.context_tokens, other.context_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
            local=self.local or other.local,
            most_price=min(prices, default=None),
        )


NO_NEEDS: Final = Needs()


class Ability(Enum):
    """What a lack is a lack of."""

    CAPABILITY = auto()
    CONTEXT = auto()
    OUTPUT = auto()
    PLACE = auto()
    PRICE = auto()


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that a model is known to lack."""

    of: Ability
    said: str
    """What the model does instead, in the third person: ``lacks vision``."""


def lacks(needs: Needs, facts: ModelFacts) -> tuple[Lack, ...]:
    """What a model of these facts is known to lack; empty: nothing."""
    found: list[Lack] = []
    missing = sorted(needs.capabilities & facts.lacks)
    if needs.any_of and needs.any_of <= facts.lacks:
        missing += sorted(needs.any_of)
    if missing:
        found.append(Lack(Ability.CAPABILITY, f"lacks {', '.join(missing)}"))
    context, output = facts.context_tokens, facts.max_output_tokens
    if context is not None and context < needs.context_tokens:
        found.append(
            Lack(Ability.CONTEXT, f"takes {context} tokens, not {needs.context_tokens} or more")
        )
    if output is not None and output < needs.output_tokens:
        found.append(
            Lack(Ability.OUTPUT, f"answers with {output} tokens at most, not {needs.output_tokens}")
        )
    if needs.local and not facts.is_local:
        found.append(Lack(Ability.PLACE, "is not local"))
    if needs.most_price is not None:
        found += _too_dear(needs.most_price, facts)
    return tuple(found)


def doubts(needs: Needs, facts: ModelFacts) -> int:
    """How much of what is needed or wished for nobody says that the model has."""
    wanted = needs.capabilities | needs.wishes
    doubtful = len(wanted - facts.capabilities)
    if needs.any_of and needs.any_of.isdisjoint(facts.capabilities):
        doubtful += 1
    doubtful += bool(needs.context_tokens) and facts.context_tokens is None
    doubtful += bool(needs.output_tokens) and facts.max_output_tokens is None
    return doubtful


def _too_dear(most: float, facts: ModelFacts) -> list[Lack]:
    """What nobody knows the price of may cost anything, unless it is one's own."""
    known = [price for price in (facts.price_input, facts.price_output) if price is not None]
    if not known:
        return [] if facts.is_local else [Lack(Ability.PRICE, "has a price that nobody says")]
    dearest = max(known)
    if dearest <= most:
        return []
    return [Lack(Ability.PRICE, f"costs {dearest:g} for a million tokens, not {most:g} or less")]
