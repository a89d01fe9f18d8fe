"""Reading the fields of a request with errors that name the field.

Each function takes the object, the key, and the path under which the client knows the object
(``messages[2].``). A field that is absent or null reads as None.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.jsontext import JsonObject, JsonValue, json_type_name

EnumT = TypeVar("EnumT", bound=StrEnum)


def wrong_type(path: str, expected: str, value: JsonValue) -> ApiFailure:
    return bad_request(
        f"'{path}' must be {expected}, got {json_type_name(value)}",
        param=path,
        code="invalid_type",
    )


def missing(path: str) -> ApiFailure:
    return bad_request(
        f"missing required parameter: '{path}'", param=path, code="missing_required_parameter"
    )


def optional_string(obj: JsonObject, key: str, path: str = "") -> str | None:
    value = obj.get(key)
    if value is None or isinstance(value, str):
        return value
    raise wrong_type(path + key, "a string", value)


def required_string(obj: JsonObject, key: str, path: str = "") -> str:
    value = optional_string(obj, key, path)
    if not value:
        raise missing(path + key)
    return value


def optional_bool(obj: JsonObject, key: str, path: str = "") -> bool | None:
    value = obj.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(path + key, "a boolean", value)


def optional_int(obj: JsonObject, key: str, path: str = "") -> int | None:
    value = obj.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise wrong_type(path + key, "an integer", value)


def optional_number(obj: JsonObject, key: str, path: str = "") -> float | None:
    value = obj.get(key)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wrong_type(path + key, "a number", value)


def optional_object(obj: JsonObject, key: str, path: str = "") -> JsonObject | None:
    value = obj.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise wrong_type(path + key, "an object", value)


def optional_list(obj: JsonObject, key: str, path: str = "") -> list[JsonValue] | None:
    value = obj.get(key)
    if value is None or isinstance(value, list):
        return value
    raise wrong_type(path + key, "an array", value)


def optional_choice(
    obj: JsonObject, key: str, choices: type[EnumT], path: str = ""
) -> EnumT | None:
    value = optional_string(obj, key, path)
    if value is None:
        return None
    try:
        return choices(value)
    except ValueError:
        allowed = ", ".join(repr(str(choice)) for choice in choices)
        raise bad_request(
            f"invalid value {value!r} for '{path + key}': expected one of {allowed}",
            param=path + key,
            code="invalid_value",
        ) from None


def as_object(value: JsonValue, path: str) -> JsonObject:
    if isinstance(value, dict):
        return value
    raise wrong_type(path, "an object", value)


def as_string(value: JsonValue, path: str) -> str:
    if isinstance(value, str):
        return value
    raise wrong_type(path, "a string", value)


def rest_of(obj: JsonObject, known: Iterable[str]) -> JsonObject:
    """The fields of ``obj`` that are not ``known``, for ``extras``."""
    names = known if isinstance(known, frozenset | set | dict) else frozenset(known)
    return {key: value for key, value in obj.items() if key not in names}
