"""What this API is called, and what is recognised as the gateway's own in it."""

from __future__ import annotations

import re

from forebay.protocol.canonical.requests import Dialect, Extras
from forebay.protocol.dialects.base import Api
from forebay.protocol.jsontext import JsonObject

OPENAI_RESPONSES = Api("openai.responses")
"""``POST /v1/responses``."""

OPENAI_INPUT_TOKENS = Api("openai.responses.input_tokens")
"""``POST /v1/responses/input_tokens``."""

RESPONSES = Dialect("openai.responses")
"""In ``extras`` and ``Opaque`` this name stands for this API's own fields, items and parts, which
the chat API of the same family does not have. A request that :data:`OPENAI_RESPONSES` has read
always has this key in its ``extras``, if only with an empty object."""

ITEM = "item"
"""In the ``extras`` of a part: the fields of the item that it is, or that begins with it."""

RESULTS = "results"
"""In the ``extras`` of a turn: each of its parts is an item by itself, not one of a message."""

MADE_HERE = "made_here"
"""In the ``extras`` of thinking: it came back in an item that a gateway made, which no provider
knows."""

_RESPONSE_PREFIX = "resp_"
_OWN_ITEM_ID = re.compile(r"[a-z]{2,4}_fb[0-9a-z]*_\d+")


def answers_id(upstream_id: str, own: str) -> str:
    """The upstream's id of the answer where it has this API's shape, else our own.

    Args:
        own: Hex digits (``ReplyContext.response_id``).
    """
    if upstream_id.startswith(_RESPONSE_PREFIX) and len(upstream_id) > len(_RESPONSE_PREFIX):
        return upstream_id
    return own_response_id(own)


def own_response_id(own: str) -> str:
    return _RESPONSE_PREFIX + own


def own_item_id(prefix: str, own: str, position: int) -> str:
    """The id of an item that no upstream named; :func:`is_own_item_id` knows it again."""
    return f"{prefix}_fb{own}_{position}"


def is_own_item_id(item_id: str) -> bool:
    return _OWN_ITEM_ID.fullmatch(item_id) is not None


def kept(rest: JsonObject) -> Extras:
    """``extras`` that hold ``rest``, or nothing where it is empty."""
    return {RESPONSES: rest} if rest else {}


def raw_of(extras: Extras) -> JsonObject:
    """The raw fields of this API; not to be changed."""
    return extras.get(RESPONSES, {})
