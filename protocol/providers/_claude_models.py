"""What Anthropic's models take, told from their names: the listing does not say it."""

from __future__ import annotations

import re
from dataclasses import replace

from forebay.protocol.dialects.base import Prefill, ThinkingForm, UpstreamTraits

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[.-](\d{1,2})(?!\d))?(?!\d)")
"""``claude-3-5-sonnet-20241022``, ``claude-sonnet-4-20250514``, ``claude-opus-4-7``."""

_FIRST_WITH_BUDGETS = (3, 7)
_FIRST_WITH_EFFORTS = (4, 6)
_FIRST_WITHOUT_SAMPLING = (4, 7)
"""Also the first that refuses budgets."""
_FIRST_WITHOUT_PREFILL = (4, 6)
"""From then on a conversation that ends with a turn of the model is refused."""
_MOST_OUTPUT_OF_OLD_MODELS = 4096
_FIRST_WITH_LONG_ANSWERS = (3, 5)


def claude_traits(model_id: str, traits: UpstreamTraits) -> UpstreamTraits:
    """``traits`` as they are for one model. Of a name without a version nothing is known."""
    found = _VERSION.search(model_id)
    if found is None:
        return traits
    version = (int(found[1]), int(found[2] or 0))
    most_output = traits.default_max_output_tokens
    if version < _FIRST_WITH_LONG_ANSWERS:
        most_output = min(most_output, _MOST_OUTPUT_OF_OLD_MODELS)
    return replace(
        traits,
        default_max_output_tokens=most_output,
        takes_sampling=version < _FIRST_WITHOUT_SAMPLING,
        thinking=_thinking(version),
        prefill=Prefill.LAST_TURN if version < _FIRST_WITHOUT_PREFILL else Prefill.NONE,
    )


def _thinking(version: tuple[int, int]) -> ThinkingForm:
    if version < _FIRST_WITH_BUDGETS:
        return ThinkingForm.NONE
    if version < _FIRST_WITH_EFFORTS:
        return ThinkingForm.BUDGET
    if version < _FIRST_WITHOUT_SAMPLING:
        return ThinkingForm.EITHER
    return ThinkingForm.EFFORT
