"""Fairness as it is promised, in numbers: over any window, for jobs of 100 to 100,000 tokens."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_simulation import ListLane, Service, one_target
from served_windows import (
    ESTIMATES,
    LARGEST,
    SCARCITIES,
    Backlog,
    Crowd,
    Estimate,
    all_alike,
    any_size,
    jain,
    windows,
)

from forebay.actors.scheduling.flows import FlowKey
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import Route


def _is(client: str) -> Callable[[FlowKey], bool]:
    return lambda key: key.client == client


def _always(tokens: float) -> Callable[[Random], float]:
    return lambda random: tokens


_MIXES = {
    "alike": {name: Crowd() for name in ("ada", "bob", "cyd")} | {"noisy": Crowd(waiting=6000)},
    "apart": {
        "small": Crowd(size=_always(2000.0), waiting=200),
        "large": Crowd(size=_always(LARGEST)),
        "mixed": Crowd(),
        "noisy": Crowd(waiting=6000),
    },
}


@pytest.mark.parametrize("mix", _MIXES)
@pytest.mark.parametrize("estimates", ESTIMATES)
@pytest.mark.parametrize("scarcity", SCARCITIES)
def test_equal_clients_get_equal_tokens_over_any_window_of_thirty_of_the_largest_jobs(
    scarcity: str, estimates: str, mix: str
) -> None:
    """Though one of them sends a hundred times more than the others."""
    pool, lane = one_target(SCARCITIES[scarcity]())
    backlog = Backlog(pool, lane, _MIXES[mix], estimate=ESTIMATES[estimates])
    backlog.serve(tokens=4 * 70 * LARGEST)
    sums = [backlog.sums(_is(name)) for name in _MIXES[mix]]
    indices = [jain(served) for served in windows(sums, [30 * LARGEST] * 4)]
    assert len(indices) > 50
    assert min(indices) >= 0.99


def test_one_slot_is_shared_fairly_though_all_jobs_are_thought_to_be_alike() -> None:
    """What a job turns out to use counts, and not only what it was thought to use."""
    pool, lane = one_target(SlotGate("slots", 1))
    clients = {"small": Crowd(size=_always(2000.0)), "large": Crowd(size=_always(LARGEST))}
    backlog = Backlog(pool, lane, clients, estimate=all_alike)
    backlog.serve(tokens=2 * 60 * LARGEST)
    sums = [backlog.sums(_is(name)) for name in clients]
    indices = [jain(served) for served in windows(sums, [30 * LARGEST] * 2)]
    assert len(indices) > 50
    assert min(indices) >= 0.99


@pytest.mark.parametrize("estimates", ESTIMATES)
@pytest.mark.parametrize("scarcity", SCARCITIES)
def test_weights_of_one_two_and_four_hold_within_two_per_cent(
    scarcity: str, estimates: str
) -> None:
    weights = {"one": 1.0, "two": 2.0, "four": 4.0}
    pool, lane = one_target(SCARCITIES[scarcity]())
    clients = {name: Crowd(weight=weight) for name, weight in weights.items()}
    backlog = Backlog(pool, lane, clients, estimate=ESTIMATES[estimates])
    backlog.serve(tokens=7 * 90 * LARGEST)
    sums = [backlog.sums(_is(name)) for name in weights]
    whole = [each[-1] / weights[name] for name, each in zip(weights, sums, strict=True)]
    assert max(whole) <= 1.02 * min(whole)
    least = [30 * LARGEST * weight for weight in weights.values()]
    for served in windows(sums, least):
        by_weight = [tokens / w for tokens, w in zip(served, weights.values(), strict=True)]
        assert jain(by_weight) >= 0.99


_SIZES = {
    "mixed": any_size,
    "small": _always(100.0),
    "large": _always(LARGEST),
}
_GUESSES: dict[str, Estimate] = {
    **ESTIMATES,
    "far too high": lambda random, used: used * random.uniform(5, 40),
    "far too low": lambda random, used: used * random.uniform(0.02, 0.1),
    "alike": all_alike,
}


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.sampled_from(list(_SIZES)), min_size=1, max_size=10),
    weights=st.lists(st.sampled_from([0.2, 1.0, 5.0]), min_size=10, max_size=10),
    slots=st.integers(1, 10),
    guess=st.sampled_from(list(_GUESSES)),
    after=st.floats(0, 40),
    seed=st.integers(0, 1000),
    own=st.sampled_from(list(_SIZES)),
)
def test_a_newcomers_first_job_starts_within_a_job_of_each_other_client_and_of_each_slot(
    sizes: list[str],
    weights: list[float],
    slots: int,
    guess: str,
    after: float,
    seed: int,
    own: str,
) -> None:
    pool, lane = one_target(SlotGate("slots", slots))
    clients = {
        f"client-{n}": Crowd(size=_SIZES[size], weight=weights[n], waiting=20 + slots)
        for n, size in enumerate(sizes)
    }
    backlog = Backlog(pool, lane, clients, estimate=_GUESSES[guess], seed=seed)
    service = backlog.service
    service.run(after)
    random = Random(seed)
    for number in range(3):
        before = len(service.started)
        used = _SIZES[own](random)
        newcomer = backlog.add(f"new-{number}", used)
        while newcomer.started_at is None:
            service.run(service.now + 1)
        assert service.started.index(newcomer) - before <= len(clients) + slots
        service.run(service.now + random.uniform(0, 3))


@pytest.mark.parametrize(
    "used",
    [lambda random: 100.0, lambda random: random.uniform(20, 300)],
    ids=["as expected", "more or less"],
)
def test_of_those_who_come_once_nobody_is_passed_by_who_comes_later(
    used: Callable[[Random], float],
) -> None:
    """However many come, and whatever is thought of their jobs by then."""
    random = Random(1)
    pool, lane = one_target(SlotGate("slots", 2))
    service = Service(pool, used=lambda ticket: used(random))
    tickets = []
    for number in range(800):
        tickets.append(service.offer(lane, f"client-{number}"))
        service.run(service.now + random.expovariate(4))
    assert len(service.started) < 500
    assert service.started == tickets[: len(service.started)]


def test_a_client_has_one_counter_whatever_models_it_uses() -> None:
    """Who asks for five models of an account gets no more of it than who asks for one."""
    pool = Pool("pool", [SlotGate("slots", 3)])
    lanes = [ListLane((pool.add_target(str(n), [], [Route("host", ())]),)) for n in range(5)]
    service = Service(pool)
    for _ in range(300):
        for lane in lanes:
            service.offer(lane, "all", 100.0)
        service.offer(lanes[0], "one", 100.0)
    service.run(99.5)
    clients = service.started_clients()
    assert clients.count("all") == clients.count("one") == 150


def test_what_a_client_takes_from_an_idle_provider_counts_nowhere_else() -> None:
    idle, scarce = (Pool(name, [SlotGate("slots", 1)]) for name in ("idle", "scarce"))
    lanes = {
        pool: ListLane((pool.add_target("model", [], [Route("host", ())]),))
        for pool in (idle, scarce)
    }
    service = Service(idle, scarce)
    for _ in range(200):
        service.offer(lanes[idle], "both", 50_000.0)
        for client in ("both", "other"):
            service.offer(lanes[scarce], client, 100.0)
    service.run(99.5)
    served = [t.client for t in service.started if t.grants[0].target.pool is scarce]
    assert served.count("both") == served.count("other") == 50
    assert len(service.started) == 200


def test_clients_that_have_gone_leave_nothing_in_the_pool() -> None:
    pool = Pool("pool", [SlotGate("slots", 4)])
    target = pool.add_target("model", [], [Route("host", ())])
    service = Service(pool, seconds=0.1)

    def come_and_go(first: int, last: int) -> None:
        lane = ListLane((target,))
        for number in range(first, last):
            service.offer(lane, f"client-{number}", 100.0 + number % 7)
        service.run(service.now + 1000.0)
        assert len(service.started) == last - first
        service.started.clear()
        service.tokens.clear()
        gc.collect()

    kept: list[int] = []
    tracemalloc.start()
    try:
        for hundred in range(0, 40, 10):
            come_and_go(100 * hundred, 100 * hundred + 1000)
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert pool.backlogged_clients == pool.remembered_clients == 0
    assert kept[-1] - kept[0] < 20_000
