"""Listings as they are kept over restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import date

from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, dumps, loads_object

_DEFAULTS = {each.name: each.default for each in fields(ListedModel)}


def remember_listing(server: str, models: Iterable[ListedModel]) -> bytes:
    """What ``server`` lists, as JSON."""
    return dumps({"server": server, "models": [_written(model) for model in models]})


def recall_listing(server: str, text: bytes) -> tuple[ListedModel, ...]:
    """What was kept of ``server``; nothing if it is of another one.

    Raises:
        InvalidJson, KeyError, TypeError, ValueError: it is no such text.
    """
    kept = loads_object(text)
    if kept["server"] != server:
        return ()
    models = kept["models"]
    if not isinstance(models, list):
        raise InvalidJson("no list of models")
    return tuple(map(_read, models))


def _written(model: ListedModel) -> JsonObject:
    written: JsonObject = {}
    for name, value in asdict(model).items():
        if value != _DEFAULTS[name]:
            written[name] = _json(value)
    return written


def _json(value: object) -> JsonValue:
    match value:
        case date():
            return value.isoformat()
        case frozenset():
            return [*sorted(map(str, value))]
        case str() | int() | float():
            return value
        case _:
            raise TypeError(f"{value!r} has no place in JSON")


def _read(kept: JsonValue) -> ListedModel:
    if not isinstance(kept, dict):
        raise TypeError("a model is an object")
    retires = kept.get("retires")
    return ListedModel(
        _text(kept["id"]),
        _whole(kept.get("context_tokens")),
        _text(kept.get("owner", "")),
        max_output_tokens=_whole(kept.get("max_output_tokens")),
        price_input=_number(kept.get("price_input")),
        price_output=_number(kept.get("price_output")),
        capabilities=_capabilities(kept.get("capabilities")),
        lacks=_capabilities(kept.get("lacks")),
        deprecated=kept.get("deprecated") is True,
        retires=None if retires is None else date.fromisoformat(_text(retires)),
    )


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: JsonValue) -> int | None:
    return None if value is None else int(_number(value) or 0)


def _number(value: JsonValue) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TypeError("not a number")
    return value


def _capabilities(value: JsonValue) -> frozenset[Capability]:
    """Words of another version are left out."""
    words = value if isinstance(value, list) else []
    known = set(Capability)
    return frozenset(Capability(word) for word in words if isinstance(word, str) and word in known)
