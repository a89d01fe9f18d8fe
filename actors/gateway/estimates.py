"""How many tokens a job will take, before anybody has counted them."""

from __future__ import annotations

from forebay.actors.gateway.sizes import RequestSize
from forebay.protocol.canonical.events import Usage

_FIRST_TOKENS_PER_BYTE = 1 / 3
"""Pessimistic: English text has about four bytes to a token, code and other scripts fewer."""
_FIRST_OUTPUT = 512.0
_SMOOTHING = 0.05


class TokenEstimator:
    """Learns one target's tokens per byte of input and tokens of output, from its reports."""

    def __init__(self) -> None:
        self._tokens_per_byte = _FIRST_TOKENS_PER_BYTE
        self._output = _FIRST_OUTPUT

    def estimate(
        self, size: RequestSize, max_output: int | None, *, reserve_most: bool = False
    ) -> float:
        """Tokens of input and output together; at least 1.

        Args:
            reserve_most: the provider counts ``max_output`` until the answer has ended.
        """
        output = self._output if max_output is None else float(max_output)
        if not reserve_most:
            output = min(self._output, output)
        return max(1.0, size.tokens(self._tokens_per_byte) + output)

    def learn(self, size: RequestSize, usage: Usage) -> None:
        """Take in what a provider has counted."""
        if not usage.counted:
            return
        if not size.media and not size.tokens_told and size.text_bytes >= 64 and usage.input_total:
            measured = usage.input_total / size.text_bytes
            self._tokens_per_byte += _SMOOTHING * (measured - self._tokens_per_byte)
        self._output += _SMOOTHING * (usage.output - self._output)
