"""``keep_alive``: how long the server is asked to keep the model in memory.

The forms are those that Ollama itself takes: a number of seconds, or a duration as Go writes it
(``"5m"``, ``"1h30m"``, ``"-1s"``); negative means for ever, zero means unload now.
"""

from __future__ import annotations

import re

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.dialects.fields import wrong_type
from forebay.protocol.jsontext import JsonValue

_SECONDS_PER_UNIT = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_TERM = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"
_EACH_TERM = re.compile(_TERM)
_DURATION = re.compile(rf"([-+]?)(0|(?:{_TERM})+)")


def keep_alive_seconds(value: JsonValue) -> float | None:
    """The seconds that ``value`` means, or None where it says nothing.

    Raises:
        ApiFailure: BAD_REQUEST, Ollama would not take the value either.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise wrong_type("keep_alive", "a number of seconds or a duration such as '5m'", value)
    match = _DURATION.fullmatch(value)
    if match is None:
        raise bad_request(
            f"invalid duration {value!r} for 'keep_alive': write a number of seconds, or a string "
            "with units such as '5m' or '1h30m'",
            param="keep_alive",
            code="invalid_value",
        )
    seconds = sum(
        float(number) * _SECONDS_PER_UNIT[unit] for number, unit in _EACH_TERM.findall(match[2])
    )
    return -seconds if match[1] == "-" else seconds
