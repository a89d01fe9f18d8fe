"""What calls cost in money, as far as somebody says."""

from __future__ import annotations

from dataclasses import dataclass

from forebay.actors.scheduling.gates import Demand

_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    def of(self, demand: Demand) -> float:
        """Dollars for one call."""
        read = demand.tokens - demand.output
        return (read * self.input + demand.output * self.output) / _MILLION
