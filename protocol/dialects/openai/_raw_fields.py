"""Raw fields on their way through the canonical form: taken aside, and put back."""

from __future__ import annotations

from forebay.protocol.canonical.requests import Extras
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.jsontext import JsonObject


def extras_of(rest: JsonObject) -> Extras:
    """``extras`` that hold ``rest``, or nothing where it is empty."""
    return {OPENAI: rest} if rest else {}


def with_nested(rest: JsonObject, name: str, nested: JsonObject) -> JsonObject:
    """``rest``, and under ``name`` what is left of an object inside."""
    return {**rest, name: nested} if nested else rest


def restored(encoded: JsonObject, extras: Extras) -> JsonObject:
    """``encoded`` with the raw fields put back, also inside the objects it holds; what was
    encoded is never overwritten."""
    raw = extras.get(OPENAI)
    if not raw:
        return encoded
    whole = dict(encoded)
    for name, value in raw.items():
        ours = whole.get(name)
        if name not in whole:
            whole[name] = value
        elif isinstance(ours, dict) and isinstance(value, dict):
            whole[name] = {**value, **ours}
    return whole
