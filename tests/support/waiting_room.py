"""A lane over providers whose pools are pumped as in the gateway, without any upstream."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from random import Random

import httpx
import trio
from trio.testing import wait_all_tasks_blocked

from forebay.actors.config import ProviderSettings
from forebay.actors.jobs.places import Place
from forebay.actors.jobs.waiting import NoTargetLeft, WaitExpired, WaitingLane
from forebay.actors.providers.provider import Provider
from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.preferences import preference_for


def key(client: str) -> FlowKey:
    return FlowKey(client, TrafficClass.INTERACTIVE)


def give_back(grant: Grant, *, ending: Ending = Ending.SERVED, tokens: float = 1.0) -> None:
    """The call is over."""
    outcome = Outcome(ending=ending, tokens=tokens)
    grant.finish(outcome, served=ending is Ending.SERVED, now=trio.current_time())


class WaitingRoom:
    """One lane; its providers have one target each."""

    def __init__(self, providers: list[Provider], strategy: Strategy) -> None:
        self.providers = providers
        targets = tuple(provider.target("model").pooled for provider in providers)
        self.times_idle = 0
        self.lane = WaitingLane(targets, preference_for(strategy), self._count_idle)

    def _count_idle(self) -> None:
        self.times_idle += 1

    async def wait(
        self, client: str, *, max_wait: float = inf, tokens: float = 10.0, weight: float = 1.0
    ) -> Grant:
        place = Place(Demand(tokens))
        deadline = trio.current_time() + max_wait
        return await self.lane.wait(place, key(client), weight, deadline)

    @property
    def in_flight(self) -> int:
        return sum(target.in_flight for target in self.lane.targets)

    async def is_at_rest(self) -> bool:
        """Nobody waits, nothing is under way, and nothing is left of those who were there."""
        await wait_all_tasks_blocked()
        return (
            not self.lane.waiting
            and not self.lane.waiting_tokens
            and not self.lane.flows
            and not self.in_flight
            and all(target.idle for target in self.lane.targets)
            and not any(
                pool.backlogged_clients or pool.remembered_clients or pool.blocked or pool.barring
                for pool in self.lane.pools
            )
        )


class Waiter:
    """A session that waits for a grant and keeps what became of it."""

    def __init__(self, room: WaitingRoom, client: str, *, max_wait: float = 1000.0) -> None:
        self.room = room
        self.key = key(client)
        self.place = Place(Demand(10.0))
        self.scope = trio.CancelScope()
        self.grant: Grant | None = None
        self.failure: NoTargetLeft | WaitExpired | None = None
        self.ended_at: float | None = None
        self._deadline = trio.current_time() + max_wait

    async def wait(self) -> None:
        await self._keep(first=True)

    async def wait_again(self) -> None:
        """After its grant came to nothing."""
        await self._keep(first=False)

    async def _keep(self, *, first: bool) -> None:
        lane = self.room.lane
        self.grant = None
        with self.scope:
            try:
                if first:
                    self.grant = await lane.wait(self.place, self.key, 1.0, self._deadline)
                else:
                    self.grant = await lane.wait_again(self.place, self.key, self._deadline)
            except (NoTargetLeft, WaitExpired) as failure:
                self.failure = failure
        self.ended_at = trio.current_time()

    def put_back(
        self, ending: Ending = Ending.REFUSED, *, retry_after: float | None = None
    ) -> None:
        """As a session does after a refusal: first the place, then the permit."""
        assert self.grant is not None
        self.scope = trio.CancelScope(deadline=self.scope.deadline)
        outcome = Outcome(ending=ending, tokens=1.0, retry_after=retry_after)
        try:
            self.room.lane.put_back(self.place, self.key, 1.0)
        finally:
            self.grant.finish(outcome, served=False, now=trio.current_time())


async def stand_in_line(nursery: trio.Nursery, room: WaitingRoom, clients: str) -> list[Waiter]:
    """One waiter after the other; those of one client are parked behind its first."""
    waiters = [Waiter(room, client) for client in clients]
    for waiter in waiters:
        nursery.start_soon(waiter.wait)
        await wait_all_tasks_blocked()
    return waiters


@asynccontextmanager
async def open_room(
    *limits: Mapping[str, float], strategy: Strategy = Strategy.ORDERED
) -> AsyncIterator[WaitingRoom]:
    """A room that lasts as long as the block.

    Args:
        limits: of each provider, as in the configuration.
    """
    random = Random(1)
    numbers = itertools.count()
    providers = [
        Provider(
            f"provider-{next(numbers)}",
            ProviderSettings.model_validate(
                {"kind": "openai_compatible", "base_url": "http://up.test", "limits": limit}
            ),
            httpx.AsyncBaseTransport(),
            random,
        )
        for limit in limits
    ]
    async with trio.open_nursery() as nursery:
        for provider in providers:
            nursery.start_soon(provider.pump)
        yield WaitingRoom(providers, strategy)
        nursery.cancel_scope.cancel()
