"""JSON as Ollama writes it: with what Go's ``encoding/json`` escapes by default.

Go keeps JSON harmless inside HTML and JavaScript: ``<``, ``>``, ``&``, U+2028 and U+2029 go out as
``\\u`` escapes, in whole answers and in the lines of a stream. Everything else above U+001F goes
out as it is, U+0085 among it.
"""

from __future__ import annotations

from forebay.protocol.jsontext import JsonObject, dumps

_ESCAPED = tuple(
    (character.encode(), f"\\u{ord(character):04x}".encode()) for character in "<>&\u2028\u2029"
)


def go_dumps(value: JsonObject) -> bytes:
    """``value`` as one line of JSON."""
    data = dumps(value)
    for character, escape in _ESCAPED:
        # Outside of strings JSON has none of them.
        if character in data:
            data = data.replace(character, escape)
    return data
