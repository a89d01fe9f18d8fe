"""What became of a change of the configuration, and what of it has to wait for a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forebay.actors.config import Settings

_FIXED: Final = {
    "server": (
        "host",
        "port",
        "max_sessions",
        "write_timeout_ms",
        "keep_alive_ms",
        "drain_ms",
        "watch_config",
    ),
    "state": ("path",),
}
"""Settings that hold from a start to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """One change of the configuration, as it came out."""

    at: float
    """Seconds since 1970."""
    problems: tuple[str, ...] = ()
    """Why nothing was changed, a line for each; empty: it was changed."""
    kept: tuple[str, ...] = ()
    """Settings that are another now, and stay as they were until the next start."""


def with_fixed(settings: Settings, current: Settings) -> tuple[Settings, tuple[str, ...]]:
    """``settings`` with those of ``current`` that can't be changed, and the names of these, as far
    as they differ."""
    kept: list[str] = []
    sections: dict[str, object] = {}
    for section, names in _FIXED.items():
        wanted, given = getattr(settings, section), getattr(current, section)
        differing = {
            name: getattr(given, name)
            for name in names
            if getattr(wanted, name) != getattr(given, name)
        }
        kept += [f"{section}.{name}" for name in differing]
        sections[section] = wanted.model_copy(update=differing)
    return settings.model_copy(update=sections), tuple(kept)
