"""``${NAME}`` and ``${NAME:-default}`` inside a value of the file, filled from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(
    r"""
    \$\$                                            # a literal dollar sign
    | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*)
           (?: :- (?P<default> (?: [^}$] | \$(?!\{) )* ) )?
      \}
    | (?P<malformed> \$\{ )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """One value, with its references filled in."""

    text: str
    changed: bool = False
    """Something came from the environment (or a default stood in): never show the text."""
    missing: tuple[str, ...] = ()
    """Names that are not set and have no default; the text is not usable."""
    malformed: bool = False
    """A ``${`` that begins no reference; the text is not usable."""


def substitute(text: str, environ: Mapping[str, str]) -> Substitution:
    """Fill in the references of one value.

    As in a shell, ``:-`` also replaces a variable that is set but empty. A dollar sign that
    neither ``$`` nor ``{`` follows stands for itself.
    """
    changed = malformed = False
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        nonlocal changed, malformed
        name = match["name"]
        if match["malformed"]:
            malformed = True
            return ""
        if name is None:
            return "$"
        changed = True
        default = match["default"]
        value = environ.get(name)
        if default is not None:
            return value or default.replace("$$", "$")
        if value is None:
            missing[name] = None
            return ""
        return value

    filled = _REFERENCE.sub(fill, text)
    return Substitution(text=filled, changed=changed, missing=tuple(missing), malformed=malformed)
