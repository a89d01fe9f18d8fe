"""Requests that their clients have given up and sent again.

The official clients count their attempts at one call in a header. Where a proxy stands between, the
gateway may not notice that a client has given an attempt up: then both would wait, and both would
be paid for. So when an attempt arrives while an earlier one of the same call still runs, the
earlier one ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind

_COUNT = "x-stainless-retry-count"


class RunningAttempt(Protocol):
    """What a session is to :class:`Repeats`."""

    @property
    def may_have_been_given_up(self) -> bool: ...

    def cut(self, reason: ApiFailure) -> None: ...


@dataclass(frozen=True, slots=True)
class _Call:
    """What all attempts at one call have in common."""

    client: str
    path: str
    user_agent: str | None
    idempotency_key: str | None
    body: int
    """Its hash: bodies are large."""


class Repeats:
    """The attempts that run, by the call that they are made for."""

    def __init__(self) -> None:
        self._running: dict[_Call, dict[RunningAttempt, int]] = {}

    @contextmanager
    def attempt(
        self, session: RunningAttempt, head: RequestHead, client: str, body: bytes
    ) -> Iterator[None]:
        """Note, for the block, that ``session`` is one attempt at a call, and end the one that it
        repeats. Where it might repeat any of several, none is ended: some are equal by chance."""
        number = _number(head)
        if number is None:
            yield
            return
        call = _Call(
            client,
            head.path,
            head.header("user-agent"),
            head.header("idempotency-key"),
            hash(body),
        )
        attempts = self._running.setdefault(call, {})
        earlier = [
            one for one, count in attempts.items() if count < number and one.may_have_been_given_up
        ]
        if len(earlier) == 1:
            earlier[0].cut(_given_up())
        attempts[session] = number
        try:
            yield
        finally:
            del attempts[session]
            if not attempts:
                self._running.pop(call, None)


def _number(head: RequestHead) -> int | None:
    text = head.header(_COUNT)
    return int(text) if text is not None and text.isdecimal() and len(text) < 4 else None


def _given_up() -> ApiFailure:
    """In case that it was not: a client tries again after this one."""
    message = f"the same request came again with a higher {_COUNT}, and is served instead of this"
    return ApiFailure(ApiError(kind=ErrorKind.REQUEST_TIMEOUT, message=message))
