"""A configuration as rules look at it: what stands where, and what of it is known to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from pydantic import BaseModel, SecretStr

from forebay.actors.config.problems import Fault, Location


class View:
    """A part of a configuration, validated or as it was written, and what is wrong in it."""

    def __init__(
        self,
        data: object,
        *,
        wrong: Collection[Location] = (),
        fallback: BaseModel | None = None,
        at: Location = (),
    ) -> None:
        """
        Args:
            data: validated sections, or text, lists and mappings.
            wrong: where values are wrong by themselves, counted from the top.
            fallback: has the value of what ``data`` leaves out.
            at: where ``data`` stands, counted from the top.
        """
        self._data = data
        self._wrong = wrong
        self._fallback = fallback
        self._at = at

    def below(self, *parts: str | int) -> View:
        """The part that stands there."""
        fallback = _found(self._fallback, parts)
        return View(
            _found(self._data, parts),
            wrong=self._wrong,
            fallback=fallback if isinstance(fallback, BaseModel) else None,
            at=(*self._at, *parts),
        )

    def is_wrong(self, *parts: str | int) -> bool:
        """Whether the value there, or something that it stands in, is wrong."""
        at = (*self._at, *parts)
        return any(at[:length] in self._wrong for length in range(len(at) + 1))

    def given(self, *parts: str | int) -> bool:
        """Whether there is a value, right or wrong."""
        return _found(self._data, parts) is not None

    def known(self, *parts: str | int) -> object:
        """The value there; None if there is none, or a wrong one."""
        if self.is_wrong(*parts):
            return None
        value = _found(self._data, parts)
        return _found(self._fallback, parts) if value is None else value

    def text(self, *parts: str | int) -> str | None:
        """The text there, secret or not, if it is known."""
        value = self.known(*parts)
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        return value if isinstance(value, str) else None

    def number(self, *parts: str | int) -> int | None:
        """The whole number there, which may be written as text, if it is known."""
        value = self.known(*parts)
        try:
            return int(value) if isinstance(value, int | str | float) else None
        except (ValueError, OverflowError):
            return None

    def names(self, *parts: str | int) -> list[str]:
        """The names in the mapping there, also those of what is wrong."""
        found = _found(self._data, parts)
        if not isinstance(found, Mapping):
            return []
        return [name for name in found if isinstance(name, str)]

    def items(self, *parts: str | int) -> list[tuple[int, str]]:
        """The texts in the list there, as far as they are known, with their positions."""
        found = self.known(*parts)
        if not isinstance(found, list | tuple):
            return []
        texts = [(index, self.text(*parts, index)) for index in range(len(found))]
        return [(index, text) for index, text in texts if text is not None]


def _found(data: object, parts: Location) -> object:
    for part in parts:
        match data:
            case BaseModel():
                data = getattr(data, str(part), None)
            case Mapping():
                data = data.get(part)
            case list() | tuple() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                return None
    return data


Rule: TypeAlias = Callable[[View], Iterator[Fault]]
