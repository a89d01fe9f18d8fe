"""How much to reason, in OpenAI's words for it."""

from __future__ import annotations

from forebay.protocol.canonical.requests import Effort, Reasoning

_EFFORT_BELOW_BUDGET = ((2_048, Effort.LOW), (12_288, Effort.MEDIUM), (24_576, Effort.HIGH))
# The three words that every server which knows the field at all knows, and the way to say no.
_COMMON_EFFORT = {
    Effort.MINIMAL: Effort.LOW,
    Effort.XHIGH: Effort.HIGH,
    Effort.MAX: Effort.HIGH,
}


def encode_effort(reasoning: Reasoning, *, common_words_only: bool) -> Effort | None:
    """The word for it; None where the model's own default is meant."""
    effort = reasoning.effort
    if effort is None and reasoning.enabled is False:
        effort = Effort.NONE
    if effort is None and reasoning.budget_tokens is not None:
        effort = _effort_of_budget(reasoning.budget_tokens)
    if effort is not None and common_words_only:
        return _COMMON_EFFORT.get(effort, effort)
    return effort


def _effort_of_budget(tokens: int) -> Effort:
    return next((effort for bound, effort in _EFFORT_BELOW_BUDGET if tokens < bound), Effort.XHIGH)
