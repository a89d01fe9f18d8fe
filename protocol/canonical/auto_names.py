"""The names that ask for whichever model will do: ``auto``, and ``auto:tools,json,ctx>=100k``."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from forebay.protocol.canonical.needs import NO_NEEDS, Needs
from forebay.protocol.canonical.needs_grammar import NeedsUnreadable, read_needs

AUTO: Final = "auto"
_WITH_NEEDS: Final = "auto:"
_AS_OLLAMA_SAYS_IT: Final = "auto:latest"
"""Its clients write the tag themselves where there is none."""


def is_auto(name: str) -> bool:
    """Whether ``name`` asks for whichever model will do, though what it must be may be wrong."""
    return name == AUTO or name.startswith(_WITH_NEEDS)


@lru_cache(maxsize=256)
def needs_in(name: str) -> Needs:
    """What a name that ``is_auto`` asks for.

    Raises:
        NeedsUnreadable: nothing that can be asked for.
    """
    if name in (AUTO, _AS_OLLAMA_SAYS_IT):
        return NO_NEEDS
    return read_needs(name.removeprefix(_WITH_NEEDS))


def is_readable(name: str) -> bool:
    """Whether :func:`needs_in` can read a name that ``is_auto``."""
    try:
        needs_in(name)
    except NeedsUnreadable:
        return False
    return True
