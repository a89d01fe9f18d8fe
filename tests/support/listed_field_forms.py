"""What the lists of fields of all APIs are made of."""

from __future__ import annotations

from collections.abc import Iterable

from forebay.protocol.jsontext import JsonObject, JsonValue

SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
X: JsonObject = {"x_nobody_lists": {"a": [None, 1.5, ""]}}


def each(name: str, values: Iterable[JsonValue], **always: JsonValue) -> list[JsonObject]:
    """A request's fields for each of ``values`` of one of them."""
    return [{**always, name: value} for value in values]


def user(content: JsonValue, **fields: JsonValue) -> JsonObject:
    return {"messages": [{"role": "user", "content": content, **fields}]}


def talk(*messages: JsonObject) -> JsonObject:
    return {"messages": [{"role": "user", "content": "hi"}, *messages]}
