"""Reading and writing JSON text, and the types of what was read."""

from __future__ import annotations

from typing import TypeAlias

import orjson

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


class InvalidJson(ValueError):
    """The text is not JSON (RFC 8259): broken syntax, invalid UTF-8, or nested too deeply."""


def loads(text: bytes | bytearray | memoryview | str) -> JsonValue:
    """Parse one JSON text.

    Raises:
        InvalidJson: with the position of the first fault.
    """
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError as fault:
        raise InvalidJson(str(fault)) from None
    return value


def loads_object(text: bytes | bytearray | memoryview | str) -> JsonObject:
    """Parse one JSON text that must be an object.

    Raises:
        InvalidJson: the text is not JSON, or is JSON but not an object.
    """
    value = loads(text)
    if not isinstance(value, dict):
        raise InvalidJson(f"expected a JSON object, got {json_type_name(value)}")
    return value


def dumps(value: JsonValue) -> bytes:
    """Serialise compactly, as UTF-8, keys in the order of the mapping.

    Raises:
        InvalidJson: nested more deeply than can be written (about 250 levels; more can be read).
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as fault:
        raise InvalidJson(str(fault)) from None


def dumps_text(value: JsonValue) -> str:
    """Like :func:`dumps`, as text: for JSON that is carried inside a JSON string."""
    return dumps(value).decode()


def is_writable(value: JsonValue) -> bool:
    """Whether ``value`` can be written inside an answer, an event or a request: JSON can be read
    more deeply nested than written, and what is around it adds some levels."""
    try:
        dumps([[[[[[[[value]]]]]]]])
    except InvalidJson:
        return False
    return True


def json_type_name(value: JsonValue) -> str:
    """The JSON name of a value's type, for error messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "an object"
