"""A simulation: the gateway's own actors, pools and gates in virtual time.

Nothing of the gateway is imitated but the calls themselves: simulated sessions ask for permits as
real ones do, and keep them as long as a call to a simulated upstream takes.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import httpx
import trio

from forebay.actors.config.settings import Settings
from forebay.actors.gateway import Client, JobFailure, open_gateway
from forebay.actors.gateway.permits import Permit
from forebay.actors.jobs.job import Claim
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.simulation.clock import VirtualClock, repeatable_order
from forebay.actors.simulation.load import Load
from forebay.actors.simulation.record import SPANS, Group, Record
from forebay.actors.simulation.requests import (
    Loop,
    Request,
    all_arrivals,
    recorded_requests,
    sources_of,
)
from forebay.actors.simulation.trace import Recorded
from forebay.actors.simulation.upstreams import SimulatedUpstream
from forebay.actors.simulation.virtual_bells import VirtualBell
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.providers.base import CallFailure, FailureKind

_NO_DIALECT: Final = Dialect("")
_BYTES_PER_TOKEN: Final = 4
"""As in English text; how many it takes the gateway has to learn, as it has to of real ones."""
_COLLECT_AFTER: Final = (100_000, 50, 100)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a simulation."""

    duration: float
    record: Record
    upstreams: tuple[SimulatedUpstream, ...]


def simulate(
    settings: Settings, load: Load, trace: tuple[Recorded, ...] = (), *, faster: float = 1.0
) -> Run:
    """Run ``load`` against a gateway with ``settings``. The same again gives exactly the same.

    Args:
        trace: recorded requests, beside the load's traffic.
        faster: 2: the trace in half the time.
    """
    upstreams = {
        name: SimulatedUpstream(name, provider, load.upstreams.get(name), load.seed)
        for name, provider in settings.providers.items()
    }
    record = Record(load.duration, tuple(upstreams.values()))
    clock = VirtualClock()
    simulation = _Simulation(settings, load, trace, faster, upstreams, record, clock)
    with repeatable_order(load.seed), _quiet(), _few_collections():
        trio.run(simulation.run, clock=clock)
    return Run(load.duration, record, tuple(upstreams.values()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the gateway logs of simulated providers."""
    log = logging.getLogger("forebay")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Let Python look for garbage less often: there is little of it in cycles."""
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _EmptyListings(httpx.AsyncBaseTransport):
    """Providers that list no models: what is asked for is configured."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [], "models": []})


@dataclass(frozen=True, slots=True)
class _Route:
    """What requests of one client for one model have in common."""

    resolution: Resolution
    upstreams: tuple[SimulatedUpstream, ...]
    max_wait: float


class _Simulation:
    def __init__(
        self,
        settings: Settings,
        load: Load,
        trace: tuple[Recorded, ...],
        faster: float,
        upstreams: dict[str, SimulatedUpstream],
        record: Record,
        clock: VirtualClock,
    ) -> None:
        self._settings = settings
        self._load = load
        self._upstreams = upstreams
        self._record = record
        self._clock = clock
        self._sources = sources_of(load, settings)
        self._arrivals = all_arrivals(
            self._sources, recorded_requests(trace, settings, faster=faster)
        )
        self._routes: dict[tuple[str, str], _Route] = {}
        self._idle: list[trio.lowlevel.Task] = []
        """Sessions without a request."""
        self._next_at: float
        self._next: Request
        self._catalog: Catalog

    async def run(self) -> None:
        load = self._load
        async with (
            open_gateway(
                self._settings,
                transport=_EmptyListings(),
                random=Random(load.seed),
                wall_clock=lambda: self._clock.now,
            ) as gateway,
            trio.open_nursery() as nursery,
        ):
            self._catalog = gateway.catalog
            for provider in gateway.providers.values():
                before, provider.bell = provider.bell, VirtualBell(self._clock)
                before.ring()
            nursery.start_soon(self._note_limits)
            for upstream in self._upstreams.values():
                if upstream.changes:
                    nursery.start_soon(self._change_limits, upstream)
            first = next(self._arrivals, None)
            if first is not None and first[0] < load.duration:
                self._next_at, self._next = first
                nursery.start_soon(self._serve_arrivals, nursery)
            for source in self._sources:
                if source.traffic.think_time is not None:
                    for loop in source.loops():
                        nursery.start_soon(self._serve_loop, loop)
            await self._clock.until(load.duration)
            self._record.close(load.duration)
            nursery.cancel_scope.cancel()

    # Who asks.

    async def _serve_arrivals(self, nursery: trio.Nursery) -> None:
        """A session that serves one request after another. Whoever was woken for a request has
        an idle one woken for the next, at its time."""
        await self._clock.until(self._next_at)
        while True:
            request = self._next
            arrival = next(self._arrivals, None)
            if arrival is not None and arrival[0] < self._load.duration:
                self._next_at, self._next = arrival
                if self._idle:
                    self._clock.wake(self._idle.pop(), self._next_at)
                else:
                    nursery.start_soon(self._serve_arrivals, nursery)
            await self._serve(request)
            self._idle.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(self._leave_idle)

    def _leave_idle(self, _: object) -> trio.lowlevel.Abort:
        # Only at the end of the run, when nobody is woken any more.
        return trio.lowlevel.Abort.SUCCEEDED

    async def _serve_loop(self, loop: Loop) -> None:
        clock = self._clock
        # Not all of them at once.
        await clock.until(clock.now + loop.think_time * loop.random.random())
        while True:
            await self._serve(loop.next())
            await clock.until(clock.now + loop.think_time)

    # What becomes of a request.

    async def _serve(self, request: Request) -> None:
        clock = self._clock
        arrived_at = clock.now
        route = self._routes.get((request.client.name, request.model))
        if route is None:
            route = await self._find_route(request.client, request.model)
        max_wait = route.max_wait if request.max_wait is None else request.max_wait
        claim = Claim(
            client=request.client,
            arrived_at=arrived_at,
            deadline=arrived_at + max_wait,
            size=RequestSize(_BYTES_PER_TOKEN * request.input_tokens),
            most_output=request.max_tokens,
        )
        permit = Permit(claim, route.resolution, route.resolution.targets)
        group = self._record.group(request)
        group.requests += 1
        try:
            await self._get_answer(permit, request, route, group, arrived_at)
        except JobFailure as failure:
            if failure.error.kind is ErrorKind.RATE_LIMITED:
                group.refused_waits.append(clock.now - arrived_at)
            else:
                group.failed += 1
            return
        group.served += 1
        group.tokens += request.input_tokens + request.output_tokens

    async def _get_answer(
        self, permit: Permit, request: Request, route: _Route, group: Group, arrived_at: float
    ) -> None:
        clock, record = self._clock, self._record
        failure: CallFailure | None = None
        while True:
            began_at = clock.now
            record.begin_wait(group, began_at)
            for upstream in route.upstreams:
                upstream.begin_wait(began_at)
            try:
                if failure is None:
                    await permit.wait()
                else:
                    await permit.wait_again(failure)
            finally:
                now = clock.now
                record.end_wait(group, now)
                for upstream in route.upstreams:
                    upstream.end_wait(now)
            if failure is None:
                record.started(group, now - arrived_at, now)
                group.started_tokens += request.input_tokens + request.output_tokens
            target = permit.target
            upstream = self._upstreams[target.provider.name]
            reply = upstream.call(request, target.model_id, now, waited=now > began_at)
            failure = reply.failure
            if failure is None:
                break
            await clock.until(now + reply.first_byte)
            if failure.kind is not FailureKind.RATE_LIMITED:
                upstream.end(target.model_id, clock.now)
            self._hear(permit, upstream)
        if request.stream:
            await clock.until(now + reply.first_byte)
            self._hear(permit, upstream)
            permit.accepted()
        await clock.until(now + reply.end)
        upstream.end(target.model_id, clock.now)
        if not request.stream:
            self._hear(permit, upstream)
            permit.accepted()
        permit.settle(Usage(input_uncached=request.input_tokens, output=request.output_tokens))

    def _hear(self, permit: Permit, upstream: SimulatedUpstream) -> None:
        now = self._clock.now
        readings = upstream.readings(now)
        if readings:
            permit.target.provider.told_limits.hear(readings, permit.grant, now)

    async def _find_route(self, client: Client, model: str) -> _Route:
        resolution = await self._catalog.resolve(model, _NO_DIALECT, client)
        providers = dict.fromkeys(target.provider.name for target in resolution.targets)
        seconds = self._settings.max_wait_ms_for(model=resolution.name, client=client.name) / 1000
        route = self._routes[client.name, model] = _Route(
            resolution, tuple(self._upstreams[name] for name in providers), seconds
        )
        return route

    # The clock's own work.

    async def _note_limits(self) -> None:
        for span in range(SPANS - 1):
            await self._clock.until((span + 1) * self._load.duration / SPANS)
            self._record.end_span(span, self._clock.now)

    async def _change_limits(self, upstream: SimulatedUpstream) -> None:
        for change in upstream.changes:
            await self._clock.until(change.at)
            upstream.change(change, self._clock.now)
