"""Loads whose waits can be worked out by hand, and runs that are the same each time."""

from __future__ import annotations

import json

import pytest
from simulated import run_of, settings_of, traffic_of

ONE_A_SECOND = traffic_of(rate="1/s", arrivals="constant")


def test_twice_the_rate_that_is_allowed_waits_a_second_longer_each_time() -> None:
    # Requests come at 1, 2, 3 ... s and start at 1, 3, 5 ... s: number k waits k - 1 seconds.
    summary = run_of(settings_of({"rpm": 30}), ONE_A_SECOND, duration=60.5)
    (line,) = summary.clients
    assert (line.requests, line.waits.count) == (60, 30)
    assert line.waits.p50 == pytest.approx(14)
    assert line.waits.p95 == pytest.approx(28)
    assert line.waits.longest == pytest.approx(29)
    assert summary.left_waiting == 30
    (provider,) = summary.providers
    assert (provider.calls, provider.refused) == (30, 0)


def test_who_can_wait_ten_seconds_is_refused_after_exactly_ten() -> None:
    summary = run_of(settings_of({"rpm": 30}), {**ONE_A_SECOND, "max_wait": 10}, duration=600.5)
    (line,) = summary.clients
    # One starts every other second; at the end those wait who came in the last ten seconds.
    assert line.waits.longest <= 10
    assert (line.requests, line.waits.count, summary.left_waiting) == (600, 300, 10)
    assert line.refused == 600 - 300 - 10


def test_calls_last_as_long_as_their_upstream_takes() -> None:
    # A slot, and calls of 0.5 s and 100 tokens of 10 ms: 1.5 s each.
    upstreams = {"up": {"latency": {"first_byte_ms": 500, "ms_per_output_token": 10}}}
    summary = run_of(
        settings_of({"concurrency": 1}),
        traffic_of(think_time=0, at_once=3),
        duration=300.1,
        upstreams=upstreams,
    )
    assert summary.served == 200
    (line,) = summary.clients
    # Of three who ask again at once, two always wait.
    assert line.waits.p50 == pytest.approx(3.0)
    (slots,) = summary.providers[0].limits
    assert slots.used_while_waiting == pytest.approx(1.0)


def test_half_of_a_limit_is_half_of_a_limit() -> None:
    summary = run_of(settings_of({"rpm": 120, "tpm": 48_000}), ONE_A_SECOND, duration=600)
    requests, tokens = summary.providers[0].limits
    assert requests.used == pytest.approx(0.5, rel=0.01)
    assert tokens.used == pytest.approx(0.25, rel=0.01)
    assert requests.used_while_waiting is None
    assert summary.clients[0].waits.longest == 0


def test_windows_that_end_at_full_minutes_end_so_in_virtual_time() -> None:
    # A simulated day begins at midnight. All of a minute's five are taken at its beginning, and
    # the gateway and the provider agree on when that is.
    settings = settings_of({"rpm": 5, "minute_shape": "fixed"})
    summary = run_of(settings, traffic_of(think_time=0, at_once=10), duration=590)
    (provider,) = summary.providers
    assert (provider.calls, provider.refused) == (50, 0)
    assert summary.clients[0].waits.longest == pytest.approx(120, abs=2)


@pytest.mark.parametrize("unit", ["rpm", "tpm", "concurrency"])
def test_a_limit_that_binds_is_used_up_and_never_overrun(unit: str) -> None:
    limits = {"rpm": 60, "tpm": 12_000, "concurrency": 2}
    settings = settings_of({unit: limits[unit]})
    summary = run_of(settings, traffic_of(users=5, think_time=0, at_once=4), duration=1800)
    (limit,) = summary.providers[0].limits
    assert limit.used_while_waiting is not None
    assert limit.used_while_waiting >= 0.995
    assert summary.providers[0].refused == 0
    if unit != "concurrency":
        assert summary.jain["interactive"] is not None  # type: ignore[index]
        assert summary.jain["interactive"] >= 0.99  # type: ignore[index]


def test_weights_and_classes_divide_what_there_is() -> None:
    clients = {
        "one": {"key": "key-1"},
        "three": {"key": "key-3", "weight": 3},
        "night": {"key": "key-n", "class": "batch"},
    }
    settings = settings_of({"tpm": 60_000}, clients=clients)
    busy = {"models": "fast", "think_time": 0, "at_once": 20, "input_tokens": 100}
    summary = run_of(
        settings,
        {"day": {**busy, "clients": ["one", "three"]}, "late": {**busy, "clients": ["night"]}},
        duration=1800,
    )
    tokens = {line.name: line.tokens for line in summary.clients}
    assert tokens["three"] / tokens["one"] == pytest.approx(3, rel=0.02)
    assert tokens["night"] / sum(tokens.values()) == pytest.approx(0.2, rel=0.02)


def test_the_same_seed_gives_the_same_to_the_last_byte_and_another_does_not() -> None:
    settings = settings_of({"rpm": 300, "tpm": 90_000, "concurrency": 5})
    traffic = {
        "open": traffic_of(
            users=7, rate="5/s", output_tokens={"lognormal": {"median": 80, "p95": 600}}
        ),
        "closed": traffic_of(users=5, think_time=1, stream=True),
    }
    upstreams = {"up": {"rpm": 100, "burst": 5, "failure_rate": 0.02}}

    def result(seed: int) -> str:
        summary = run_of(settings, traffic, duration=600, seed=seed, upstreams=upstreams)
        assert summary.providers[0].refused
        assert summary.providers[0].failed
        return json.dumps(summary.as_json())

    first = result(1)
    assert result(1) == first
    assert result(2) != first


def test_an_upstream_that_allows_less_than_is_configured_is_found_out() -> None:
    settings = settings_of({"rpm": 600})
    summary = run_of(
        settings,
        traffic_of(users=10, think_time=0, at_once=3),
        duration=1200,
        upstreams={"up": {"rpm": 300, "burst": 5, "changes": [{"at": "10m", "rpm": 150}]}},
    )
    (provider,) = summary.providers
    # How few refusals it takes is for the tests of learned limits.
    assert 0 < provider.refused < 0.1 * provider.calls
    (limit,) = provider.limits
    assert limit.limit == 150
    assert limit.used >= 0.95


def test_limits_that_are_told_are_heard() -> None:
    told, untold = (
        run_of(
            settings_of(),
            traffic_of(users=10, think_time=0, at_once=3),
            duration=600,
            upstreams={"up": {"rpm": 300, "burst": 5, "tells_limits": tells}},
        ).providers[0]
        for tells in (True, False)
    )
    assert told.refused < untold.refused
    assert told.limits[0].used >= 0.97
