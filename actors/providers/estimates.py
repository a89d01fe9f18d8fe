"""How many tokens a job will take, before anybody has counted them.

No tokenizer is asked: each provider has its own, and what a request measures in bytes tells enough
once the provider has counted a few. What is reserved is what is expected and a margin, as large
as expectations fell short of late (as TCP sets its timer: Jacobson, Congestion Avoidance and
Control, SIGCOMM 1988). It begins wide, widens at once where something took more than was reserved,
and narrows slowly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forebay.actors.providers.sizes import TOKENS_PER_MEDIUM, RequestSize
from forebay.actors.scheduling.averages import RunningRatio
from forebay.actors.scheduling.gates import Demand
from forebay.protocol.canonical.events import Usage

_FIRST_TOKENS_PER_BYTE: Final = 1 / 3
"""Pessimistic: English text has about four bytes to a token, code and other scripts fewer."""
_FIRST_OUTPUT: Final = 512.0
_FIRST_MARGIN: Final = 0.25
_LEARNING: Final = 1 / 16
_WIDENING: Final = 1 / 4
_NARROWING: Final = 1 / 16
_SHORT: Final = 512
"""Bytes: what so short a text takes tells more of what comes with every request than of text."""
_LARGEST_ERROR: Final = 4.0
"""Of what was expected: there may be more to a request than was measured, such as a conversation
that the provider keeps, which is nothing to learn from."""
_LEAST_WEIGHT: Final = 0.02


class _Margin:
    """By what share expectations fell short of late."""

    __slots__ = ("_error", "_surplus", "share")

    def __init__(self) -> None:
        self.share = _FIRST_MARGIN
        self._error = RunningRatio(_LEAST_WEIGHT)
        self._surplus = RunningRatio(_LEAST_WEIGHT)

    def note(self, expected: float, counted: float) -> None:
        surplus = expected - counted
        shortfall = 0.0
        if surplus < 0:
            shortfall = -surplus / expected if expected > 1.0 else -surplus
        weight = _WIDENING if shortfall > self.share else _NARROWING
        if shortfall > _LARGEST_ERROR:
            shortfall = _LARGEST_ERROR
        self.share += weight * (shortfall - self.share)
        self._error.add(abs(surplus), counted)
        self._surplus.add(surplus, counted)

    def quality(self) -> EstimateQuality:
        error, bias = self._error.value(0.0), self._surplus.value(0.0)
        return EstimateQuality(round(error, 4), round(bias, 4), round(self.share, 4))


@dataclass(frozen=True, slots=True)
class EstimateQuality:
    """How good the estimates for one target are; all are shares of what was counted."""

    mean_error: float
    bias: float
    """Above 0: expected too much."""
    margin: float
    """What is reserved beyond the expectation."""


@dataclass(frozen=True, slots=True)
class EstimatesStatus:
    """The estimates for one target, for operators."""

    reports: int
    """Answers whose tokens were counted."""
    input: EstimateQuality
    output: EstimateQuality


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took of limits on tokens."""

    tokens: float
    output: float


class TokenEstimator:
    """Learns from one target's reports what text, media and answers are in tokens."""

    def __init__(
        self, *, reserves_most_output: bool = False, charges_cache_reads: bool = True
    ) -> None:
        """
        Args:
            reserves_most_output: the provider's limits count the most that a request may put out
                until its answer has ended.
            charges_cache_reads: they count what was read from its prompt cache.
        """
        self._reserves_most_output = reserves_most_output
        self._charges_cache_reads = charges_cache_reads
        self._per_byte = _FIRST_TOKENS_PER_BYTE
        self._per_medium = float(TOKENS_PER_MEDIUM)
        self._per_request = 0.0
        """What comes with every request: templates, instructions of the provider's own."""
        self._output = _FIRST_OUTPUT
        self._charged = 1.0
        """How much of the input limits count."""
        self._input_margin = _Margin()
        self._output_margin = _Margin()
        self._reports = 0

    # What is expected.

    def demand(self, size: RequestSize, most_output: int | None) -> Demand:
        """What to reserve; at least 1 token.

        Args:
            most_output: tokens that the client lets the answer have; None: it does not say.
        """
        taken = self.input_tokens(size) * self._charged * (1 + self._input_margin.share)
        output = self._output * (1 + self._output_margin.share)
        if most_output is not None:
            most = float(most_output)
            output = most if self._reserves_most_output else min(output, most)
        return Demand(max(1.0, taken + output), output)

    def input_tokens(self, size: RequestSize) -> float:
        """What a request will be counted as, most likely, without its answer."""
        counted = size.text_bytes * self._per_byte + size.media * self._per_medium
        return max(0.0, counted + size.tokens_told + self._per_request)

    def spent(self, size: RequestSize, usage: Usage | None, output_estimate: int) -> Spent:
        """What limits count for a call.

        Args:
            usage: as the provider reports it; None or not counted where it does not.
            output_estimate: tokens of output by length, for that case.
        """
        if usage is None:
            taken, output = self.input_tokens(size) * self._charged, float(output_estimate)
        elif usage.counted:
            taken, output = self._charged_input(usage), float(usage.output)
        else:
            taken, output = float(usage.input_total), float(output_estimate)
        return Spent(max(1.0, taken + output), output)

    def _charged_input(self, usage: Usage) -> float:
        uncharged = 0 if self._charges_cache_reads else usage.cache_read
        return float(usage.input_total - uncharged)

    # What was counted.

    def learn(self, size: RequestSize, most_output: int | None, usage: Usage) -> None:
        """Take in what the provider has counted."""
        if not usage.counted:
            return
        self._reports += 1
        weight = self._weight
        counted = usage.input_total
        if counted:
            expected = self.input_tokens(size)
            charged = self._charged_input(usage)
            self._input_margin.note(expected * self._charged, charged)
            self._charged += weight * (charged / counted - self._charged)
            most = _LARGEST_ERROR * max(expected, _SHORT * self._per_byte)
            self._learn_input(size, min(most, counted - expected), weight)
        expected_output = self._output
        if most_output is not None:
            expected_output = min(expected_output, float(most_output))
        self._output_margin.note(expected_output, float(usage.output))
        self._output += weight * (usage.output - self._output)

    @property
    def _weight(self) -> float:
        """Of a new report: the first ones count for more."""
        return max(_LEARNING, 1 / (self._reports + 1))

    def _learn_input(self, size: RequestSize, error: float, weight: float) -> None:
        """Put an error down to what there was most of."""
        text = size.text_bytes * self._per_byte
        media = size.media * self._per_medium
        if media > text:
            per_medium = self._per_medium + weight * error / size.media
            self._per_medium = max(0.0, per_medium)
        elif size.text_bytes >= _SHORT:
            self._per_byte = max(0.0, self._per_byte + weight * error / size.text_bytes)
        else:
            self._per_request += weight * error

    # For operators, and over restarts.

    def status(self) -> EstimatesStatus:
        return EstimatesStatus(
            self._reports, self._input_margin.quality(), self._output_margin.quality()
        )

    def memory(self) -> dict[str, float]:
        """What must survive a restart."""
        return {
            "tokens_per_byte": self._per_byte,
            "tokens_per_medium": self._per_medium,
            "tokens_per_request": self._per_request,
            "output": self._output,
            "charged": self._charged,
            "input_margin": self._input_margin.share,
            "output_margin": self._output_margin.share,
            "reports": float(self._reports),
        }

    def recall(self, memory: Mapping[str, float]) -> None:
        """Go on from what :meth:`memory` gave; what it lacks stays."""
        self._per_byte = memory.get("tokens_per_byte", self._per_byte)
        self._per_medium = memory.get("tokens_per_medium", self._per_medium)
        self._per_request = memory.get("tokens_per_request", self._per_request)
        self._output = memory.get("output", self._output)
        self._charged = memory.get("charged", self._charged)
        self._input_margin.share = memory.get("input_margin", self._input_margin.share)
        self._output_margin.share = memory.get("output_margin", self._output_margin.share)
        self._reports = int(memory.get("reports", self._reports))
