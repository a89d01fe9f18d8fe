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
from forebay.actors.gateway.provider import Provider
from forebay.actors.gateway.waiting import Place, WaitingLane
from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.pool import Grant


def key(client: str) -> FlowKey:
    return FlowKey(client, TrafficClass.INTERACTIVE)


def give_back(grant: Grant, *, ending: Ending = Ending.SERVED) -> None:
    """The call is over."""
    served = ending is Ending.SERVED
    grant.finish(Outcome(ending=ending, tokens=1.0), served=served, now=trio.current_time())


class WaitingRoom:
    """One lane; its providers have one target each."""

    def __init__(self, providers: list[Provider], strategy: Strategy) -> None:
        self.providers = providers
        targets = tuple(provider.target("model").pooled for provider in providers)
        self.times_idle = 0
        self.lane = WaitingLane(targets, strategy, self._count_idle)

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
