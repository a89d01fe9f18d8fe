"""JSON schemas for structured output, as the Messages API takes them."""

from __future__ import annotations

from forebay.protocol.jsontext import JsonObject, JsonValue

_SCHEMAS_BY_NAME = ("properties", "$defs", "definitions")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def closed(schema: JsonObject) -> JsonObject:
    """``schema`` with every object that does not say so closed to further properties.

    The API refuses object schemas that leave ``additionalProperties`` open by silence, which is
    how other dialects' clients write them.
    """
    written: JsonObject = {}
    for name, value in schema.items():
        if name in _SCHEMAS_BY_NAME and isinstance(value, dict):
            written[name] = {key: _closed(inner) for key, inner in value.items()}
        elif name in _SCHEMA_LISTS and isinstance(value, list):
            written[name] = [_closed(inner) for inner in value]
        elif name == "items":
            written[name] = _closed(value)
        else:
            written[name] = value
    if _describes_object(schema):
        written.setdefault("additionalProperties", False)
    return written


def _closed(value: JsonValue) -> JsonValue:
    return closed(value) if isinstance(value, dict) else value


def _describes_object(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)
