"""When a crashed actor may start again: arithmetic on a clock that the caller reads."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How often, and how soon, a crashed actor is started again.

    The n-th restart within a period waits ``backoff_initial * 2**(n - 1)`` seconds, at most
    ``backoff_max``, and of that a random part of up to ``jitter`` less. A quiet period resets it.
    """

    intensity: int = 5
    """Restarts within one period; the next crash is one too many. 0: never restart."""
    period: float = 60.0
    """Seconds."""
    backoff_initial: float = 0.1
    """Seconds."""
    backoff_max: float = 5.0
    """Seconds."""
    jitter: float = 0.1
    """0 … 1; 0 makes the waits exact."""
    rest: float | None = None
    """What becomes of an actor with one crash too many. None: it dies, and its parent crashes of
    it. Seconds: it rests for so long and is then started again, and nobody else is concerned."""

    def __post_init__(self) -> None:
        if self.intensity < 0:
            raise ValueError(f"intensity: must be 0 or more, not {self.intensity}")
        if not self.period > 0:
            raise ValueError(f"period: must be above 0 seconds, not {self.period}")
        if not 0 <= self.backoff_initial <= self.backoff_max < math.inf:
            raise ValueError(
                "backoff_initial, backoff_max: must be 0 <= initial <= max, "
                f"not {self.backoff_initial} and {self.backoff_max}"
            )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter: must be between 0 and 1, not {self.jitter}")
        if self.rest is not None and not 0 < self.rest < math.inf:
            raise ValueError(f"rest: must be above 0 seconds, or None, not {self.rest}")


class RestartHistory:
    """The crashes of one actor that still count."""

    def __init__(self, policy: RestartPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._restarts: deque[float] = deque()

    def delay_after_crash(self, now: float) -> float | None:
        """Seconds to wait before the restart, or None if there were too many already."""
        policy = self._policy
        while self._restarts and self._restarts[0] <= now - policy.period:
            self._restarts.popleft()
        count = len(self._restarts)
        if count >= policy.intensity:
            return None
        self._restarts.append(now)
        # A large intensity must not raise 2.0 beyond the floats; no backoff_max is that far off.
        delay = min(policy.backoff_max, policy.backoff_initial * 2.0 ** min(count, 64))
        return delay * (1 - policy.jitter * self._random.random())
