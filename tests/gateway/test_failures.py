"""What becomes of a job when its upstream refuses, breaks or dies, in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

TWO_TARGETS: dict[str, object] = {
    "providers": {
        "first": {"kind": "openai_compatible", "base_url": "http://first.test/v1"},
        "second": {"kind": "openai_compatible", "base_url": "http://second.test/v1"},
    },
    "models": {"fast": {"targets": ["first/sandbox-chat", "second/sandbox-chat"]}},
}


async def test_retry_after_is_waited_for_and_the_client_sees_nothing(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        began = trio.current_time()
        answer = await world.ask("[[fault: 429=7, times=1]]")
        assert answer.status_code == 200
        assert answer.headers["x-forebay-attempts"] == "2"
        assert round(trio.current_time() - began, 3) == 7.0
        assert answer.headers["x-forebay-waited-ms"] == "7000"
        assert await world.is_at_rest()


async def test_overload_is_waited_out(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for fault in ("503", "529"):
            answer = await world.ask(f"[[fault: {fault}, times=3]] {fault}")
            assert answer.status_code == 200
            assert answer.headers["x-forebay-attempts"] == "4"


async def test_another_target_serves_while_the_first_cools_down(
    autojump_clock: MockClock,
) -> None:
    boxes = {"first": SandboxOptions(fault_every={"429=60": 1}), "second": SandboxOptions()}
    async with open_world(TWO_TARGETS, sandboxes=boxes) as world:
        began = trio.current_time()
        answer = await world.ask()
        assert answer.headers["x-forebay-target"] == "second/sandbox-chat"
        assert trio.current_time() == began
        later = await world.ask()
        assert later.headers["x-forebay-target"] == "second/sandbox-chat"
        world.sandboxes["first"].change_options(SandboxOptions())
        await trio.sleep(60)
        assert (await world.ask()).headers["x-forebay-target"] == "first/sandbox-chat"


async def test_a_refused_job_returns_to_its_own_place(autojump_clock: MockClock) -> None:
    async with open_world(provider={"limits": {"concurrency": 1}}) as world:
        order: list[str] = []

        async def ask(text: str) -> None:
            assert (await world.ask(text)).status_code == 200
            order.append(text)

        async with trio.open_nursery() as nursery:
            for text in ("[[fault: 429=5, times=1]] a", "b", "c"):
                nursery.start_soon(ask, text)
                await wait_all_tasks_blocked()
        assert order == ["[[fault: 429=5, times=1]] a", "b", "c"]


async def test_a_call_that_breaks_before_content_is_made_again(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        for fault in ("500", "reset", "garbage", "error-first"):
            answer = await world.ask(f"[[fault: {fault}, times=2]] {fault}", stream=True)
            assert answer.status_code == 200, fault
            assert "[DONE]" in answer.text, fault


async def test_three_broken_calls_are_told_to_the_client(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer = await world.ask("[[fault: 500]]")
        assert answer.status_code == 502
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["x-forebay-attempts"] == "3"
        assert answer.json()["error"]["type"]
        assert await world.is_at_rest()


async def test_a_bad_request_upstream_is_the_clients_and_counts_against_nobody(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        for number in range(10):
            answer = await world.ask(f"[[fault: 400]] {number}")
            assert answer.status_code == 400
            assert answer.headers["x-forebay-attempts"] == "1"
        assert (await world.ask()).status_code == 200


async def test_a_rejected_key_takes_the_provider_out_and_is_never_the_clients_401(
    autojump_clock: MockClock,
) -> None:
    boxes = {"first": SandboxOptions(api_key="right"), "second": SandboxOptions()}
    async with open_world(TWO_TARGETS, sandboxes=boxes) as world:
        answer = await world.ask()
        assert answer.status_code == 200
        assert answer.headers["x-forebay-target"] == "second/sandbox-chat"
        out = world.gateway.providers["first"].out
        assert out is not None
        assert out.reason == "the provider rejects the key"
        received = world.sandboxes["first"].statistics().received
        await world.ask()
        assert world.sandboxes["first"].statistics().received == received


async def test_with_all_targets_out_everybody_who_waits_is_told_why(
    autojump_clock: MockClock,
) -> None:
    config = one_provider(limits={"concurrency": 1})
    boxes = {"up": SandboxOptions(api_key="right")}
    async with open_world(config, sandboxes=boxes) as world:
        statuses: list[int] = []

        async def ask() -> None:
            answer = await world.ask()
            statuses.append(answer.status_code)
            assert "rejects the key" in answer.json()["error"]["message"]

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert statuses == [503] * 5
        assert (await world.ask()).status_code == 503
        assert world.sandbox.statistics().received <= 2
        assert await world.is_at_rest()


async def test_a_spent_quota_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        began = trio.current_time()
        answer = await world.ask("[[fault: quota]]")
        assert answer.status_code == 503
        assert "quota" in answer.json()["error"]["message"]
        assert trio.current_time() == began


async def test_an_unreachable_upstream_is_waited_for_until_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        serve = world.network.unplug("up.test")
        await trio.sleep(90)  # until the connection that listed the models is too old to be used
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await world.ask()).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await trio.sleep(30)
            assert answers == []
            status = await world.gateway.status()
            (target,) = status.providers[0].targets
            assert target.gates["up/sandbox-chat: circuit breaker"]["state"] == "open"
            world.network.plug("up.test", serve)
        assert answers == [200] * 3
        assert await world.is_at_rest()


async def test_a_hanging_upstream_is_given_up_after_its_own_timeouts(
    autojump_clock: MockClock,
) -> None:
    config = one_provider(timeouts={"first_byte_ms": 4000, "between_bytes_ms": 3000})
    async with open_world(config) as world:
        began = trio.current_time()
        answer = await world.ask("[[fault: hang, times=1]]")
        assert answer.status_code == 200
        assert trio.current_time() - began >= 4.0
        status, text = await world.read_cut_stream("[[fault: hang-midstream=2]]")
        assert status == 200
        assert '"error"' in text
        assert "[DONE]" not in text
