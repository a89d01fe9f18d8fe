"""Of several hosts that have room: where the model is loaded, else where least is under way."""

from __future__ import annotations

from math import inf

import pytest
from pool_simulation import ListLane, Service

from forebay.actors.scheduling.pool import Pool
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import HostLoad, PoolTarget, Route


def hosts(
    pool: Pool, *slots: int, models: int = 1, cold_start: int = 1_000_000
) -> list[PoolTarget]:
    """Targets at as many hosts as there are numbers of slots; nothing is loaded anywhere."""
    loads = [HostLoad(cold_start=cold_start) for _ in slots]
    gates = [SlotGate(f"slots {number}", each) for number, each in enumerate(slots)]
    return [
        pool.add_target(
            f"m{model}",
            [],
            [
                Route(f"host-{number}", (gate,), load, -inf)
                for number, (gate, load) in enumerate(zip(gates, loads, strict=True))
            ],
        )
        for model in range(models)
    ]


def taken(service: Service, lane: ListLane, jobs: int) -> list[str]:
    """Where so many jobs are at once, in the order of their starts."""
    tickets = [service.offer(lane, "a") for _ in range(jobs)]
    service.settle()
    return [grant.route.host for ticket in tickets for grant in ticket.grants]


def test_the_emptiest_host_is_next() -> None:
    pool = Pool("pool", [])
    (target,) = hosts(pool, 3, 3)
    service = Service(pool, seconds=10)
    assert taken(service, ListLane((target,)), 5) == ["host-0", "host-1"] * 2 + ["host-0"]


def test_calls_for_other_models_count_as_load() -> None:
    pool = Pool("pool", [])
    one, other = hosts(pool, 2, 2, models=2)
    service = Service(pool, seconds=10)
    assert taken(service, ListLane((one,)), 1) == ["host-0"]
    assert taken(service, ListLane((other,)), 1) == ["host-1"]


def test_where_the_model_is_loaded_comes_first_as_long_as_there_is_room() -> None:
    pool = Pool("pool", [])
    (target,) = hosts(pool, 2, 2)
    target.routes[1].warm_until = 100.0
    service = Service(pool, seconds=10)
    # Nobody waits for the loaded host while the other has room.
    assert taken(service, ListLane((target,)), 5) == ["host-1", "host-1", "host-0", "host-0"]


def test_a_model_that_was_unloaded_is_no_reason_any_more() -> None:
    pool = Pool("pool", [])
    (target,) = hosts(pool, 2, 2)
    target.routes[1].warm_until = 100.0
    service = Service(pool, seconds=10)
    service.run(100.0)
    assert taken(service, ListLane((target,)), 1) == ["host-0"]


@pytest.mark.parametrize("cold_start", [1, 4])
def test_hosts_that_always_have_room_share_a_flood(cold_start: int) -> None:
    pool = Pool("pool", [])
    (target,) = hosts(pool, 1000, 1000, cold_start=cold_start)
    target.routes[1].warm_until = inf
    service = Service(pool, seconds=10)
    where = taken(service, ListLane((target,)), 100)
    assert where[:cold_start] == ["host-1"] * cold_start
    assert where.count("host-1") - where.count("host-0") in (cold_start - 1, cold_start)


def test_calls_that_end_are_no_load_any_more() -> None:
    pool = Pool("pool", [])
    (target,) = hosts(pool, 2, 2)
    service = Service(pool, seconds=10)
    lane = ListLane((target,))
    assert taken(service, lane, 1) == ["host-0"]
    service.run(11.0)
    assert [route.load.calls for route in target.routes] == [0, 0]
    assert taken(service, lane, 1) == ["host-0"]
