"""``/v1/responses/compact``: a conversation to the user's words and one sealed item."""

from __future__ import annotations

from typing import Final

from forebay.endpoints.sandbox._call import CompactionCall, Identity
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._openai_fields import find_model
from forebay.endpoints.sandbox._responses_items import sealed_conversation
from forebay.endpoints.sandbox._responses_reading import Earlier, check_known, read_items
from forebay.endpoints.sandbox._words import prompt_tokens
from forebay.protocol.jsontext import JsonObject

_KNOWN: Final = frozenset(
    {
        "image",
        "input",
        "instructions",
        "model",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
    }
)
_SUMMARY_TOKENS: Final = 8


def read_compaction(fields: Fields, models: Models, earlier: Earlier) -> CompactionCall:
    """Check a request to compact.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    previous = check_known(fields, _KNOWN, earlier)
    model = find_model(fields, models)
    items = read_items(fields, model, previous, needed=previous is None)
    users = [item for item in items.listed if item.get("role") == "user"]
    return CompactionCall(
        model=model,
        model_name=model.name,
        stream=False,
        input_tokens=prompt_tokens(items.size, items.image_count),
        user_text=items.user_text,
        said_by_user=tuple(users),
    )


def compacted(call: CompactionCall, identity: Identity) -> JsonObject:
    """What is left."""
    return {
        "id": f"resp_{identity.hex}",
        "object": "response.compaction",
        "created_at": int(identity.wall),
        "output": [
            *({**item, "status": "completed"} for item in call.said_by_user),
            {
                "id": f"cmp_{identity.hex}",
                "type": "compaction",
                "encrypted_content": sealed_conversation(call.input_tokens),
            },
        ],
        "usage": {
            "input_tokens": call.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": _SUMMARY_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": call.input_tokens + _SUMMARY_TOKENS,
        },
    }
