"""What is going on in a server: counts, and whether it is draining."""

from __future__ import annotations

from typing import Protocol

import trio

from forebay.endpoints.serving._hang_up import HangUpWatch


class Drainable(Protocol):
    """A connection, as far as the shutdown cares."""

    def drain(self) -> None:
        """Ends at once if no request is in progress, else after its answer."""
        ...


class ServingState:
    """Shared by all connections of a server; the app may read it and wait on it.

    Every method but :meth:`wait_for_room` is synchronous and never blocks.
    """

    def __init__(self) -> None:
        self.connections = 0
        """Open connections, also those that are idle or about to close."""
        self.requests_in_progress = 0
        """App tasks that run: one for each request being answered and each WebSocket."""
        self.drain_began = trio.Event()
        """Set once, when the shutdown begins and before any connection is cut."""
        self.hang_ups = HangUpWatch()
        """Notices clients that leave while nobody reads what they have sent."""
        self._live: set[Drainable] = set()
        self._waiting_for_room = trio.lowlevel.ParkingLot()

    @property
    def draining(self) -> bool:
        """Whether the shutdown has begun: no further request will be taken."""
        return self.drain_began.is_set()

    def begin_drain(self) -> None:
        """Closes every idle connection; the others end with the answer they are waiting for."""
        self.drain_began.set()
        for connection in tuple(self._live):
            connection.drain()

    def enter(self, connection: Drainable) -> None:
        """``connection`` is ready to be told of the drain; if that has begun, it is told now."""
        self._live.add(connection)
        if self.draining:
            connection.drain()

    def leave(self, connection: Drainable) -> None:
        """``connection`` has ended."""
        self._live.discard(connection)

    def take_place(self) -> None:
        """Counts a connection. Pairs with :meth:`give_place`."""
        self.connections += 1

    def give_place(self) -> None:
        """Ends the count of a connection, and wakes whoever waits for room."""
        self.connections -= 1
        self._waiting_for_room.unpark_all()

    async def wait_for_room(self, max_connections: int) -> None:
        """Returns when fewer than ``max_connections`` are open; reserves nothing."""
        await trio.lowlevel.checkpoint()
        while self.connections >= max_connections:
            await self._waiting_for_room.park()
