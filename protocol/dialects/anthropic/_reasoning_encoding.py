"""How much an upstream is asked to think, and how much room its answer gets for it."""

from __future__ import annotations

from dataclasses import dataclass

from forebay.protocol.canonical.requests import ChatRequest, Effort, Reasoning
from forebay.protocol.dialects.anthropic._names import is_native, raw_fields
from forebay.protocol.dialects.base import ThinkingForm, UpstreamTraits
from forebay.protocol.jsontext import JsonObject

MIN_BUDGET = 1024
"""Tokens. The API refuses a smaller ``budget_tokens``, and one that is not below max_tokens."""

_ANSWER_ROOM = 4096
"""Tokens left for the answer itself beyond a budget, where the client set no limit."""

_DISABLED: JsonObject = {"type": "disabled"}

_EFFORTS = {
    Effort.MINIMAL: "low",
    Effort.LOW: "low",
    Effort.MEDIUM: "medium",
    Effort.HIGH: "high",
    Effort.XHIGH: "xhigh",
    Effort.MAX: "max",
}

_BUDGETS = {
    Effort.MINIMAL: 1024,
    Effort.LOW: 2048,
    Effort.MEDIUM: 8192,
    Effort.HIGH: 16_384,
    Effort.XHIGH: 32_768,
    Effort.MAX: 32_768,
}
"""For models that take budgets only."""
_EFFORT_BELOW_BUDGET = ((2048, Effort.LOW), (12_288, Effort.MEDIUM), (24_576, Effort.HIGH))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingPlan:
    max_tokens: int
    thinking: JsonObject | None = None
    """The ``thinking`` field; None: not sent."""
    effort: str | None = None
    """``output_config.effort``."""
    dropped: bool = False
    """The client asked for thinking and won't get it."""

    @property
    def thinks(self) -> bool:
        """Asked to think: forced tools and most sampling are then refused by the API."""
        return self.thinking is not None and self.thinking != _DISABLED


def plan_thinking(
    request: ChatRequest, traits: UpstreamTraits, *, unthought_tool_loop: bool
) -> ThinkingPlan:
    """Say the reasoning that the client asked for.

    What came in this dialect goes as it came. Of other dialects an effort becomes adaptive
    thinking at that effort, a budget thinking with that budget, effort ``none`` no thinking; where
    the model knows only one of the two, the other becomes the nearest of it.

    A budget is kept below ``max_tokens``: by raising that where the client left it open, else by
    lowering the budget, and without room for the least budget thinking is turned off. It is also
    turned off where the API would refuse a budget because the tool loop to go on with has lost
    the thinking that began it (adaptive thinking bears that).
    """
    limit = request.max_output_tokens
    max_tokens = traits.default_max_output_tokens if limit is None or limit < 0 else limit
    reasoning = request.reasoning
    if reasoning is None:
        return ThinkingPlan(max_tokens=max_tokens)
    if not is_native(reasoning.extras):
        if traits.thinking is ThinkingForm.NONE:
            return ThinkingPlan(max_tokens=max_tokens, dropped=_asks_to_think(reasoning))
        reasoning = _in_the_form(reasoning, traits.thinking)
    effort = None if reasoning.effort is None else _EFFORTS.get(reasoning.effort)
    if reasoning.enabled is False or reasoning.effort is Effort.NONE:
        return ThinkingPlan(max_tokens=max_tokens, thinking=_DISABLED, effort=effort)
    budget = reasoning.budget_tokens
    if budget is None:
        return ThinkingPlan(
            max_tokens=max_tokens, thinking=_thinking_without_budget(reasoning), effort=effort
        )
    budget = max(budget, MIN_BUDGET)
    if limit is None:
        max_tokens = max(max_tokens, budget + _ANSWER_ROOM)
    if max_tokens <= MIN_BUDGET or unthought_tool_loop:
        return ThinkingPlan(max_tokens=max_tokens, thinking=_DISABLED, effort=effort, dropped=True)
    thinking: JsonObject = {
        "type": "enabled",
        "budget_tokens": min(budget, max_tokens - 1),
        **raw_fields(reasoning.extras),
    }
    return ThinkingPlan(max_tokens=max_tokens, thinking=thinking, effort=effort)


def _asks_to_think(reasoning: Reasoning) -> bool:
    if reasoning.enabled is False or reasoning.effort is Effort.NONE:
        return False
    return bool(reasoning.enabled or reasoning.effort or reasoning.budget_tokens)


def _in_the_form(reasoning: Reasoning, form: ThinkingForm) -> Reasoning:
    """A wish to think, in the one way in which the model can be asked."""
    if not _asks_to_think(reasoning):
        return reasoning
    budget, effort = reasoning.budget_tokens, reasoning.effort
    if form is ThinkingForm.BUDGET:
        return Reasoning(enabled=True, budget_tokens=budget or _BUDGETS[effort or Effort.MEDIUM])
    if form is ThinkingForm.EFFORT and budget is not None:
        nearest = next((word for bound, word in _EFFORT_BELOW_BUDGET if budget < bound), None)
        return Reasoning(enabled=True, effort=effort or nearest or Effort.XHIGH)
    return reasoning


def _thinking_without_budget(reasoning: Reasoning) -> JsonObject | None:
    raw = raw_fields(reasoning.extras)
    if reasoning.adaptive:
        return {"type": "adaptive", **raw}
    if is_native(reasoning.extras):
        # A kind of thinking that only this dialect knows, or an effort alone.
        return dict(raw) or None
    if reasoning.enabled or reasoning.effort is not None:
        return {"type": "adaptive"}
    return None
