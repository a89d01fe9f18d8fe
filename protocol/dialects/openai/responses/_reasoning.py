"""How much to reason (``reasoning``), and the reasoning items of a conversation."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.requests import Effort, Reasoning, Thinking
from forebay.protocol.dialects.fields import (
    as_object,
    optional_choice,
    optional_list,
    optional_object,
    optional_string,
    rest_of,
)
from forebay.protocol.dialects.openai._effort import encode_effort
from forebay.protocol.dialects.openai.responses._content import present_string
from forebay.protocol.dialects.openai.responses._names import (
    ITEM,
    MADE_HERE,
    RESPONSES,
    is_own_item_id,
    kept,
    raw_of,
)
from forebay.protocol.dialects.openai.responses._reasoning_token import decode_token, is_own_token
from forebay.protocol.jsontext import JsonObject

PART_SEPARATOR = "\n\n"
"""Between the parts of a summary, which the canonical form holds as one text."""


def decode_reasoning(body: JsonObject) -> Reasoning | None:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field.
    """
    value = optional_object(body, "reasoning")
    if value is None:
        return None
    effort = optional_choice(value, "effort", Effort, "reasoning.")
    return Reasoning(
        enabled=None if effort is None else effort is not Effort.NONE,
        effort=effort,
        extras=kept(rest_of(value, ("effort",))),
    )


def encode_reasoning(reasoning: Reasoning | None) -> JsonObject | None:
    """The field; None where the model's own default is meant."""
    if reasoning is None:
        return None
    said = dict(raw_of(reasoning.extras))
    effort = encode_effort(reasoning, common_words_only=False)
    if effort is not None:
        said["effort"] = effort.value
    return said or None


# Items


def decode_reasoning_item(item: JsonObject, path: str) -> Thinking:
    """An item that comes back.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    summary = _texts(item, "summary", path)
    content = _texts(item, "content", path)
    encrypted = optional_string(item, "encrypted_content", path)
    item_id = optional_string(item, "id", path)
    text = PART_SEPARATOR.join(content or summary)
    if encrypted is not None and is_own_token(encrypted):
        carried = decode_token(encrypted) or Thinking(text=text)
        return replace(carried, extras={**carried.extras, RESPONSES: {MADE_HERE: True}})
    if item_id is not None and is_own_item_id(item_id):
        return Thinking(text=text, extras={RESPONSES: {MADE_HERE: True}})
    return Thinking(text=text, extras={RESPONSES: {ITEM: rest_of(item, ("type",))}})


def _texts(item: JsonObject, name: str, path: str) -> list[str]:
    return [
        present_string(as_object(value, f"{path}{name}[{at}]"), "text", f"{path}{name}[{at}].")
        for at, value in enumerate(optional_list(item, name, path) or ())
    ]


def encode_reasoning_item(thinking: Thinking) -> JsonObject | None:
    """The item for an upstream; None for thinking that did not come from this API: OpenAI takes
    only what it made itself."""
    item = raw_of(thinking.extras).get(ITEM)
    return {"type": "reasoning", **item} if isinstance(item, dict) else None


def is_made_here(thinking: Thinking) -> bool:
    return MADE_HERE in raw_of(thinking.extras)
