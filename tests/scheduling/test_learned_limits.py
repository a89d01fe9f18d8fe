"""Limits that nobody told us: found soon, used fully, followed when they change, hardly refused.

The numbers are what an upstream model counts over minutes of simulated time.
"""

from __future__ import annotations

from functools import partial
from math import inf
from random import Random

import pytest
from pool_simulation import ListLane, Simulation, UpstreamModel

from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Call, Demand, Ending, Outcome
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.targets import Route


class _Run(Simulation):
    """A pool that knows nothing of its upstream's limits; the gates of the real gateway."""

    def __init__(
        self, upstream: UpstreamModel, *, clients: int = 0, retry_after: float | None = None
    ) -> None:
        random = Random(1)
        cooldown = Cooldown("c", random)
        self.limit = LearnedLimit("l", random, cooldown=cooldown)
        pool = Pool("p", [])
        gates = (CircuitBreaker("b", random), cooldown, self.limit)
        target = pool.add_target("t", [], [Route("h", gates)])
        super().__init__(pool, ListLane((target,)), upstream)
        self.refusal_wait = retry_after
        if clients:
            self.keep_offering(clients)

    @property
    def refused_share(self) -> float:
        return self.upstream.refused / (self.upstream.accepted + self.upstream.refused)

    def used(self, until: float, *, rate: float = inf, slots: float = inf) -> float:
        """Run on; the share of the limit that was used on the way."""
        began, accepted = self.now, self.upstream.accepted
        self.run(until)
        if slots < inf:
            rate = slots / (self.upstream.latency + 0.002)
        return (self.upstream.accepted - accepted) / (rate * (until - began))


@pytest.mark.parametrize("retry_after", [None, 0.1, 1.0])
@pytest.mark.parametrize("latency", [0.0, 0.005, 0.2])
def test_an_unknown_rate_is_used_fully_and_hardly_refused(
    latency: float, retry_after: float | None
) -> None:
    upstream = UpstreamModel(rate=10, burst=10, latency=latency)
    run = _Run(upstream, clients=50, retry_after=retry_after)
    run.run(180)
    assert upstream.accepted / (10 + 10 * 180) >= 0.98
    assert run.refused_share <= 0.05


@pytest.mark.parametrize("slots", [4, 40])
def test_an_unknown_number_of_slots_is_used_fully_and_hardly_refused(slots: int) -> None:
    run = _Run(UpstreamModel(slots=slots, latency=0.2), clients=2 * slots)
    assert run.used(180, slots=slots) >= 0.97
    assert run.refused_share <= 0.02


@pytest.mark.parametrize("slots", [4, 40])
def test_slots_behind_an_upstream_that_asks_to_wait_a_second(slots: int) -> None:
    """Each refusal then costs a second of all slots, so few probes are worth it."""
    run = _Run(UpstreamModel(slots=slots, latency=0.2), clients=2 * slots, retry_after=1.0)
    assert run.used(180, slots=slots) >= 0.96
    assert run.refused_share <= 0.02


@pytest.mark.parametrize("latency", [0.005, 0.2])
@pytest.mark.parametrize("retry_after", [None, 0.5])
def test_a_rate_that_halves_is_followed_at_once(latency: float, retry_after: float | None) -> None:
    upstream = UpstreamModel(rate=10, burst=10, latency=latency)
    run = _Run(upstream, clients=50, retry_after=retry_after)
    run.run(60)
    refused = upstream.refused
    upstream.change(60, rate=5)
    assert run.used(120, rate=5) >= 0.96
    assert upstream.refused - refused <= 25  # of 300


@pytest.mark.parametrize("latency", [0.005, 0.2])
@pytest.mark.parametrize("retry_after", [None, 0.5])
def test_a_rate_that_doubles_is_found_within_a_minute(
    latency: float, retry_after: float | None
) -> None:
    upstream = UpstreamModel(rate=10, burst=10, latency=latency)
    run = _Run(upstream, clients=50, retry_after=retry_after)
    run.run(60)
    upstream.change(60, rate=20)
    assert run.used(80, rate=20) >= 0.5
    assert run.used(120, rate=20) >= 0.95
    refused = upstream.refused
    assert run.used(180, rate=20) >= 0.97
    assert upstream.refused - refused <= 40  # of 1200


@pytest.mark.parametrize(("before", "after"), [(8, 4), (40, 20)])
def test_slots_that_halve_are_followed(before: int, after: int) -> None:
    upstream = UpstreamModel(slots=before, latency=0.2)
    run = _Run(upstream, clients=2 * before)
    run.run(60)
    upstream.change(60, slots=after)
    run.run(80)
    refused = upstream.refused
    assert run.used(180, slots=after) >= 0.93
    assert (upstream.refused - refused) <= 0.02 * 100 * after / 0.2


@pytest.mark.parametrize(("before", "after"), [(8, 16), (20, 40)])
def test_slots_that_double_are_found_within_half_a_minute(before: int, after: int) -> None:
    upstream = UpstreamModel(slots=before, latency=0.2)
    run = _Run(upstream, clients=2 * after)
    run.run(60)
    upstream.change(60, slots=after)
    print(run.used(90, slots=after))
    assert run.used(120, slots=after) >= 0.99


@pytest.mark.parametrize("pause", [1.0, 60.0, 600.0])
def test_a_rush_after_a_quiet_time_is_not_paced_by_the_quiet_time(pause: float) -> None:
    """The calls of a quiet hour say nothing of what the upstream would take."""
    upstream = UpstreamModel(rate=10, burst=10, latency=0.05)
    run = _Run(upstream)
    for number in range(40):
        run.at(number * pause, partial(run.offer, "quiet"))
    began = 40 * pause
    run.run(began)
    assert upstream.refused == 0
    run.keep_offering(50)
    assert run.used(began + 20, rate=10) >= 0.98
    assert upstream.refused <= 25


@pytest.mark.parametrize("seconds", [10.0, 300.0, 3600.0])
def test_an_hour_of_refusals_is_over_when_it_is_over(seconds: float) -> None:
    upstream = UpstreamModel(rate=10, burst=10, latency=0.05)
    run = _Run(upstream, clients=50)
    run.run(60)
    upstream.change(60, rate=1e-9)
    run.run(60 + seconds)
    assert upstream.refused <= 40 + seconds
    upstream.change(run.now, rate=10)
    run.run(run.now + 15)
    assert run.used(run.now + 20, rate=10) >= 0.95


@pytest.mark.parametrize("slots", [4, 40])
def test_slots_that_others_had_all_taken_are_found_at_once(slots: int) -> None:
    """That not even one call was let through says nothing about how many may run afterwards."""
    upstream = UpstreamModel(slots=0, latency=0.02)
    run = _Run(upstream, clients=2 * slots)
    run.run(30)
    upstream.change(30, slots=slots)
    while not upstream.accepted:
        run.run(run.now + 0.1)
    assert run.used(run.now + 3, slots=slots) >= 0.85


def test_without_refusals_nothing_is_held_back() -> None:
    run = _Run(UpstreamModel(latency=0.2), clients=64)
    run.run(10)
    # From 8 calls at once it doubled soon, and all 64 run.
    assert run.used(30, slots=64) >= 0.99
    assert run.upstream.refused == 0


def test_a_limit_that_is_at_rest_holds_no_call() -> None:
    limit = LearnedLimit("l", Random(1))
    calls = [Call(Demand(10), 0.0) for _ in range(8)]
    for call in calls:
        assert limit.ready_at(call.demand, 0.0) <= 0.0
        limit.take(call, 0.0)
    assert limit.ready_at(Demand(10), 0.0) == inf
    for call, ending in zip(calls, [*Ending, Ending.SERVED], strict=True):
        limit.finish(call, Outcome(ending=ending), 1.0)
    assert limit.in_flight == 0
    assert limit.snapshot(100.0)["in_flight"] == 0
    assert limit.ready_at(Demand(10), 100.0) <= 100.0
