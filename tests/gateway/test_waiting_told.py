"""What clients and operators are told of jobs that wait, and how that turns out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import cast

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, one_provider, open_world

from forebay.actors.gateway import Client
from forebay.actors.jobs.failures import JobFailure
from forebay.protocol.canonical.requests import ChatRequest, user_turn
from forebay.protocol.jsontext import JsonObject

_EVERY_SECOND = {"rpm": 60, "burst": 1}


async def _queue(nursery: trio.Nursery, world: World, jobs: int, key: str | None = None) -> None:
    """So many jobs that wait for ever; they arrive one after the other."""
    for _ in range(jobs):
        nursery.start_soon(partial(world.ask, key=key))
        await wait_all_tasks_blocked()


async def _status(world: World, key: str = "") -> JsonObject:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = await world.client.get(f"{GATEWAY}/forebay/status", headers=headers)
    assert answer.status_code == 200
    status: JsonObject = answer.json()
    return status


async def _lane(world: World, key: str) -> JsonObject:
    """The only one of the model ``fast``."""
    models = cast("list[JsonObject]", (await _status(world, key))["models"])
    (model,) = [each for each in models if each["name"] == "fast"]
    (lane,) = cast("list[JsonObject]", model["lanes"])
    return lane


def _clients(*names: str) -> dict[str, object]:
    config = one_provider(limits=_EVERY_SECOND)
    config["clients"] = {name: {"key": f"key-of-{name}-12345"} for name in names}
    return config


async def test_who_gives_up_is_told_when_it_would_have_started(autojump_clock: MockClock) -> None:
    async with open_world(provider={"limits": _EVERY_SECOND}) as world:
        async with trio.open_nursery() as nursery:
            await _queue(nursery, world, 31)
            # Of the thirty that wait five have started by then, and it itself would come last.
            answer = await world.ask(headers={"x-forebay-max-wait-ms": "5500"})
        assert answer.status_code == 429
        assert answer.headers["x-forebay-position"] == "26"
        assert int(answer.headers["x-forebay-expected-ms"]) == pytest.approx(25_500, rel=0.05)
        assert answer.headers["retry-after"] in ("26", "27")
        assert answer.headers["x-forebay-blocked-by"] == "up: requests per minute"
        assert answer.headers["x-forebay-blocked-target"] == "up/sandbox-chat"


async def test_who_would_have_gone_on_waiting_starts_when_the_other_was_told(
    autojump_clock: MockClock,
) -> None:
    """The same load twice: told at its deadline, and served."""
    told: list[float] = []
    took: list[float] = []

    async def ask(world: World, key: str, impatient: Mapping[str, str] | None) -> None:
        began = trio.current_time()
        answer = await world.ask(key=key, headers=impatient)
        if answer.status_code == 429:
            told.append(float(answer.headers["x-forebay-expected-ms"]) / 1000 + 4)
        elif impatient == {}:
            took.append(trio.current_time() - began)

    for impatient in ({"x-forebay-max-wait-ms": "4000"}, {}):
        clients = _clients("ada", "bob", "cyd")
        async with open_world(clients) as world, trio.open_nursery() as nursery:
            for number in range(36):
                key = ("ada", "bob", "bob", "cyd")[number % 4]
                headers = impatient if number == 35 else None
                nursery.start_soon(ask, world, f"key-of-{key}-12345", headers)
                await wait_all_tasks_blocked()
    assert told == pytest.approx(took, rel=0.1)


async def test_a_held_stream_says_its_place_when_it_begins(autojump_clock: MockClock) -> None:
    async with open_world(provider={"limits": _EVERY_SECOND}) as world:
        async with trio.open_nursery() as nursery:
            await _queue(nursery, world, 31)
            request = {
                "model": "fast",
                "messages": [{"role": "user", "content": "hello"}],
                "stream": True,
            }
            url = f"{GATEWAY}/v1/chat/completions"
            async with world.client.stream("POST", url, json=request) as answer:
                assert answer.status_code == 200
                headers = answer.headers
                began = trio.current_time()
                started_at = inf
                async for piece in answer.aiter_raw():
                    if piece.startswith(b"data:"):
                        started_at = min(started_at, trio.current_time())
        assert headers["x-forebay-waited-ms"] == "15000"
        assert headers["x-forebay-position"] in ("16", "17")
        expected = int(headers["x-forebay-expected-ms"]) / 1000
        assert expected == pytest.approx(started_at - began, rel=0.1)
        assert headers["x-forebay-blocked-by"] == "up: requests per minute"


async def test_an_answer_that_is_slow_to_begin_has_no_place_any_more(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 20_000}))
        answer = await world.ask(stream=True)
        assert answer.status_code == 200
        assert "x-forebay-position" not in answer.headers


async def test_the_status_says_when_each_flow_is_served(autojump_clock: MockClock) -> None:
    async with open_world(_clients("ada", "bob")) as world, trio.open_nursery() as nursery:
        await _queue(nursery, world, 11, "key-of-ada-12345")
        await _queue(nursery, world, 1, "key-of-bob-12345")
        lane = await _lane(world, "key-of-ada-12345")
        ada, bob = cast("list[JsonObject]", lane["flows"])
        nursery.cancel_scope.cancel()
    assert (ada["client"], ada["waiting"], ada["traffic_class"]) == ("ada", 10, "interactive")
    first, last = cast("JsonObject", ada["first"]), cast("JsonObject", ada["last"])
    assert first["position"] == 1
    assert first["in_seconds"] == pytest.approx(1.0, abs=0.05)
    assert first["blocked_by"] == "up: requests per minute"
    assert last["position"] == 11
    assert last["in_seconds"] == pytest.approx(11.0, rel=0.1)
    assert (bob["client"], bob["waiting"], bob["last"]) == ("bob", 1, None)
    assert cast("JsonObject", bob["first"])["position"] == 2


async def test_the_status_is_bounded_however_many_clients_wait(autojump_clock: MockClock) -> None:
    names = [f"client-{number}" for number in range(40)]
    async with open_world(_clients(*names)) as world, trio.open_nursery() as nursery:
        for name in names:
            await _queue(nursery, world, 1, f"key-of-{name}-12345")
        lane = await _lane(world, "key-of-client-0-12345")
        assert lane["waiting"] == 39
        assert len(cast("list[JsonObject]", lane["flows"])) == 16
        nursery.cancel_scope.cancel()


async def test_the_status_says_how_good_estimates_are(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for _ in range(40):
            await world.ask("word " * 400)
        (provider,) = cast("list[JsonObject]", (await _status(world))["providers"])
        (target,) = cast("list[JsonObject]", provider["targets"])
        estimates = cast("JsonObject", target["estimates"])
    assert estimates["reports"] == 40
    for side in ("input", "output"):
        quality = cast("JsonObject", estimates[side])
        assert set(quality) == {"mean_error", "bias", "margin"}
        error = quality["mean_error"]
        assert isinstance(error, float)
        assert 0 < error < 2


# What is reserved, at each target by its own estimate.


def _available(world: World, provider: str, unit: str) -> float:
    (gate,) = [
        gate
        for gate in world.gateway.providers[provider].pool.gates
        if gate.name == f"{provider}: {unit} per minute"
    ]
    level = gate.snapshot(trio.current_time())["available"]
    assert isinstance(level, float | int)
    return float(level)


async def _ask_and_look(
    world: World, provider: str, answers: list[httpx.Response], max_tokens: int | None = None
) -> tuple[float, float]:
    """What a call holds of input and output while it is under way."""
    before = [_available(world, provider, unit) for unit in ("input tokens", "output tokens")]
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            answers.append(await world.ask("word " * 400, max_tokens=max_tokens))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        after = [_available(world, provider, unit) for unit in ("input tokens", "output tokens")]
    return before[0] - after[0], before[1] - after[1]


@pytest.mark.parametrize(("kind", "held"), [("openai", 4000), ("openai_compatible", 640)])
async def test_input_and_output_are_reserved_apart_as_the_provider_counts(
    kind: str, held: float, autojump_clock: MockClock
) -> None:
    limits = {"itpm": 600_000, "otpm": 600_000}
    config = one_provider(limits=limits, kind=kind, api_key="secret-key-123")
    async with open_world(config) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 100}))
        answers: list[httpx.Response] = []
        held_input, held_output = await _ask_and_look(world, "up", answers, max_tokens=4000)
        usage = answers[0].json()["usage"]
        assert held_output == held
        assert held_input == pytest.approx(2000 / 3 * 1.25, rel=0.05)
        # 600,000 a minute are 1,000 in a tenth of a second.
        assert usage["completion_tokens"] < 1000
        assert _available(world, "up", "output tokens") == 100_000


async def test_each_target_reserves_what_it_has_learned_itself(autojump_clock: MockClock) -> None:
    """One target has learned that answers are long, the other knows nothing yet."""
    provider = {
        "kind": "openai_compatible",
        "base_url": "http://up.test/v1",
        "limits": {"itpm": 600_000, "otpm": 600_000},
    }
    config = {
        "providers": {"one": provider, "two": provider},
        "models": {
            "fast": {"targets": ["one/sandbox-chat", "two/sandbox-chat"], "strategy": "ordered"}
        },
    }
    async with open_world(config) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 100}))
        one = world.gateway.providers["one"]
        target = one.target("sandbox-chat")
        target.estimator.recall({"output": 3000.0, "output_margin": 0.0})
        answers: list[httpx.Response] = []
        _, held = await _ask_and_look(world, "one", answers)
        assert held == 3000
        one.take_out("for this test")
        _, held = await _ask_and_look(world, "two", answers)
        assert held == 640
        assert [answer.status_code for answer in answers] == [200, 200]


async def test_who_will_not_wait_is_not_counted_before_others_who_will_not(
    autojump_clock: MockClock,
) -> None:
    request = ChatRequest(model="fast", turns=(user_turn("hello"),))
    async with open_world(provider={"limits": {"rpm": 0.5, "burst": 1}}) as world:
        await world.ask()
        told: list[float | None] = []

        async def ask(client: Client) -> None:
            with pytest.raises(JobFailure) as caught:
                await world.gateway.chat(request, client=client, max_wait=0.0).response()
            told.append(caught.value.error.retry_after)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, Client(name=f"client-{number}"))
        assert told == [120.0] * 10
