"""Typed access to the fields of a JSON request.

A fault says which field, what was expected and what came; each dialect words it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from forebay.protocol.jsontext import JsonObject, JsonValue

Path = tuple[str | int, ...]


class JsonType(Enum):
    """What a field was expected to hold."""

    TEXT = "string"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "boolean"
    LIST = "array"
    OBJECT = "object"


class FieldFault(Exception):
    """A field is missing, or of the wrong type."""

    def __init__(self, path: Path, expected: JsonType, got: JsonValue, *, missing: bool) -> None:
        super().__init__(f"{path}: {expected}")
        self.path = path
        self.expected = expected
        self.got = got
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object and where it stands in the request. A field that is null reads as absent."""

    values: JsonObject
    path: Path = ()

    def at(self, *names: str | int) -> Path:
        return (*self.path, *names)

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """Raises FieldFault, as all of these do."""
        value = self.optional_text(name)
        if value is None:
            raise self._missing(name, JsonType.TEXT)
        return value

    def optional_text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, JsonType.TEXT)

    def integer(self, name: str) -> int:
        value = self.optional_integer(name)
        if value is None:
            raise self._missing(name, JsonType.INTEGER)
        return value

    def optional_integer(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self.wrong(name, JsonType.INTEGER)

    def optional_number(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise self.wrong(name, JsonType.NUMBER)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.wrong(name, JsonType.FLAG)

    def array(self, name: str) -> list[JsonValue]:
        if not self.has(name):
            raise self._missing(name, JsonType.LIST)
        return self.optional_array(name)

    def optional_array(self, name: str) -> list[JsonValue]:
        """The list, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self.wrong(name, JsonType.LIST)

    def object(self, name: str) -> Fields:
        fields = self.optional_object(name)
        if fields is None:
            raise self._missing(name, JsonType.OBJECT)
        return fields

    def optional_object(self, name: str) -> Fields | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(value, self.at(name))
        raise self.wrong(name, JsonType.OBJECT)

    def objects(self, name: str) -> list[Fields]:
        """The objects of a list, empty if absent."""
        return [
            self._item(name, index, item) for index, item in enumerate(self.optional_array(name))
        ]

    def texts(self, name: str) -> list[str]:
        """The strings of a list, empty if absent."""
        found: list[str] = []
        for index, item in enumerate(self.optional_array(name)):
            if not isinstance(item, str):
                raise FieldFault(self.at(name, index), JsonType.TEXT, item, missing=False)
            found.append(item)
        return found

    def wrong(self, name: str, expected: JsonType) -> FieldFault:
        return FieldFault(self.at(name), expected, self.values.get(name), missing=False)

    def _missing(self, name: str, expected: JsonType) -> FieldFault:
        return FieldFault(self.at(name), expected, None, missing=True)

    def _item(self, name: str, index: int, item: JsonValue) -> Fields:
        if not isinstance(item, dict):
            raise FieldFault(self.at(name, index), JsonType.OBJECT, item, missing=False)
        return Fields(item, self.at(name, index))
