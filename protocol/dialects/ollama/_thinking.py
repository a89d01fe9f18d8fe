"""``think``: off, on, or how much."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import Effort, Reasoning
from forebay.protocol.dialects.fields import wrong_type
from forebay.protocol.jsontext import JsonValue

_EFFORT_OF_LEVEL = {
    "low": Effort.LOW,
    "medium": Effort.MEDIUM,
    "high": Effort.HIGH,
    "max": Effort.MAX,
}
# As Ollama's own OpenAI endpoint translates the efforts.
_THINK_OF_EFFORT: dict[Effort, bool | str] = {
    Effort.NONE: False,
    Effort.MINIMAL: "low",
    Effort.LOW: "low",
    Effort.MEDIUM: "medium",
    Effort.HIGH: "high",
    Effort.XHIGH: "max",
    Effort.MAX: "max",
}


def decode_think(value: JsonValue) -> Reasoning | None:
    """Raises:
    ApiFailure: BAD_REQUEST, the value is neither a boolean nor a known level.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return Reasoning(enabled=value)
    if not isinstance(value, str):
        raise wrong_type("think", "a boolean or one of 'low', 'medium', 'high', 'max'", value)
    effort = _EFFORT_OF_LEVEL.get(value)
    if effort is None:
        raise bad_request(
            f"invalid think value: {value!r} (must be 'low', 'medium', 'high', 'max', true or "
            "false)",
            param="think",
            code="invalid_value",
        )
    return Reasoning(enabled=True, effort=effort)


def encode_think(reasoning: Reasoning | None) -> bool | str | None:
    """None: leave the field out, so that models that think do, and others are not asked to."""
    if reasoning is None:
        return None
    if reasoning.enabled is False:
        return False
    if reasoning.effort is not None:
        return _THINK_OF_EFFORT[reasoning.effort]
    # "As much as you see fit" is what leaving the field out means; ``true`` would be refused by
    # models that can't think.
    if reasoning.adaptive:
        return None
    if reasoning.enabled or reasoning.budget_tokens:
        return True
    return None
