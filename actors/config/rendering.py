"""How places and values of a configuration are written in one line of a message."""

from __future__ import annotations

import re

from forebay.actors.config.problems import Location

_PLAIN = re.compile(r"[^\s\"'\[\]]+")
_LONGEST_TEXT = 60


def path_text(location: Location) -> str:
    """``providers.openai.limits.rpm``, ``models.fast.targets[0]``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + _one_line(part)
    return text


def value_text(value: str | float) -> str:
    """A value as it was written, cut where it is long."""
    text = _cut(str(value))
    return text if text.isprintable() and text.strip() == text != "" else ascii(text)


def _one_line(key: str) -> str:
    key = _cut(key)
    return key if key.isprintable() and _PLAIN.fullmatch(key) else ascii(key)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
