"""Loops that send requests: open, at a given rate whatever comes back; and closed, each client as
soon as it has its last answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from harness.http import Answer, Connections, Disconnected

_PAUSE_AFTER_FAILURE: Final = 0.5


@dataclass(slots=True)
class Outcomes:
    """What came of a loop's requests."""

    sent: int = 0
    answers: list[tuple[int, Answer]] = field(default_factory=list)
    """With the number of the client."""
    broken: int = 0
    """Requests whose connection ended before their answer did."""
    latest_start: float = 0.0
    """By how many seconds at most a request was sent too late: the machine was too busy."""

    @property
    def served(self) -> list[Answer]:
        return [answer for _, answer in self.answers if answer.status == 200]

    @property
    def unserved(self) -> int:
        """Requests without a 200, whatever became of them."""
        return self.sent - len(self.served)

    def with_status(self, status: int) -> list[Answer]:
        return [answer for _, answer in self.answers if answer.status == status]

    def after_first_answers(self) -> list[Answer]:
        """Answers to requests that were sent once every client had had its first: from then on
        each of them waits behind all others."""
        first: dict[int, float] = {}
        for client, answer in self.answers:
            first[client] = min(answer.answered_at, first.get(client, answer.answered_at))
        since = max(first.values(), default=0.0)
        return [answer for answer in self.served if answer.sent_at >= since]


async def _send_one(
    connections: Connections, request: bytes, client: int, outcomes: Outcomes
) -> None:
    outcomes.sent += 1
    try:
        answer = await connections.exchange(request)
    except (Disconnected, OSError):
        outcomes.broken += 1
    else:
        outcomes.answers.append((client, answer))


async def open_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    per_second: float,
    seconds: float,
    patience: float,
) -> Outcomes:
    """Send ``per_second * seconds`` requests, evenly spaced, those of ``requests`` in turns, and
    wait for all answers, at most ``patience`` seconds after the last was sent."""
    outcomes = Outcomes()
    connections = Connections(port)
    began = trio.current_time()
    with trio.move_on_at(began + seconds + patience):
        async with trio.open_nursery() as nursery:
            for number in range(round(per_second * seconds)):
                due = began + number / per_second
                await trio.sleep_until(due)
                outcomes.latest_start = max(outcomes.latest_start, trio.current_time() - due)
                client = number % len(requests)
                nursery.start_soon(_send_one, connections, requests[client], client, outcomes)
    connections.close()
    return outcomes


async def closed_loop(
    port: int, requests: Sequence[bytes], *, seconds: float, patience: float
) -> Outcomes:
    """One client for each of ``requests`` sends it again and again for ``seconds``; then all wait
    for the last answers, at most ``patience`` seconds."""
    outcomes = Outcomes()
    connections = Connections(port)
    began = trio.current_time()

    async def client_loop(client: int) -> None:
        while trio.current_time() < began + seconds:
            served = len(outcomes.answers)
            await _send_one(connections, requests[client], client, outcomes)
            if len(outcomes.answers) == served or outcomes.answers[-1][1].status != 200:
                # A gateway that refuses everything at once is not asked as fast as it can say no.
                await trio.sleep(_PAUSE_AFTER_FAILURE)

    with trio.move_on_at(began + seconds + patience):
        async with trio.open_nursery() as nursery:
            for client in range(len(requests)):
                nursery.start_soon(client_loop, client)
    connections.close()
    return outcomes
