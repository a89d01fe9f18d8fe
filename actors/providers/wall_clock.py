"""The time of day, which some limits go by: told resets, windows that end at midnight.

Everything else goes by Trio's clock. In virtual time there is no time of day but what is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

WallClock: TypeAlias = Callable[[], float]
"""Seconds since 1970, UTC."""

SYSTEM_CLOCK: Final[WallClock] = time.time
