"""How the names of models may be written."""

from __future__ import annotations

from typing import Final

LATEST_TAG: Final = ":latest"


def spellings(name: str) -> tuple[str, ...]:
    """How a name may be written: Ollama's clients write a missing tag as ``:latest``, and the other
    way round."""
    if name.endswith(LATEST_TAG):
        return name, name.removesuffix(LATEST_TAG)
    return name, name + LATEST_TAG
