"""Counting tokens, in virtual time: a target that can is asked if it has room, else they are
estimated.

Agents ask before every step and block on the answer, so it comes at once, and always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
from imitation import Imitated, Imitation
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

Json = dict[str, Any]

PATH = "/v1/messages/count_tokens"
VERSION = {"anthropic-version": "2023-06-01"}
CLAUDE: Mapping[str, object] = {
    "kind": "anthropic",
    "base_url": "http://up.test",
    "api_key": "k-secret-1",
}
OTHERS: Mapping[str, Mapping[str, object]] = {
    "openai_compatible": {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
    "ollama": {"kind": "ollama", "hosts": ["http://up.test"]},
}
TEXT = "The quick brown fox jumps over the lazy dog. " * 20
"""900 bytes: 225 tokens as the sandbox counts."""


def over(provider: Mapping[str, object], **settings: object) -> dict[str, object]:
    config = one_provider()
    config["providers"] = {"up": {**provider, **settings}}
    return config


async def count(
    world: World,
    text: str = TEXT,
    headers: Mapping[str, str] | None = None,
    **fields: object,
) -> httpx.Response:
    messages = [{"role": "user", "content": text}]
    return await world.client.post(
        GATEWAY + PATH,
        json={"model": "fast", "messages": messages, **fields},
        headers={**VERSION, **(headers or {})},
    )


async def chat(world: World, text: str = "hello") -> httpx.Response:
    request = {
        "model": "fast",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
    }
    return await world.client.post(f"{GATEWAY}/v1/messages", json=request, headers=VERSION)


def is_estimated(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["input_tokens"]
    estimated = answer.headers.get("x-forebay-estimated")
    assert estimated in (None, "true")
    return estimated is not None


async def test_an_upstream_that_counts_is_asked_in_the_clients_own_bytes(
    autojump_clock: MockClock,
) -> None:
    sent = (
        b'{ "model" : "fast",\t"system":"be brief", "messages":[{"role":"user",'
        b'"content":"caf\\u00e9 \\/"}],"thinking":{"type":"disabled"} }\r\n'
    )
    boxes = {"up": SandboxOptions(keep_requests=20)}
    async with open_world(over(CLAUDE), sandboxes=boxes) as world:
        answer = await world.client.post(
            f"{GATEWAY}{PATH}?beta=true",
            content=sent,
            headers={**VERSION, "anthropic-beta": "token-counting-2024-11-01"},
        )
        assert not is_estimated(answer)
        assert answer.headers["x-forebay-target"] == "up/sandbox-chat"
        assert answer.headers["x-forebay-attempts"] == "1"
        received = next(r for r in world.sandbox.requests if r.path == PATH)
        assert received.body == sent.replace(b'"fast"', b'"sandbox-chat"')
        assert received.headers["anthropic-beta"] == "token-counting-2024-11-01"
        straight = await world.client.post(
            f"http://up.test{PATH}",
            content=received.body,
            headers={**VERSION, "x-api-key": "k-secret-1"},
        )
        assert answer.json() == straight.json()
        assert await world.is_at_rest()


@pytest.mark.parametrize("kind", OTHERS)
async def test_others_are_estimated_and_never_asked(kind: str, autojump_clock: MockClock) -> None:
    async with open_world(over(OTHERS[kind])) as world:
        answer = await count(world)
        assert is_estimated(answer)
        assert answer.json()["input_tokens"] == 300, "three bytes to a token: rather too many"
        tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
        more = await count(world, system="Be kind.", tools=[tool])
        assert more.json()["input_tokens"] > 300
        assert world.sandbox.statistics().received == 0


async def test_estimates_learn_from_what_was_counted(autojump_clock: MockClock) -> None:
    async with open_world(over(OTHERS["openai_compatible"])) as world:
        for _ in range(100):
            assert (await chat(world, TEXT)).status_code == 200
        answer = await count(world)
        assert is_estimated(answer)
        assert 225 <= answer.json()["input_tokens"] <= 230


@pytest.mark.parametrize(
    "limits", [{"concurrency": 1}, {"rpm": 6, "burst": 1}], ids=["slots", "rate"]
)
async def test_a_count_never_waits_behind_chats(
    limits: Mapping[str, object], autojump_clock: MockClock
) -> None:
    async with open_world(over(CLAUDE, limits=limits)) as world:
        assert not is_estimated(await count(world))
        await trio.sleep(20)
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 10_000}))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(chat, world)
            await wait_all_tasks_blocked()
            assert (world.gateway.in_flight, world.gateway.waiting) == (1, 2)
            began = trio.current_time()
            world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 0}))
            assert not is_estimated(await count(world))
            assert trio.current_time() == began
            assert world.gateway.waiting == 2
        assert await world.is_at_rest()


@pytest.mark.parametrize(
    "limits",
    [{"concurrency": 1}, {"rpm": 6, "burst": 1}, {"rps": 1, "burst": 1}],
    ids=["slots", "per minute", "per second"],
)
async def test_no_chat_waits_behind_counts(
    limits: Mapping[str, object], autojump_clock: MockClock
) -> None:
    """Providers have limits of their own for counts, so they take nothing of what chats need."""
    async with open_world(over(CLAUDE, limits=limits)) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 3000}))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(count, world)
            await wait_all_tasks_blocked()
            assert world.sandbox.statistics().in_flight == 5
            began = trio.current_time()
            assert (await chat(world)).status_code == 200
            assert trio.current_time() - began == 3
        assert await world.is_at_rest()


async def test_who_refuses_a_count_is_left_alone_for_as_long_as_it_says(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over(CLAUDE)) as world:
        await count(world, "[[fault: 429=30]]")
        await trio.sleep(29)
        assert is_estimated(await count(world))
        assert world.sandbox.statistics().received == 1
        await trio.sleep(2)
        assert not is_estimated(await count(world))


async def test_a_model_that_the_provider_does_not_know_is_not_found(
    autojump_clock: MockClock,
) -> None:
    """As a chat with it is."""
    async with open_world(over(CLAUDE)) as world:
        refused = await count(world, model="up/nobody")
        assert refused.status_code == 404
        error = refused.json()["error"]
        assert (error["type"], error["message"]) == ("not_found_error", "model: nobody")
        assert not is_estimated(await count(world)), "the provider is not to blame"


@pytest.mark.parametrize("kind", OTHERS)
async def test_a_model_that_is_not_listed_is_not_found_where_nobody_counts(
    kind: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(OTHERS[kind])) as world:
        assert is_estimated(await count(world, model="up/sandbox-chat"))
        variant = await count(world, model="up/sandbox-chat:free")
        # Proxies know such names; to Ollama it is another model.
        assert variant.status_code == (404 if kind == "ollama" else 200)
        refused = await count(world, model="up/nobody")
        assert refused.status_code == 404
        assert refused.json()["error"]["type"] == "not_found_error"
        assert "up/nobody" in refused.json()["error"]["message"]


async def test_what_a_provider_is_not_told_of_a_prompt_is_named(
    autojump_clock: MockClock,
) -> None:
    """And only that: what shapes answers is not asked of a count."""
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    openai = {"kind": "openai", "base_url": "http://up.test/v1", "api_key": "k-secret-1"}
    marked = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    async with open_world(over(openai)) as world:
        counted = await count(world, system=marked, tools=[tool], metadata={"user_id": "u"})
        assert not is_estimated(counted)
        assert counted.headers["x-forebay-dropped"] == "cache_control"
        refused = await count(world, headers={"x-forebay-on-unsupported": "reject"}, system=marked)
        assert refused.status_code == 400
        assert "openai.responses.input_tokens can't say 'cache_control'" in refused.text


@pytest.mark.parametrize("fault", ["429=30", "500", "503", "529", "garbage", "error-first"])
async def test_an_upstream_that_does_not_count_now_is_not_waited_for(
    fault: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(CLAUDE)) as world:
        began = trio.current_time()
        assert is_estimated(await count(world, f"[[fault: {fault}]]"))
        assert trio.current_time() == began
        assert await world.is_at_rest()


async def test_a_refused_count_holds_up_no_chat(autojump_clock: MockClock) -> None:
    """Counts have limits of their own at Anthropic."""
    async with open_world(over(CLAUDE)) as world:
        began = trio.current_time()
        assert is_estimated(await count(world, "[[fault: 429=30]]"))
        assert world.sandbox.statistics().received == 1
        assert (await chat(world)).status_code == 200
        assert trio.current_time() == began


async def test_an_upstream_that_hangs_is_given_up_after_some_seconds(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over(CLAUDE)) as world:
        began = trio.current_time()
        assert is_estimated(await count(world, "[[fault: hang]]"))
        assert trio.current_time() - began == 5.0
        assert await world.is_at_rest()
        assert world.sandbox.statistics().in_flight == 0


async def test_a_server_without_the_api_is_estimated(autojump_clock: MockClock) -> None:
    """Some that speak Anthropic's dialect have only its messages."""
    async with open_world(over(CLAUDE)) as world:
        await trio.sleep(90)  # until the connection that listed the models is too old to be used
        world.network.plug("up.test", Imitation({"POST /v1/messages": Imitated()}).serve)
        assert is_estimated(await count(world))
        assert is_estimated(await count(world)), "nothing is out"
        assert await world.is_at_rest()


async def test_all_targets_out_is_no_reason_to_fail(autojump_clock: MockClock) -> None:
    async with open_world(over(CLAUDE)) as world:
        assert (await chat(world, "[[fault: 401]]")).status_code == 529
        assert is_estimated(await count(world))


async def test_what_is_wrong_with_the_request_is_told(autojump_clock: MockClock) -> None:
    async with open_world(over(CLAUDE)) as world:
        refused = await count(world, max_tokens=10)
        assert refused.status_code == 400, "as Anthropic does"
        assert refused.json()["type"] == "error"
        assert "max_tokens" in refused.json()["error"]["message"]
        ours = await world.client.post(GATEWAY + PATH, json={"model": "fast"}, headers=VERSION)
        assert ours.status_code == 400
        assert "messages" in ours.json()["error"]["message"]
        unknown = await count(world, model="nobody")
        assert unknown.status_code == 404
        assert unknown.json()["error"]["type"] == "not_found_error"
        assert await world.is_at_rest()


async def test_counting_takes_no_tokens_of_a_limit(autojump_clock: MockClock) -> None:
    limits = {"tpm": 6000}
    async with open_world(
        over(CLAUDE, limits=limits), sandboxes={"up": SandboxOptions(tokens_per_minute=6000)}
    ) as world:
        for _ in range(50):
            assert not is_estimated(await count(world))
        assert world.sandbox.statistics().refused == {}
        assert await world.is_at_rest()


async def test_a_client_that_leaves_ends_the_count(autojump_clock: MockClock) -> None:
    async with open_world(over(CLAUDE)) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 3000}))
        with trio.move_on_after(1):
            await count(world)
        assert await world.is_at_rest()
        assert world.sandbox.statistics().cancelled == 1
