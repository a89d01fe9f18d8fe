"""What is wrong with a configuration, said so that the reader can mend it.

:class:`Problem` and :class:`ConfigError` are what callers see. :class:`Fault` is a broken rule as
the settings' own validators state it, before anybody knows where in which file the value stands;
:mod:`~forebay.actors.config.explanation` turns the one into the other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic_core import PydanticCustomError

Location: TypeAlias = "tuple[str | int, ...]"
"""Where a value stands: the keys and list positions that lead to it from the top."""

RULE_BROKEN = "rule_broken"
"""The type of the pydantic errors that carry faults, in their context under ``faults``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend."""

    path: str
    """The setting, ``providers.openai.limits.rpm``; "" means the configuration as a whole."""
    message: str
    """What is wrong. Never holds a secret or a value that came from the environment."""
    line: int | None = None
    """Counted from 1. None where there is no file, or no place in it."""
    column: int | None = None
    """Counted from 1."""
    fix: str | None = None
    """How to mend it, where the message does not already say so."""


class ConfigError(Exception):
    """A configuration that can't be used.

    ``str()`` gives one line for each problem: ``forebay.yaml:12: providers.openai.limits.rpm:
    must be greater than 0 (you wrote -5)``.
    """

    def __init__(self, problems: Sequence[Problem], *, source: str) -> None:
        super().__init__(problems, source)
        self.problems = tuple(problems)
        self.source = source
        """Where the configuration came from: a file's name, or what else supplied it."""

    def __str__(self) -> str:
        return "\n".join(self._line(problem) for problem in self.problems)

    def _line(self, problem: Problem) -> str:
        place = self.source if problem.line is None else f"{self.source}:{problem.line}"
        text = ": ".join(part for part in (place, problem.path, problem.message) if part)
        return f"{text}; {problem.fix}" if problem.fix else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One broken rule."""

    message: str
    """Never holds the value itself, which may be a secret: see ``echo``."""
    at: Location = ()
    """Relative to what the validator was given."""
    fix: str | None = None
    echo: bool = False
    """The value may be shown, unless it came from the environment."""
    path: str | None = None
    """What to call the place, where ``at`` can't be shown."""


def broken(*faults: Fault) -> PydanticCustomError:
    """The error to raise inside a pydantic validator."""
    summary = "; ".join(fault.message for fault in faults)
    return PydanticCustomError(RULE_BROKEN, "{summary}", {"summary": summary, "faults": faults})


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A fix that names the nearest known word, if there is one."""
    match = nearest(word, known)
    return None if match is None else f"did you mean '{match}'?"
