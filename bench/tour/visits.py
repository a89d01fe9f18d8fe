"""What every case of the tour gets, and how it tells what it saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tour.guests import Guest
from tour.llama import LlamaServer
from tour.questions import Refused


@dataclass(frozen=True, slots=True)
class Visit:
    """One guest that asks for one of the gateway's models."""

    guest: Guest
    route: str
    """The provider: which API of the server the gateway speaks."""
    gateway: str
    """Its URL, without a trailing slash."""
    server: LlamaServer

    @property
    def model(self) -> str:
        return f"{self.route}/{self.server.model}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a case."""

    came: str
    ok: bool | None
    """None: the server can't do it, so there is nothing to judge."""


Case = Callable[[Visit], Seen]


def told(check: Callable[[], Seen]) -> Seen:
    """What a check saw; any failure is told as what came."""
    try:
        return check()
    except Refused as refusal:
        return Seen(f"refused: {refusal}", ok=False)
    except Exception as fault:  # whatever an SDK raises is a result of the tour
        return Seen(f"{type(fault).__name__}: {fault}", ok=False)
