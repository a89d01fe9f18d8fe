"""What calls cost in money, as far as somebody says."""

from __future__ import annotations

from dataclasses import dataclass

from forebay.actors.scheduling.gates import Demand

_MILLION = 1e6
_USUAL_INPUT = 0.75
_MIDDLE_PRICE = 2.0
"""Dollars for a million tokens: neither cheap nor dear."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    @property
    def per_token(self) -> float:
        """Dollars for a million tokens of a usual call, most of which are input."""
        return _USUAL_INPUT * self.input + (1 - _USUAL_INPUT) * self.output

    def of(self, demand: Demand) -> float:
        """Dollars for one call."""
        read = demand.tokens - demand.output
        return (read * self.input + demand.output * self.output) / _MILLION


def dearness(price: Price | None) -> float:
    """How dear a target is: from 0 (free) over a half (2 dollars for a million tokens) towards 1,
    which also those are of whom nobody knows it."""
    if price is None:
        return 1.0
    return price.per_token / (price.per_token + _MIDDLE_PRICE)
