"""What a response repeats of its request."""

from __future__ import annotations

from forebay.endpoints.sandbox._fields import Fields
from forebay.protocol.jsontext import JsonObject, JsonValue


def echo_of(fields: Fields, choice: JsonValue) -> JsonObject:
    """Every field that is repeated, with what is assumed where the request says nothing.

    Args:
        choice: how ``tool_choice`` is repeated.

    Raises:
        FieldFault: see :meth:`Dialect.read_call`.
    """
    given = fields.values
    text = fields.optional_object("text")
    reasoning = fields.optional_object("reasoning")
    metadata = fields.optional_object("metadata")
    names = [] if metadata is None else list(metadata.values)
    tools: list[JsonValue] = [
        {"description": None, "strict": True, "parameters": None, **tool.values}
        for tool in fields.objects("tools")
    ]
    return {
        "background": fields.flag("background", default=False),
        "instructions": fields.optional_text("instructions"),
        "max_output_tokens": fields.optional_integer("max_output_tokens"),
        "max_tool_calls": fields.optional_integer("max_tool_calls"),
        "metadata": {name: metadata.text(name) for name in names} if metadata else {},
        "parallel_tool_calls": fields.flag("parallel_tool_calls", default=True),
        "previous_response_id": fields.optional_text("previous_response_id"),
        "prompt_cache_key": fields.optional_text("prompt_cache_key"),
        "prompt_cache_retention": fields.optional_text("prompt_cache_retention"),
        "reasoning": {
            "effort": None,
            "summary": None,
            **({} if reasoning is None else reasoning.values),
        },
        "safety_identifier": fields.optional_text("safety_identifier"),
        "service_tier": "default",
        "store": fields.flag("store", default=True),
        "temperature": 1.0 if given.get("temperature") is None else given["temperature"],
        "text": {
            "format": {"type": "text"},
            "verbosity": "medium",
            **({} if text is None else text.values),
        },
        "tool_choice": choice,
        "tools": tools,
        "top_logprobs": fields.optional_integer("top_logprobs") or 0,
        "top_p": 1.0 if given.get("top_p") is None else given["top_p"],
        "truncation": fields.optional_text("truncation") or "disabled",
        "user": fields.optional_text("user"),
    }
