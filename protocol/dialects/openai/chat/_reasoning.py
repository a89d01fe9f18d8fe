"""How much to reason: OpenAI's ``reasoning_effort``, and the words of compatible servers.

OpenRouter's ``reasoning`` object and Z.ai's ``thinking`` object are understood, so that a model of
another dialect can follow them; they stay raw as well, for the servers that know them.
"""

from __future__ import annotations

from forebay.protocol.canonical.requests import Effort, Reasoning
from forebay.protocol.dialects.fields import optional_choice
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.jsontext import JsonObject, JsonValue

_EFFORT_WORDS = frozenset(effort.value for effort in Effort)
_WHOLLY_READ = {
    "reasoning": frozenset({"enabled", "effort", "max_tokens"}),
    "thinking": frozenset({"type"}),
}


def decode_reasoning(body: JsonObject) -> Reasoning | None:
    """Raises:
    ApiFailure: BAD_REQUEST, ``reasoning_effort`` is not one of OpenAI's words.
    """
    effort = optional_choice(body, "reasoning_effort", Effort)
    if effort is not None:
        return Reasoning(enabled=effort is not Effort.NONE, effort=effort)
    return _from_reasoning(body.get("reasoning")) or _from_thinking(body.get("thinking"))


def _from_reasoning(value: JsonValue) -> Reasoning | None:
    if not isinstance(value, dict):
        return None
    enabled, effort, budget = (value.get(name) for name in ("enabled", "effort", "max_tokens"))
    enabled = enabled if isinstance(enabled, bool) else None
    word = Effort(effort) if isinstance(effort, str) and effort in _EFFORT_WORDS else None
    tokens = budget if isinstance(budget, int) and budget > 0 else None
    if enabled is None and word is None and tokens is None:
        return None
    return Reasoning(
        enabled=word is not Effort.NONE if enabled is None else enabled,
        effort=word,
        budget_tokens=tokens,
        extras={OPENAI: {"field": "reasoning"}},
    )


def _from_thinking(value: JsonValue) -> Reasoning | None:
    match value:
        case {"type": "enabled" | "disabled" as kind}:
            return Reasoning(enabled=kind == "enabled", extras={OPENAI: {"field": "thinking"}})
        case _:
            return None


def reasoning_said_twice(body: JsonObject, reasoning: Reasoning | None) -> frozenset[str]:
    """The raw field that ``reasoning`` was read from, where it says nothing beyond that."""
    field = None if reasoning is None else reasoning.extras.get(OPENAI, {}).get("field")
    if not isinstance(field, str):
        return frozenset()
    raw = body.get(field)
    whole = isinstance(raw, dict) and raw.keys() <= _WHOLLY_READ[field]
    return frozenset({field}) if whole else frozenset()


def said_otherwise(reasoning: Reasoning) -> bool:
    """Whether the client said it in a field other than ``reasoning_effort``, which is kept raw."""
    return OPENAI in reasoning.extras
