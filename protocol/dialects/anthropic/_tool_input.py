"""Between the JSON text of a call's arguments and the object that a ``tool_use`` block holds."""

from __future__ import annotations

from forebay.protocol.jsontext import (
    InvalidJson,
    JsonObject,
    JsonValue,
    dumps_text,
    is_writable,
    loads,
)

RAW_INPUT = "_raw"
"""The field that carries arguments which are no JSON object."""

_SURELY_WRITABLE = 200
"""So many brackets can't nest deeper than JSON can be written."""


def arguments_of(value: JsonValue) -> str:
    """The arguments text of a block's ``input``.

    Raises:
        InvalidJson: ``value`` is nested deeper than JSON can be written.
    """
    return dumps_text(value)


def input_of(arguments: str) -> JsonObject:
    """The ``input`` object that says ``arguments``.

    Empty text means no arguments. Text that is no JSON object, as models write it at times,
    travels whole under :data:`RAW_INPUT`, so that the model sees what it wrote.
    """
    if not arguments.strip():
        return {}
    try:
        value = loads(arguments)
    except InvalidJson:
        return {RAW_INPUT: arguments}
    brackets = arguments.count("{") + arguments.count("[")
    if not isinstance(value, dict) or (brackets > _SURELY_WRITABLE and not is_writable(value)):
        return {RAW_INPUT: arguments}
    return value
