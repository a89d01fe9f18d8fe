"""Answers that are held past their commit point: those that arrive, and all ways to fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fault_questions import Wanted, more_providers
from live_gateway import UPSTREAMS
from sdk_cases import NEWS, WEATHER
from sdk_questions import Question

BOTH_WAYS = {"whole": False, "streamed": True}

WAIT = {
    "hold": "keepalive",
    "keepalive_after_ms": 40,
    "keepalive_every_ms": 40,
    "json_keepalive_after_ms": 40,
}
"""Of the gateway: all below comes to its end later than this, also on a busy machine."""

PROVIDERS = {
    **more_providers("f", {"limits": {"rpm": 0.5, "burst": 1}}),
    **more_providers("h", {"timeouts": {"first_byte_ms": 200, "between_bytes_ms": 200}}),
}
"""Those with an ``f`` have one place only, which is to be taken before."""

_LATE = "[[fault: slow-head=250]]"

KEPT = {
    "text": Question(text=f"Grüße, 世界 {_LATE}"),
    "tools": Question(text=f"use all tools {_LATE}", tools=(WEATHER, NEWS)),
    "JSON schema": Question(text=f"a city {_LATE}", wants_city=True),
}


@dataclass(frozen=True)
class Broken:
    """A way to fail after the commit point."""

    fault: str
    told: str = ""
    """In the message of a stream."""
    suffix: str = ""
    """Of the provider's name."""
    max_wait_ms: int | None = None
    is_garbage: bool = False
    """In the middle of a stream, so that it is passed on where dialects match."""


BROKEN = {
    "rejected": Broken("slow-head=250, 400", "nvalid request"),
    "failing": Broken("slow-head=80, 500"),
    "garbage": Broken("slow-head=80, garbage"),
    "hanging up": Broken("slow-head=80, reset", "broke off"),
    "silence": Broken("hang", "timed out", suffix="h"),
    "no place": Broken("", "try again in", suffix="f", max_wait_ms=3000),
    # Overload is waited for, where nothing of the answer is passed on yet.
    "an error": Broken("slow-head=80, error-midstream=4", "verload", max_wait_ms=3000),
    "a reset": Broken("slow-head=80, reset-midstream=4", "broke"),
    "a cut": Broken("slow-head=80, cut-midstream=4", "closed the connection early"),
    "half an answer": Broken("slow-head=80, end-midstream=4", "ended before"),
    "garbage within": Broken("slow-head=80, garbage-midstream=4", is_garbage=True),
    "silence within": Broken("slow-head=80, hang-midstream=4", "timed out", suffix="h"),
}


def held_questions(clients: Iterable[str]) -> list[Wanted]:
    """All of every client over every upstream; ids are ``CLIENT UPSTREAM WAY CASE``."""
    wanted = []
    for client in clients:
        for upstream in UPSTREAMS:
            for way, stream in BOTH_WAYS.items():
                place = f"{client} {upstream} {way}"
                wanted += [
                    Wanted(
                        id=f"{place} {name}",
                        client=client,
                        provider=upstream,
                        question=question,
                        stream=stream,
                    )
                    for name, question in KEPT.items()
                ]
                wanted += [
                    Wanted(
                        id=f"{place} {name}",
                        client=client,
                        provider=f"{upstream}{broken.suffix}",
                        question=Question(text=f"hello [[fault: {broken.fault}]]"),
                        stream=stream,
                        max_wait_ms=broken.max_wait_ms,
                    )
                    for name, broken in BROKEN.items()
                ]
    return wanted
