"""Makes a value that fits a JSON schema, always the same for the same seed.

Understands what tool and answer schemas use: types, ``enum``, ``const``,
``properties``, ``items``, ``prefixItems``, lengths and ranges, common string formats, ``anyOf``,
``oneOf``, ``allOf`` and ``$ref`` inside the document. ``pattern`` is not understood.
"""

from __future__ import annotations

import math

from forebay.endpoints.sandbox._words import seed_of, word
from forebay.protocol.jsontext import JsonObject, JsonValue

# Below this depth optional parts are left out, so that a schema that refers to itself ends.
_OPTIONAL_DEPTH = 5
_MAX_DEPTH = 40

_FORMATS = {
    "date": "2026-11-22",
    "date-time": "2026-11-22T10:15:30Z",
    "time": "10:15:30Z",
    "duration": "P1D",
    "email": "sandbox@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/sandbox",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fill(schema: JsonValue, *, seed: int) -> JsonValue:
    """A value for the schema. Parts that are no schema read as "anything"."""
    return _Filler(schema, seed).value(schema, "value", 0)


class _Filler:
    def __init__(self, root: JsonValue, seed: int) -> None:
        self._root = root
        self._seed = seed

    def value(self, schema: JsonValue, name: str, depth: int) -> JsonValue:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return word(seed_of(self._seed, name))
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self.value(self._resolve(reference), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return choices[self._pick(name, len(choices))]
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, list) and branches:
                return self.value(_branch(branches, depth), name, depth + 1)
        parts = schema.get("allOf")
        if isinstance(parts, list):
            schema = self._joined(schema, parts)
        match _type_of(schema, depth):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return int(self._number(schema, name, step=1))
            case "number":
                return self._number(schema, name, step=0)
            case "boolean":
                return self._pick(name, 2) == 0
            case "null":
                return None
            case _:
                return self._text(schema, name)

    def _pick(self, name: str, count: int) -> int:
        return seed_of(self._seed, name, "pick") % count

    def _resolve(self, reference: str) -> JsonValue:
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                return True
            found = found[key]
        return found

    def _joined(self, schema: JsonObject, parts: list[JsonValue]) -> JsonObject:
        joined: JsonObject = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            if isinstance(part, dict) and isinstance(reference := part.get("$ref"), str):
                part = self._resolve(reference)
            if not isinstance(part, dict):
                continue
            for key, value in part.items():
                before = joined.get(key)
                if isinstance(before, dict) and isinstance(value, dict):
                    joined[key] = {**before, **value}
                elif key == "required" and isinstance(before, list) and isinstance(value, list):
                    joined[key] = [*before, *value]
                else:
                    joined[key] = value
        return joined

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        return {
            name: self.value(part, name, depth + 1)
            for name, part in properties.items()
            if depth < _OPTIONAL_DEPTH or name in wanted
        }

    def _array(self, schema: JsonObject, name: str, depth: int) -> list[JsonValue]:
        low = _bound(schema, "minItems") or 0
        high = _bound(schema, "maxItems")
        count = int(low) if depth >= _OPTIONAL_DEPTH else max(int(low), 2)
        if high is not None:
            count = min(count, int(high))
        first = schema.get("prefixItems")
        parts = list(first) if isinstance(first, list) else []
        items = schema.get("items", True)
        if items is False or (parts and "items" not in schema):
            count = len(parts)
        parts = [*parts, *[items] * (count - len(parts))][:count]
        return [self.value(part, f"{name}{at}", depth + 1) for at, part in enumerate(parts)]

    def _number(self, schema: JsonObject, name: str, *, step: int) -> float:
        low, high = _range(schema, step)
        multiple = _bound(schema, "multipleOf") or step
        value = 1.0 + self._pick(name, 100) + (0 if step else 0.5)
        if low is not None and value < low:
            value = low
        if high is not None and value > high:
            value = high if low is None else max(low, high)
        if multiple:
            value = math.floor(value / multiple) * multiple
            if low is not None and value < low:
                value = math.ceil(low / multiple) * multiple
        return value

    def _text(self, schema: JsonObject, name: str) -> str:
        known = _FORMATS.get(str(schema.get("format")))
        if known is not None:
            return known
        text = word(seed_of(self._seed, name))
        low, high = _bound(schema, "minLength"), _bound(schema, "maxLength")
        while low is not None and len(text) < low:
            text += f" {word(seed_of(self._seed, text))}"
        return text if high is None else text[: int(high)]


def _branch(branches: list[JsonValue], depth: int) -> JsonValue:
    """The first branch that is more than null; deep down, null if it is offered."""
    nulls = [part for part in branches if isinstance(part, dict) and part.get("type") == "null"]
    if nulls and depth >= _OPTIONAL_DEPTH:
        return nulls[0]
    return next((part for part in branches if part not in nulls), branches[0])


def _type_of(schema: JsonObject, depth: int) -> JsonValue:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        if "null" in kind and depth >= _OPTIONAL_DEPTH:
            return "null"
        return next((one for one in kind if one != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and "items" in schema:
        return "array"
    return kind


def _bound(schema: JsonObject, key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _range(schema: JsonObject, step: int) -> tuple[float | None, float | None]:
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    if above is not None and (low is None or above >= low):
        low = math.floor(above) + 1 if step else above + _gap(above, below or high)
    if below is not None and (high is None or below <= high):
        high = math.ceil(below) - 1 if step else below - _gap(low, below)
    return low, high


def _gap(low: float | None, high: float | None) -> float:
    """A distance from an exclusive bound that stays inside the range."""
    if low is None or high is None:
        return 0.5
    return min(0.5, (high - low) / 4)
