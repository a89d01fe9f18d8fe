"""What is taken out (a dead key, a spent quota, a forbidden model) comes back by itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, one_provider, open_world

from forebay.actors.providers.provider_actor import ExclusionStatus
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonObject, dumps

WRONG_KEY = SandboxOptions(api_key="right")
RIGHT_KEY = SandboxOptions()
TWO_TARGETS: dict[str, object] = {
    "wait": {"max_wait_ms": 300_000},
    "providers": {
        name: {
            "kind": "openai_compatible",
            "base_url": f"http://{name}.test/v1",
            "limits": {"concurrency": 1},
        }
        for name in ("first", "second")
    },
    "models": {"fast": {"targets": ["first/sandbox-chat", "second/sandbox-chat"]}},
}

Refusal = Callable[[str], bytes | None]
"""From the body of a request to the whole answer that refuses it; None: the sandbox answers."""


def received(world: World, name: str = "up") -> int:
    return world.sandboxes[name].statistics().received


async def out_of(world: World, name: str = "up") -> ExclusionStatus | None:
    status = await world.gateway.status()
    (provider,) = [each for each in status.providers if each.name == name]
    return provider.out


async def ask_status(world: World) -> int:
    return (await world.ask()).status_code


def raw_answer(status: int, body: JsonObject, *headers: str) -> bytes:
    content = dumps(body)
    head = [f"HTTP/1.1 {status} X", "content-type: application/json", *headers]
    return "\r\n".join([*head, f"content-length: {len(content)}", "", ""]).encode() + content


@asynccontextmanager
async def refusing_world(kind: str, refuse: Refusal) -> AsyncIterator[tuple[World, list[str]]]:
    """A world of two models at one provider, which is asked by ``refuse`` what it answers.
    Gives the bodies of the requests that came, too."""
    base = {"hosts": ["http://up.test"]} if kind == "ollama" else {"base_url": "http://up.test/v1"}
    config = {
        "wait": {"max_wait_ms": 1000},
        "providers": {"up": {"kind": kind, **base}},
        "models": {name: {"targets": [f"up/{name}"]} for name in ("cloud", "local")},
    }
    bodies: list[str] = []

    answered: JsonObject = {"role": "assistant", "content": "hello"}
    served: JsonObject = (
        {"model": "m", "message": answered, "done": True, "done_reason": "stop"}
        if kind == "ollama"
        else {"choices": [{"index": 0, "message": answered, "finish_reason": "stop"}]}
    )

    async def serve(stream: trio.abc.Stream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                received = await stream.receive_some()
                if not received or data.startswith(b"GET"):
                    return
                data += received
            body = data.partition(b"\r\n\r\n")[2].decode()
            bodies.append(body)
            await stream.send_all(refuse(body) or raw_answer(200, served))

    async with open_world(config) as world:
        await trio.sleep(90)
        world.network.unplug("up.test")
        world.network.plug("up.test", serve)
        yield world, bodies


async def test_a_dead_key_is_tried_again_after_five_minutes(autojump_clock: MockClock) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        assert await ask_status(world) == 503
        world.sandbox.change_options(RIGHT_KEY)
        before = received(world)
        await trio.sleep(299)
        answer = await world.ask()
        assert answer.status_code == 503
        assert "rejects the key" in answer.json()["error"]["message"]
        assert received(world) == before
        await trio.sleep(1.001)
        assert await ask_status(world) == 200
        assert received(world) == before + 1
        assert await ask_status(world) == 200
        assert await out_of(world) is None
        assert await world.is_at_rest()


async def test_pauses_double_up_to_an_hour_while_the_key_stays_dead(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        for pause in (300, 600, 1200, 2400, 3600, 3600):
            before = received(world)
            assert await ask_status(world) == 503
            assert received(world) == before + 1
            out = await out_of(world)
            assert out is not None
            assert out.tried_again_in_seconds == pause
            await trio.sleep(pause - 1)
            assert await ask_status(world) == 503
            assert received(world) == before + 1
            await trio.sleep(1.001)
        world.sandbox.change_options(RIGHT_KEY)
        assert await ask_status(world) == 200
        world.sandbox.change_options(WRONG_KEY)
        assert await ask_status(world) == 503
        out = await out_of(world)
        assert out is not None
        assert out.tried_again_in_seconds == 300, "a return begins the pauses anew"


async def test_the_status_says_why_and_when_it_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        await world.ask()
        await trio.sleep(100)

        async def providers() -> dict[str, object]:
            status = (await world.client.get(f"{GATEWAY}/forebay/status")).json()
            (provider,) = status["providers"]
            assert isinstance(provider, dict)
            return provider

        provider = await providers()
        out = provider["out"]
        assert isinstance(out, dict)
        assert out["reason"] == "the provider rejects the key"
        assert "key" in out["detail"].lower()
        assert out["tried_again_in_seconds"] == 200
        assert provider["targets"][0]["out"] == out  # type: ignore[index]
        assert (await world.client.get(f"{GATEWAY}/readyz")).status_code == 503
        assert "tried again in 300 s" in caplog.text
        await trio.sleep(200.001)
        assert (await providers())["out"] is None
        assert (await world.client.get(f"{GATEWAY}/readyz")).status_code == 200
        budgets = (await providers())["budgets"]
        assert budgets["up: admission"] == {  # type: ignore[index]
            "state": "on_trial",
            "reason": "the provider rejects the key",
        }
        world.sandbox.change_options(RIGHT_KEY)
        assert await ask_status(world) == 200
        assert "provider up serves again" in caplog.text


async def test_one_job_tries_while_the_others_wait_for_what_comes_of_it(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        await world.ask()
        await trio.sleep(300.001)
        world.sandbox.change_options(SandboxOptions(latency_ms=2000))
        before = received(world)
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append(await ask_status(world))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
            await trio.sleep(1.9)
            assert received(world) == before + 1
            await trio.sleep(0.2)
            assert statuses == [200]
            await wait_all_tasks_blocked()
            assert received(world) == before + 5
        assert statuses == [200] * 5
        assert await world.is_at_rest()


async def test_when_the_trial_fails_all_who_wait_are_told_why(autojump_clock: MockClock) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        await world.ask()
        await trio.sleep(300.001)
        before = received(world)
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append(await ask_status(world))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert statuses == [503] * 5
        assert received(world) == before + 1
        assert trio.current_time() - began < 1
        assert await world.is_at_rest()


async def test_the_job_of_a_failed_trial_is_served_by_another_target(
    autojump_clock: MockClock,
) -> None:
    boxes = {"first": WRONG_KEY, "second": RIGHT_KEY}
    async with open_world(TWO_TARGETS, sandboxes=boxes) as world:
        for asked in range(1, 4):
            answer = await world.ask()
            assert answer.status_code == 200
            assert answer.headers["x-forebay-target"] == "second/sandbox-chat"
            assert answer.headers["x-forebay-attempts"] == "2"
            assert received(world, "first") == asked
            answer = await world.ask()
            assert answer.headers["x-forebay-attempts"] == "1"
            await trio.sleep(300.001 * 2 ** (asked - 1))
        world.sandboxes["first"].change_options(RIGHT_KEY)
        assert (await world.ask()).headers["x-forebay-target"] == "first/sandbox-chat"
        assert await world.is_at_rest()


async def test_a_job_that_waits_elsewhere_meets_what_has_come_back(
    autojump_clock: MockClock,
) -> None:
    """It came while the first target was out; the second one is busy for an hour."""
    boxes = {"first": WRONG_KEY, "second": SandboxOptions(latency_ms=3_600_000)}
    async with open_world(TWO_TARGETS, sandboxes=boxes) as world:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.ask)  # goes to the second for an hour
            await trio.sleep(200)
            world.sandboxes["first"].change_options(RIGHT_KEY)
            answers: list[str] = []

            async def ask() -> None:
                answers.append((await world.ask()).headers["x-forebay-target"])

            for _ in range(3):
                nursery.start_soon(ask)
            await trio.sleep(99)
            assert answers == []
            await trio.sleep(2)
            assert answers == ["first/sandbox-chat"] * 3
        assert await world.is_at_rest()


async def test_a_job_that_waited_before_the_exclusion_meets_what_has_come_back(
    autojump_clock: MockClock,
) -> None:
    """Its flow has had jobs waiting all the time, so that no pool was told of it anew."""
    boxes = {"first": SandboxOptions(), "second": SandboxOptions(latency_ms=3_600_000)}
    config = {**TWO_TARGETS, "wait": {"max_wait_ms": 10_000_000}}
    async with open_world(config, sandboxes=boxes) as world, trio.open_nursery() as nursery:
        world.sandboxes["first"].change_options(SandboxOptions(latency_ms=100_000))
        for _ in range(2):
            nursery.start_soon(world.ask)  # one at each
        await trio.sleep(1)
        ended_at: list[float] = []
        began = trio.current_time()

        async def ask() -> None:
            assert await ask_status(world) == 200
            ended_at.append(trio.current_time() - began)

        for _ in range(2):
            nursery.start_soon(ask)
        await trio.sleep(1)
        world.sandboxes["first"].change_options(RIGHT_KEY)
        world.gateway.providers["first"].take_out("the key is dead")
        await trio.sleep(299)
        assert ended_at == []
        await trio.sleep(2)
        assert len(ended_at) == 2
        nursery.cancel_scope.cancel()


async def test_a_trial_that_its_client_leaves_is_the_next_ones(autojump_clock: MockClock) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        await world.ask()
        await trio.sleep(300.001)
        world.sandbox.change_options(SandboxOptions(latency_ms=10_000))
        with trio.move_on_after(1):
            await world.ask()
        assert await out_of(world) is None
        world.sandbox.change_options(RIGHT_KEY)
        assert await ask_status(world) == 200
        assert await world.is_at_rest()


async def test_a_trial_that_breaks_tells_nothing_and_is_made_again(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sandboxes={"up": WRONG_KEY}) as world:
        await world.ask()
        await trio.sleep(300.001)
        world.sandbox.change_options(RIGHT_KEY)
        answer = await world.ask("[[fault: 500, times=2]]")
        assert answer.status_code == 200
        assert answer.headers["x-forebay-attempts"] == "3"


async def test_calls_that_were_under_way_count_as_one_exclusion(autojump_clock: MockClock) -> None:
    """Five calls learn at the same time that the key is dead."""
    async with open_world(sandboxes={"up": SandboxOptions(latency_ms=1000)}) as world:
        world.sandbox.change_options(WRONG_KEY)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(world.ask)
        out = await out_of(world)
        assert out is not None
        assert out.tried_again_in_seconds <= 300


async def test_a_spent_quota_is_out_until_the_time_that_was_told(
    autojump_clock: MockClock,
) -> None:
    spent = True

    def refuse(body: str) -> bytes | None:
        return raw_answer(402, {"error": "spent"}, "retry-after: 7200") if spent else None

    async with refusing_world("openai_compatible", refuse) as (world, bodies):
        answer = await world.ask(model="cloud")
        assert answer.status_code == 503
        assert "quota is spent" in answer.json()["error"]["message"]
        out = await out_of(world)
        assert out == ExclusionStatus("the provider's quota is spent", "spent", 7200.0)
        assert (await world.ask(model="local")).status_code == 503, "the account's is everybody's"
        assert len(bodies) == 1
        spent = False
        await trio.sleep(7199)
        assert (await world.ask(model="cloud")).status_code == 503
        await trio.sleep(1.001)
        assert (await world.ask(model="cloud")).status_code == 200
        assert (await world.ask(model="local")).status_code == 200


async def test_a_spent_window_of_ollamas_cloud_leaves_its_local_models_alone(
    autojump_clock: MockClock,
) -> None:
    """One local server serves both, and passes the cloud's refusals on."""
    message = "you (somebody) have reached your weekly usage limit, upgrade for higher limits"
    spent = True

    def refuse(body: str) -> bytes | None:
        return raw_answer(429, {"error": message}) if spent and '"cloud"' in body else None

    async with refusing_world("ollama", refuse) as (world, bodies):
        began = trio.current_time()
        answer = await world.ask(model="cloud")
        assert answer.status_code == 503
        assert trio.current_time() == began, "nothing to wait for"
        assert "somebody" not in answer.text, "the account's name is for operators"
        assert (await world.ask(model="cloud")).status_code == 503
        assert len(bodies) == 1
        assert (await world.ask(model="local")).status_code == 200
        assert await out_of(world) is None
        (provider,) = (await world.gateway.status()).providers
        outs = {target.name: target.out for target in provider.targets}
        assert outs["up/local"] is None
        assert outs["up/cloud"] == ExclusionStatus("the provider's quota is spent", message, 300.0)
        spent = False
        await trio.sleep(300.001)
        assert (await world.ask(model="cloud")).status_code == 200


async def test_a_forbidden_model_comes_back_alone(autojump_clock: MockClock) -> None:
    forbidden = True

    def refuse(body: str) -> bytes | None:
        return (
            raw_answer(403, {"error": "not for you"}) if forbidden and '"cloud"' in body else None
        )

    async with refusing_world("openai_compatible", refuse) as (world, bodies):
        assert (await world.ask(model="cloud")).status_code == 503
        assert (await world.ask(model="local")).status_code == 200
        forbidden = False
        await trio.sleep(299)
        assert (await world.ask(model="cloud")).status_code == 503
        assert len(bodies) == 2
        await trio.sleep(1.001)
        assert (await world.ask(model="cloud")).status_code == 200


async def test_a_forbidden_model_stays_out_when_its_account_comes_back(
    autojump_clock: MockClock,
) -> None:
    async with open_world(one_provider()) as world:
        provider = world.gateway.providers["up"]
        mine, other = (provider.target(name) for name in ("sandbox-chat", "other"))

        def out_of_mine() -> str | None:
            return mine.pooled.out

        provider.take_out("the key is dead")
        await trio.sleep(100)
        provider.exclusions.take_out(mine.pooled, "the key may not use this model")
        await trio.sleep(200.001)
        assert provider.out is None
        assert out_of_mine() == "the key may not use this model"
        assert other.pooled.out is None
        assert provider.target("made later").pooled.out is None
        await trio.sleep(100)
        assert out_of_mine() is None


async def test_a_model_comes_back_with_its_account_if_its_own_time_came_before(
    autojump_clock: MockClock,
) -> None:
    async with open_world(one_provider()) as world:
        provider = world.gateway.providers["up"]
        mine = provider.target("sandbox-chat")

        def out_of_mine() -> str | None:
            return mine.pooled.out

        provider.exclusions.take_out(mine.pooled, "the key may not use this model")
        await trio.sleep(100)
        provider.take_out("the key is dead")
        await trio.sleep(200.001)
        assert out_of_mine() == "the key is dead"
        assert await ask_status(world) == 503
        await trio.sleep(100)
        assert out_of_mine() is None
        assert await ask_status(world) == 200
