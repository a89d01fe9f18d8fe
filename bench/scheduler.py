"""What the scheduling of one job costs: CPU with few and with many waiting, and memory.

The jobs are those of many clients, and wait for a slot behind limits on requests and tokens, so
that every gate of a configured provider is passed. Their cost is everything from joining the queue
to giving the permit back, without what tasks cost Trio; the same with a task for each job is told
beside it. What the benchmark does itself for each job (drawing whose it is, and telling how its
call ended) is measured alone, told, and taken off.

Run it with ``python bench/scheduler.py``.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator
from random import Random

import trio
import trio.testing
from harness.figures import Figure, Report, argument_parser, at_most, publish

from forebay.actors.config import parse_settings
from forebay.actors.gateway.permits import Permit
from forebay.actors.jobs.job import Claim, Client
from forebay.actors.jobs.places import Place
from forebay.actors.jobs.waiting import ChannelFlow, WaitingLane
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.routing.catalog import Catalog, Resolution
from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.actors.scheduling.gates import Demand, Ending, Outcome
from forebay.actors.scheduling.grants import Grant
from forebay.actors.upstream import ConnectionStack
from forebay.protocol.canonical.events import Usage

FEW, MANY = 10, 10_000
CLIENTS = 100
SLOTS = 8
ROUNDS = 5
JOBS = 20_000
TASK_JOBS = 5_000
_SIZE = RequestSize(4_000)
_CONFIG = {
    "wait": {"max_wait_ms": 3_600_000},
    "providers": {
        "up": {
            "kind": "openai_compatible",
            "base_url": "http://127.0.0.1:1/v1",
            "limits": {"rpm": 1e9, "tpm": 10**12, "concurrency": SLOTS},
        }
    },
    "models": {"fast": {"targets": ["up/m"]}},
}


class PlainQueue:
    """A lane of the gateway whose jobs nobody waits for: places are put in front of their flows,
    as tasks put them there."""

    def __init__(self, provider: Provider) -> None:
        target = provider.target("m")
        model = _resolution(provider).model
        self.lane: WaitingLane = model.lane((target,))
        self.pool = provider.pool
        self.granted: deque[tuple[_PlainPlace, Grant]] = deque()
        self._keys = [FlowKey(f"c{n}", TrafficClass.INTERACTIVE) for n in range(CLIENTS)]
        self._turns = itertools.cycle(self._keys)

    def join(self, now: float) -> None:
        key = next(self._turns)
        lane = self.lane
        flow = lane.flows.get(key)
        if flow is None:
            flow = lane.flows[key] = ChannelFlow(key, 1.0)
        place = _PlainPlace(self.granted, flow)
        lane.count_in(flow, place)
        behind = flow.head() is not None
        flow.put_in_front(place)
        if behind:
            return
        for pool in lane.pools:
            if flow.enrolled:
                pool.refresh(flow)
            else:
                pool.enrol(flow, lane)
        flow.enrolled = True
        self.pool.pump_for(lane, now)

    def serve_one(self, now: float) -> None:
        place, grant = self.granted.popleft()
        flow = place.stands_in_flow
        self.lane.count_out(flow, place)
        if not flow.waiting:
            if flow.enrolled:
                self.lane.emptied(flow)
            del self.lane.flows[flow.key]
        grant.accepted(now)
        grant.finish(Outcome(ending=Ending.SERVED, tokens=900.0), served=True, now=now)


class _PlainPlace(Place):
    __slots__ = ("_granted", "stands_in_flow")

    def __init__(self, granted: deque[tuple[_PlainPlace, Grant]], flow: ChannelFlow) -> None:
        super().__init__(Demand(1000.0, 300.0))
        self._granted = granted
        self.stands_in_flow = flow

    def granted(self, grant: Grant) -> None:
        self._granted.append((self, grant))


def _provider() -> Provider:
    settings = parse_settings(_CONFIG)
    return Provider("up", settings.providers["up"], ConnectionStack(), Random(1))


def _resolution(provider: Provider) -> Resolution:
    catalog = Catalog(parse_settings(_CONFIG), {"up": provider})
    return Resolution("fast", catalog.models["fast"], (provider.target("m"),), is_configured=True)


def plain_cost(waiting: int, jobs: int) -> float:
    """Microseconds of CPU for each job, while ``waiting`` others wait."""
    queue = PlainQueue(_provider())
    now = 0.0
    for _ in range(waiting + SLOTS):
        queue.join(now)
    assert len(queue.granted) == SLOTS
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        began = time.process_time()
        for _ in range(jobs):
            now += 0.001
            queue.join(now)
            queue.serve_one(now)
        best = min(best, time.process_time() - began)
    assert len(queue.granted) == SLOTS
    return best / jobs * 1e6


def own_cost(jobs: int) -> float:
    """Microseconds that :func:`plain_cost` takes for each job without any scheduling."""
    keys = [FlowKey(f"c{n}", TrafficClass.INTERACTIVE) for n in range(CLIENTS)]
    turns = itertools.cycle(keys)
    flows = {key: key for key in keys}
    granted: deque[tuple[FlowKey, Outcome]] = deque()

    def join() -> None:
        key = flows[next(turns)]
        granted.append((key, Outcome(ending=Ending.SERVED, tokens=900.0)))

    def serve_one() -> None:
        _key, _outcome = granted.popleft()

    now = 0.0
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        began = time.process_time()
        for _ in range(jobs):
            now += 0.001
            join()
            serve_one()
        best = min(best, time.process_time() - began)
    return best / jobs * 1e6


def task_cost(waiting: int, jobs: int) -> float:
    """The same with a task that waits for each job, as sessions do."""
    return trio.run(_task_cost, waiting, jobs)


async def _task_cost(waiting: int, jobs: int) -> float:
    provider = _provider()
    resolution = _resolution(provider)
    left = itertools.repeat(None, jobs + waiting)
    served = 0
    began = 0.0
    spent = 0.0

    async def keep_asking(number: int) -> None:
        nonlocal served, began, spent
        client = Client(name=f"c{number % CLIENTS}")
        for _ in left:
            permit = _permit(client, resolution)
            await permit.wait()
            await trio.lowlevel.checkpoint()
            permit.accepted()
            permit.settle(Usage(input_uncached=1000, output=200))
            served += 1
            if served == waiting:
                began = time.process_time()
            elif served == jobs + waiting:
                spent = time.process_time() - began

    async with trio.open_nursery() as nursery:
        nursery.start_soon(provider.pump)
        async with trio.open_nursery() as sessions:
            for number in range(waiting + SLOTS):
                sessions.start_soon(keep_asking, number)
        nursery.cancel_scope.cancel()
    return spent / jobs * 1e6


def _permit(client: Client, resolution: Resolution) -> Permit:
    now = trio.current_time()
    claim = Claim(client=client, arrived_at=now, deadline=now + 3600, size=_SIZE, most_output=300)
    return Permit(claim, resolution, resolution.targets)


def memory() -> tuple[float, float]:
    """KiB for each waiting job: what waiting adds to a task, and the task with it."""
    return trio.run(_memory)


async def _memory() -> tuple[float, float]:
    provider = _provider()
    resolution = _resolution(provider)
    clients = [Client(name=f"c{number}") for number in range(CLIENTS)]

    async def wait(client: Client) -> None:
        await _permit(client, resolution).wait()
        await trio.sleep_forever()

    async def rest(client: Client) -> None:
        await trio.sleep_forever()

    sizes = []
    for kind in (rest, wait):
        async with trio.open_nursery() as nursery:
            for number in range(SLOTS + CLIENTS):
                nursery.start_soon(wait, clients[number % CLIENTS])
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            tracemalloc.start()
            for number in range(MANY):
                nursery.start_soon(kind, clients[number % CLIENTS])
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0] / MANY / 1024)
            tracemalloc.stop()
            nursery.cancel_scope.cancel()
    resting, waiting = sizes
    return waiting - resting, waiting


def reports(*, quick: bool) -> Iterator[Report]:
    jobs = JOBS // 4 if quick else JOBS
    own = own_cost(jobs)
    few, many = plain_cost(FEW, jobs) - own, plain_cost(MANY, jobs) - own
    yield Report(
        "The scheduler's own CPU for each job",
        (
            at_most(f"with {FEW} waiting", few, 30, "us"),
            at_most(f"with {MANY} waiting", many, 30, "us"),
            Figure("many over few", many / few),
            Figure("the benchmark's own, taken off", own, "us"),
            Figure(f"with {FEW} waiting, in tasks of Trio", task_cost(FEW, TASK_JOBS), "us"),
            Figure(f"with {MANY} waiting, in tasks of Trio", task_cost(MANY, TASK_JOBS), "us"),
        ),
    )
    waiting, with_task = memory()
    yield Report(
        "Memory of a waiting job, without its body",
        (
            at_most("what waiting takes", waiting, 4, "KiB"),
            Figure("with its task", with_task, "KiB"),
        ),
    )


def main() -> int:
    options = argument_parser(__doc__).parse_args()
    return publish(reports(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
