"""Strategies and sticky conversations through the whole gateway, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.jobs.conversations import conversation_of
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Image,
    InlineData,
    Role,
    Text,
    Tool,
    Turn,
    user_turn,
)
from forebay.protocol.jsontext import JsonValue

_SANDBOXES: Mapping[str, SandboxOptions] = {"left": SandboxOptions(), "right": SandboxOptions()}


def _config(model: Mapping[str, object], **provider: object) -> dict[str, object]:
    return {
        "wait": {"max_wait_ms": 300_000},
        "providers": {
            name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1", **provider}
            for name in _SANDBOXES
        },
        "models": {"fast": {"targets": ["left/sandbox-chat", "right/sandbox-chat"], **model}},
    }


async def _where(world: World, text: str = "hello", **fields: JsonValue) -> str:
    answer = await world.client.post(
        f"{GATEWAY}/v1/chat/completions",
        json={"model": "fast", "messages": [{"role": "user", "content": text}], **fields},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-forebay-target"]).partition("/")[0]


async def test_weights_split_requests(autojump_clock: MockClock) -> None:
    model = {"strategy": "weighted", "weights": [3, 1]}
    async with open_world(_config(model), sandboxes=_SANDBOXES) as world:
        served = Counter([await _where(world) for _ in range(40)])
        assert served == {"left": 30, "right": 10}


async def test_the_cheaper_target_by_its_configured_price(autojump_clock: MockClock) -> None:
    config = _config({"strategy": "cheapest"})
    providers = config["providers"]
    assert isinstance(providers, dict)
    for name, price in (("left", {"input": 1, "output": 2}), ("right", {"input": "0.5"})):
        providers[name] = {**providers[name], "targets": {"sandbox-chat": {"price": price}}}
    async with open_world(config, sandboxes=_SANDBOXES) as world:
        assert [await _where(world) for _ in range(5)] == ["right"] * 5


async def test_the_target_that_answers_sooner(autojump_clock: MockClock) -> None:
    sandboxes = {"left": SandboxOptions(latency_ms=900), "right": SandboxOptions(latency_ms=200)}
    async with open_world(_config({"strategy": "fastest"}), sandboxes=sandboxes) as world:
        assert [await _where(world) for _ in range(6)] == ["left", *["right"] * 5]
        streamed = [await _where(world, stream=True) for _ in range(6)]
        assert streamed == ["left", *["right"] * 5]


async def test_a_refusal_is_no_time_and_its_job_goes_elsewhere(autojump_clock: MockClock) -> None:
    sandboxes = {
        "left": SandboxOptions(requests_per_minute=1, burst=1),
        "right": SandboxOptions(latency_ms=500),
    }
    async with open_world(_config({"strategy": "fastest"}), sandboxes=sandboxes) as world:
        assert [await _where(world) for _ in range(3)] == ["left", "right", "right"]
        assert await world.is_at_rest()


async def test_a_conversation_stays_at_its_target_and_new_ones_go_where_room_is(
    autojump_clock: MockClock,
) -> None:
    """``balanced`` is sticky by itself."""
    config = _config({"strategy": "balanced"}, limits={"rpm": 600, "burst": 10})
    async with open_world(config, sandboxes=_SANDBOXES) as world:
        homes = {text: await _where(world, text) for text in ("one", "two", "three", "four")}
        assert Counter(homes.values()) == {"left": 2, "right": 2}
        for text, home in homes.items():
            history: list[JsonValue] = [
                {"role": "user", "content": text},
                {"role": "assistant", "content": "well"},
                {"role": "user", "content": "and then?"},
            ]
            assert [await _where(world, messages=history) for _ in range(2)] == [home] * 2
            await trio.sleep(5)
        assert await world.is_at_rest()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"strategy": "ordered"}, "left"),
        ({"strategy": "ordered", "sticky": True}, "right"),
        ({"strategy": "balanced", "sticky": False}, "left"),
        ({"strategy": "balanced"}, "right"),
    ],
)
async def test_sticky_is_a_setting_of_the_model(
    autojump_clock: MockClock, model: dict[str, object], expected: str
) -> None:
    config = _config(model, limits={"concurrency": 1})
    sandboxes = dict.fromkeys(_SANDBOXES, SandboxOptions(latency_ms=1000))
    async with open_world(config, sandboxes=sandboxes) as world:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_where, world, "the first keeps the left busy")
            await trio.sleep(0.1)
            assert await _where(world, "a conversation") == "right"
        assert await _where(world, "a conversation") == expected


async def test_a_sticky_target_without_room_costs_no_wait(autojump_clock: MockClock) -> None:
    config = _config({"strategy": "balanced"}, limits={"concurrency": 1})
    sandboxes = dict.fromkeys(_SANDBOXES, SandboxOptions(latency_ms=1000))
    async with open_world(config, sandboxes=sandboxes) as world:
        began = trio.current_time()
        served: list[str] = []

        async def ask() -> None:
            served.append(await _where(world, "the same"))

        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
        assert Counter(served) == {"left": 3, "right": 3}
        assert trio.current_time() - began == pytest.approx(3.0, abs=0.1)


# How conversations are known.

_BEGUN = ChatRequest(
    model="fast",
    turns=(
        Turn(role=Role.SYSTEM, parts=(Text("be brief"),)),
        Turn(
            role=Role.USER,
            parts=(Text("look"), Image(source=InlineData(base64="AAAA", media_type="image/png"))),
        ),
    ),
    tools=(Tool(name="search", description="the web", parameters={"type": "object"}),),
)


def _turns(*turns: Turn, to: ChatRequest = _BEGUN) -> ChatRequest:
    return ChatRequest(model=to.model, turns=(*to.turns, *turns), tools=to.tools)


def test_a_conversation_is_the_same_while_it_grows() -> None:
    said = Turn(role=Role.ASSISTANT, parts=(Text("well"),))
    grown = _turns(said, user_turn("and then?"), said, user_turn("why?"))
    assert conversation_of(grown, "ana") == conversation_of(_BEGUN, "ana")


def test_conversations_that_begin_otherwise_are_others() -> None:
    system, user = _BEGUN.turns
    other_image = Image(source=InlineData(base64="BBBB", media_type="image/png"))
    others = [
        ChatRequest(model="fast", turns=_BEGUN.turns),
        ChatRequest(model="fast", turns=(user,), tools=_BEGUN.tools),
        ChatRequest(model="fast", turns=(system, user_turn("look")), tools=_BEGUN.tools),
        ChatRequest(
            model="fast",
            turns=(system, Turn(role=Role.USER, parts=(Text("look"), other_image))),
            tools=_BEGUN.tools,
        ),
        _turns(user_turn("more before the answer")),
    ]
    numbers = [conversation_of(request, "ana") for request in (_BEGUN, *others)]
    assert len(set(numbers)) == len(numbers)


def test_nobody_shares_a_conversation_with_another_client() -> None:
    assert conversation_of(_BEGUN, "ana") != conversation_of(_BEGUN, "bob")


def test_pieces_are_told_apart_and_so_are_surrogates() -> None:
    one = ChatRequest(model="m", turns=(user_turn("ab"), user_turn("c")))
    other = ChatRequest(model="m", turns=(user_turn("a"), user_turn("bc")))
    odd = ChatRequest(model="m", turns=(user_turn("a\ud800"), user_turn("bc")))
    assert len({conversation_of(each, "ana") for each in (one, other, odd)}) == 3


def test_only_so_much_of_a_request_is_looked_at() -> None:
    """Who is alike for 64 KiB shares that much of a prompt cache."""
    long = "x" * 65536
    one = ChatRequest(model="m", turns=(user_turn(long + "1"),))
    other = ChatRequest(model="m", turns=(user_turn(long + "2"),))
    assert conversation_of(one, "ana") == conversation_of(other, "ana")
    assert conversation_of(one, "ana") != conversation_of(_turns(to=_BEGUN), "ana")
