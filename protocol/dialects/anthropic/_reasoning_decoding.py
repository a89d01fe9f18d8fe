"""``thinking`` and ``output_config.effort`` of a client's request."""

from __future__ import annotations

from forebay.protocol.canonical.requests import Effort, Reasoning
from forebay.protocol.dialects.anthropic._names import ANTHROPIC
from forebay.protocol.dialects.fields import (
    missing,
    optional_choice,
    optional_int,
    optional_object,
    required_string,
    rest_of,
)
from forebay.protocol.jsontext import JsonObject


def read_reasoning(body: JsonObject, output_config: JsonObject) -> Reasoning | None:
    """What the client says about reasoning; None where it says nothing.

    A kind of thinking that the canonical form has no word for (``between_tools``) is kept raw and
    leaves ``enabled`` open.

    Raises:
        ApiFailure: BAD_REQUEST.
    """
    effort = optional_choice(output_config, "effort", Effort, "output_config.")
    thinking = optional_object(body, "thinking")
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort, extras={ANTHROPIC: {}})
    match required_string(thinking, "type", "thinking."):
        case "enabled":
            budget = optional_int(thinking, "budget_tokens", "thinking.")
            if budget is None:
                raise missing("thinking.budget_tokens")
            return Reasoning(
                enabled=True,
                effort=effort,
                budget_tokens=budget,
                extras={ANTHROPIC: rest_of(thinking, ("type", "budget_tokens"))},
            )
        case "adaptive":
            return Reasoning(
                enabled=True,
                effort=effort,
                adaptive=True,
                extras={ANTHROPIC: rest_of(thinking, ("type",))},
            )
        case "disabled":
            return Reasoning(
                enabled=False,
                effort=effort,
                extras={ANTHROPIC: rest_of(thinking, ("type",))},
            )
        case _:
            return Reasoning(effort=effort, extras={ANTHROPIC: dict(thinking)})
