"""How a fault looks in the log: one line, whoever wrote the bytes that caused it."""

from __future__ import annotations

from typing import Final

_LIMIT: Final = 300


def in_one_line(fault: BaseException) -> str:
    """The errors inside ``fault``, in one printable line of at most some hundred characters."""
    text = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in _leaves(fault))
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text[: _LIMIT + 1]
    )
    return text if len(text) <= _LIMIT else text[:_LIMIT] + "..."


def _leaves(fault: BaseException) -> list[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        return [leaf for inner in fault.exceptions for leaf in _leaves(inner)]
    return [fault]
