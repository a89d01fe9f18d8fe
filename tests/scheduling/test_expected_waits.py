"""Forecasts under steady load, in simulated time: what is said of many jobs at many moments is held
against when they really start. In each of these loads the median of the relative errors must be
below a fifth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random

import pytest
from forecast_error import Workload
from pool_simulation import BATCH, ListLane, one_target

from forebay.actors.scheduling.flows import Priority
from forebay.actors.scheduling.forecasts import first_forecast, forecast, last_forecast
from forebay.actors.scheduling.gates import Demand, Gate, Unit
from forebay.actors.scheduling.grants import Grant
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import Route
from forebay.actors.scheduling.told import Told, ToldLimit
from forebay.actors.scheduling.windows import FixedWindowGate, RollingWindowGate

_LARGEST_MEDIAN = 0.2


def _requests(rate: float = 2.0) -> RateGate:
    return RateGate("requests", Unit.REQUESTS, rate=rate, burst=2)


def _tokens(rate: float = 10_000.0) -> RateGate:
    return RateGate("tokens", Unit.TOKENS, rate=rate, burst=10 * rate)


def _mixed(random: Random) -> float:
    """From 100 to 30,000 tokens."""
    return float(10 ** random.uniform(2, 4.5))


def _is_honest(
    load: Workload, *, every: float = 12.3, since: float = 100, until: float = 1000
) -> None:
    load.predict_every(every, since=since, until=until)
    assert len(load.errors()) >= 100
    assert load.median_error() < _LARGEST_MEDIAN


@pytest.mark.parametrize("jobs", [1, 10], ids=["one job each", "ten jobs each"])
def test_requests_that_wait_for_a_rate(jobs: int) -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    for number in range(30 // jobs + 2):
        load.keep_asking(lane, f"client-{number}", jobs)
    _is_honest(load)


def test_few_jobs_beside_a_client_with_many() -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    load.keep_asking(lane, "noisy", 40)
    for number in range(10):
        load.keep_asking(lane, f"quiet-{number}", 1)
    _is_honest(load, until=2500)


@pytest.mark.parametrize("clients", [20, 2000])
def test_clients_that_come_as_they_like(clients: int) -> None:
    """A tenth more than there is room for, from few who come often or many who come once."""
    pool, lane = one_target(_requests())
    load = Workload(pool)

    def come() -> None:
        load.offer(lane, f"client-{load.random.randrange(clients)}")
        load.at(load.now + load.random.expovariate(2.2), come)

    come()
    _is_honest(load, every=31)


def test_tokens_of_mixed_sizes() -> None:
    pool, lane = one_target(_tokens())
    load = Workload(pool)
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 10, _mixed)
    _is_honest(load)
    # Large jobs are more often than others the ones that reach beyond a turn.
    assert abs(load.bias()) < 0.07


def test_tokens_that_are_mostly_given_back() -> None:
    pool, lane = one_target(_tokens())
    load = Workload(pool, used=lambda random, demand: demand.tokens * random.uniform(0.2, 0.6))
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 25, _mixed)
    _is_honest(load)


@pytest.mark.parametrize(
    "seconds",
    [
        lambda random: 3.0,
        lambda random: random.uniform(1, 5),
        lambda random: random.expovariate(1 / 3),
    ],
    ids=["constant", "varied", "without memory"],
)
@pytest.mark.parametrize("slots", [1, 8])
def test_slots_by_how_long_calls_take(slots: int, seconds: Callable[[Random], float]) -> None:
    pool, lane = one_target(SlotGate("slots", slots))
    load = Workload(pool, seconds=seconds)
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 12 + 2 * slots)
    _is_honest(load, until=2000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedWindowGate("window", Unit.REQUESTS, limit=60, window=60, ends_at=60),
        lambda: RollingWindowGate("window", Unit.REQUESTS, limit=60, window=60),
    ],
    ids=["fixed", "rolling"],
)
def test_windows_of_time(make: Callable[[], Gate]) -> None:
    pool, lane = one_target(make())
    load = Workload(pool)
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 30)
    _is_honest(load)


def test_a_limit_that_only_the_provider_tells() -> None:
    told = ToldLimit("told", Unit.TOKENS)
    pool, lane = one_target(told)
    load = Workload(pool)
    upstream = RateGate("upstream", Unit.TOKENS, rate=1000, burst=30_000)

    def tell(grant: Grant) -> None:
        upstream.take(grant.call, load.now)
        left = upstream.snapshot(load.now)["available"]
        assert isinstance(left, float | int)
        says = Told(limit=60_000.0, remaining=max(0.0, float(left)), resets_in=60, window=60)
        call = grant.call
        load.at(load.now + 0.2, lambda: told.hear(says, call, load.now))

    load.on_started = tell
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 10, lambda random: random.uniform(200, 2000))
    _is_honest(load)


def test_slots_that_were_learned() -> None:
    gate = LearnedLimit("learned", Random(1), initial_slots=4)
    pool, lane = one_target(gate, SlotGate("slots", 6))
    load = Workload(pool, seconds=lambda random: random.uniform(1, 5))
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 10)
    _is_honest(load)


@pytest.mark.parametrize("gate", [_requests, _tokens], ids=["requests", "tokens"])
def test_clients_of_different_weight(gate: Callable[[], Gate]) -> None:
    pool, lane = one_target(gate())
    load = Workload(pool)
    for client, weight in {"ada": 1.0, "bob": 2.0, "cyd": 4.0}.items():
        load.keep_asking(lane, client, 12, _mixed, weight=weight)
    _is_honest(load, until=2000)


def test_both_classes_of_traffic() -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    for number in range(3):
        load.keep_asking(lane, f"client-{number}", 6)
        load.keep_asking(lane, f"nightly-{number}", 6, traffic_class=BATCH)
    _is_honest(load, until=2500)


def test_batch_jobs_beside_some_interactive_ones() -> None:
    """These never wait long, but take a third of all from those that do."""
    pool, lane = one_target(_requests())
    load = Workload(pool)
    for number in range(3):
        load.keep_asking(lane, f"nightly-{number}", 10, traffic_class=BATCH)

    def come() -> None:
        load.offer(lane, f"client-{load.started}")
        load.at(load.now + load.random.expovariate(0.6), come)

    come()
    _is_honest(load, until=2500)


_STRATEGIES = pytest.mark.parametrize("strategy", [Strategy.ORDERED, Strategy.BALANCED])


@_STRATEGIES
@pytest.mark.parametrize("accounts", [1, 2])
def test_two_targets_of_different_rates(strategy: Strategy, accounts: int) -> None:
    pools = [Pool(f"account-{number}", []) for number in range(accounts)]
    targets = tuple(
        pools[number % accounts].add_target(f"t{number}", [_requests(rate)], [Route("host", ())])
        for number, rate in enumerate((0.5, 2.0))
    )
    lane = ListLane(targets, strategy)
    load = Workload(*pools)
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 6)
    _is_honest(load)


@_STRATEGIES
def test_two_targets_with_slots(strategy: Strategy) -> None:
    pools = [Pool(f"account-{slots}", [SlotGate("slots", slots)]) for slots in (2, 6)]
    targets = tuple(pool.add_target("t", [], [Route("host", ())]) for pool in pools)
    lane = ListLane(targets, strategy)
    load = Workload(*pools, seconds=lambda random: random.uniform(1, 5))
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 12)
    _is_honest(load)


def test_one_target_on_several_hosts() -> None:
    pool = Pool("account", [])
    routes = [Route(f"host-{slots}", (SlotGate("slots", slots),)) for slots in (1, 3)]
    lane = ListLane((pool.add_target("t", [], routes),))
    load = Workload(pool, seconds=lambda random: random.uniform(1, 5))
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 8)
    _is_honest(load)


def test_several_models_of_one_account() -> None:
    pool = Pool("account", [_requests()])
    lanes = [ListLane((pool.add_target(f"m{n}", [], [Route("host", ())]),)) for n in range(3)]
    load = Workload(pool)
    for number in range(6):
        load.keep_asking(lanes[number % 3], f"client-{number}", 6)
    for lane in lanes[:2]:
        load.keep_asking(lane, "both", 6)
    _is_honest(load)


def test_a_slow_model_takes_no_more_of_the_account_than_it_can() -> None:
    pool = Pool("account", [_requests()])
    gates: list[list[Gate]] = [[_requests(0.2)], [], []]
    lanes = [
        ListLane((pool.add_target(f"m{n}", own, [Route("host", ())]),))
        for n, own in enumerate(gates)
    ]
    load = Workload(pool)
    for number in range(6):
        load.keep_asking(lanes[number % 3], f"client-{number}", 6)
    _is_honest(load, until=2000)


def test_lanes_that_share_some_of_their_targets() -> None:
    pool = Pool("account", [])
    targets = [
        pool.add_target(f"m{n}", [_requests(0.5 + 0.5 * n)], [Route("host", ())]) for n in range(3)
    ]
    lanes = [ListLane(tuple(targets[:2])), ListLane(tuple(targets[1:]))]
    load = Workload(pool)
    for number in range(6):
        load.keep_asking(lanes[number % 2], f"client-{number}", 6)
    _is_honest(load, until=2000)


# What single jobs are told.


def _waiting(load: Workload, lane: ListLane) -> Iterator[tuple[str, int, float]]:
    """Client, position and seconds of each waiting job, in the order of arrival."""
    for ticket in load.waiting:
        expected = forecast(lane, lane.flows[ticket.key], ticket, load.now)
        assert expected is not None
        yield ticket.client, expected.position, expected.seconds


def test_positions_and_times_of_a_short_queue_are_exact() -> None:
    """One second for each; the turns of clients alternate however many jobs they have."""
    pool, lane = one_target(RateGate("requests", Unit.REQUESTS, rate=1, burst=1))
    load = Workload(pool)
    load.offer(lane, "first")
    load.run(0.0)
    for client in "aaabb":
        load.offer(lane, client)
    load.run(0.5)
    said = sorted(_waiting(load, lane), key=lambda each: each[1])
    assert [client for client, _, _ in said] == ["a", "b", "a", "b", "a"]
    assert [position for _, position, _ in said] == [1, 2, 3, 4, 5]
    assert [seconds for _, _, seconds in said] == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5], rel=0.1)


def test_the_first_and_the_last_of_a_flow() -> None:
    pool, lane = one_target(RateGate("requests", Unit.REQUESTS, rate=1, burst=1))
    load = Workload(pool)
    for _ in range(11):
        load.offer(lane, "ada")
    load.run(0.0)
    (flow,) = lane.flows.values()
    first, last = first_forecast(lane, flow, 0.0), last_forecast(lane, flow, 0.0)
    assert first is not None
    assert last is not None
    assert (first.position, last.position) == (1, 10)
    assert (first.seconds, last.seconds) == pytest.approx((1.0, 10.0))


def test_jobs_that_gave_up_are_not_waited_for() -> None:
    pool, lane = one_target(RateGate("requests", Unit.REQUESTS, rate=1, burst=1))
    load = Workload(pool)
    for _ in range(41):
        load.offer(lane, "ada")
    load.run(0.0)
    waiting = list(load.waiting)
    for ticket in waiting[1:-1:2]:
        lane.cancel(ticket)
        del load.waiting[ticket]
    expected = forecast(lane, lane.flows[waiting[-1].key], waiting[-1], 0.0)
    assert expected is not None
    assert expected.seconds == pytest.approx(len(load.waiting), rel=0.06)


def test_jobs_of_high_priority_pass_their_own_clients_others() -> None:
    pool, lane = one_target(RateGate("requests", Unit.REQUESTS, rate=1, burst=1))
    load = Workload(pool)
    load.offer(lane, "ada")
    load.run(0.0)
    for _ in range(9):
        load.offer(lane, "ada")
    load.offer(lane, "ada", priority=Priority.HIGH)
    load.run(0.0)
    ticket = list(load.waiting)[-1]
    expected = forecast(lane, lane.flows[ticket.key], ticket, 0.0)
    assert expected is not None
    assert expected.position == 1
    assert expected.seconds == pytest.approx(1.0)


def test_without_any_target_left_nothing_is_said() -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    load.keep_asking(lane, "ada", 5)
    load.run(1.0)
    (target,) = lane.targets
    pool.take_out(target, "no credit")
    ticket = next(iter(load.waiting))
    assert forecast(lane, lane.flows[ticket.key], ticket, 1.0) is None


def test_estimates_that_differ_by_target_are_taken_as_they_are_there() -> None:
    """The second target counts four times as many tokens for the same requests."""
    pools = [Pool(name, [_tokens(100.0)]) for name in ("plain", "quadruple")]
    targets = [pool.add_target("t", [], [Route("host", ())]) for pool in pools]
    load = Workload(*pools)
    lane = ListLane(tuple(targets))
    demands = {targets[0]: Demand(1000.0), targets[1]: Demand(4000.0)}
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 8, lambda random: 1000.0, demands=demands)
    _is_honest(load, every=17, until=4000)


def test_a_forecast_is_cheap_however_many_wait() -> None:
    costs = []
    for clients in (500, 10_000):
        pool, lane = one_target(_requests(), _tokens())
        load = Workload(pool)
        for number in range(clients):
            load.offer(lane, f"client-{number}")
        load.run(5.0)
        tickets = list(load.waiting)[:: clients // 50]
        began = time.thread_time()
        for ticket in tickets:
            forecast(lane, lane.flows[ticket.key], ticket, load.now)
        costs.append((time.thread_time() - began) / len(tickets))
    assert costs[1] < 4 * costs[0]
    assert costs[1] < 0.02


# Jobs that will give up before their turn.


def _half_impatient(patience: float) -> Callable[[Random], float]:
    """Half of the jobs wait no longer than this."""
    return lambda random: random.choice([patience, 1000.0])


@pytest.mark.parametrize("clients", [1, 5, 20])
def test_half_of_those_ahead_give_up_before_their_turn(clients: int) -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    for number in range(clients):
        load.keep_asking(lane, f"client-{number}", 120 // clients, max_wait=_half_impatient(10.0))
    _is_honest(load)
    assert load.gave_up > 500


def test_tokens_of_mixed_sizes_half_of_which_give_up() -> None:
    pool, lane = one_target(_tokens())
    load = Workload(pool)
    for number in range(5):
        load.keep_asking(lane, f"client-{number}", 20, _mixed, max_wait=_half_impatient(15.0))
    _is_honest(load)
    assert load.gave_up > 500


def test_half_of_the_clients_that_come_give_up() -> None:
    """Twice as many as there is room for, each with one job."""
    pool, lane = one_target(_requests())
    load = Workload(pool)
    patience = _half_impatient(12.0)

    def come() -> None:
        load.offer(lane, f"client-{load.random.randrange(10**6)}", max_wait=patience(load.random))
        load.at(load.now + load.random.expovariate(3.6), come)

    come()
    _is_honest(load, every=31)
    assert load.gave_up > 500


@pytest.mark.parametrize("clients", [1, 7, 280])
def test_a_crowd_that_came_at_once_and_half_of_which_gives_up(clients: int) -> None:
    pool, lane = one_target(_requests())
    load = Workload(pool)
    patience = _half_impatient(15.0)
    for number in range(280):
        load.offer(lane, f"client-{number % clients}", max_wait=patience(load.random))
    load.run(1.0)
    load.predict(share=1.0)
    load.run(300.0)
    assert load.gave_up > 90
    assert load.median_error() < _LARGEST_MEDIAN
