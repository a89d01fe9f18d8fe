"""Minutes of load in virtual time at an upstream that tells its limits in every answer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from worlds import World, one_provider, open_world

from forebay.actors.gateway import Client
from forebay.endpoints.sandbox import LimitHeaders, SandboxOptions, SandboxStatistics
from forebay.protocol.canonical.requests import ChatRequest, user_turn

CLIENTS = [Client(name=f"client-{number}") for number in range(20)]
REQUEST = ChatRequest(model="fast", turns=(user_turn("hello"),))

KINDS = {
    LimitHeaders.OPENAI: {"kind": "openai", "base_url": "http://up.test/v1", "api_key": "key"},
    LimitHeaders.ANTHROPIC: {"kind": "anthropic", "base_url": "http://up.test", "api_key": "key"},
    LimitHeaders.TOGETHER: {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
}


def tokens(counted: SandboxStatistics) -> int:
    return counted.input_tokens + counted.output_tokens


async def keep_asking(world: World, *, seconds: float) -> None:
    async def ask_again(client: Client) -> None:
        while True:
            await world.gateway.chat(REQUEST, client=client).response()

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for client in CLIENTS:
                nursery.start_soon(ask_again, client)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "latency_ms", [5, 1500], ids=["answers at once", "answers after a second and a half"]
)
async def test_what_is_told_is_used_and_hardly_anything_is_refused(
    kind: LimitHeaders, latency_ms: float, autojump_clock: MockClock
) -> None:
    sandbox = SandboxOptions(
        requests_per_minute=300, burst=20, latency_ms=latency_ms, limit_headers=kind
    )
    config = one_provider(**KINDS[kind])
    async with open_world(config, sandboxes={"up": sandbox}) as world:
        await keep_asking(world, seconds=20)
        before = world.sandbox.statistics()
        await keep_asking(world, seconds=240)
        after = world.sandbox.statistics()
        assert (after.started - before.started) / (300 / 60 * 240) >= 0.995
        assert sum(after.refused.values()) / after.received <= 0.01


async def test_tokens_that_are_told_are_used_and_hardly_anything_is_refused(
    autojump_clock: MockClock,
) -> None:
    sandbox = SandboxOptions(
        tokens_per_minute=12_000, latency_ms=300, limit_headers=LimitHeaders.OPENAI
    )
    config = one_provider(**KINDS[LimitHeaders.OPENAI])
    async with open_world(config, sandboxes={"up": sandbox}) as world:
        await keep_asking(world, seconds=60)
        before = world.sandbox.statistics()
        await keep_asking(world, seconds=240)
        after = world.sandbox.statistics()
        assert (tokens(after) - tokens(before)) / (12_000 / 60 * 240) >= 0.995
        assert sum(after.refused.values()) / after.received <= 0.01


async def test_a_told_limit_lowers_what_was_configured_and_never_raises_it(
    autojump_clock: MockClock,
) -> None:
    sandbox = SandboxOptions(
        requests_per_minute=300, burst=5, latency_ms=5, limit_headers=LimitHeaders.OPENAI
    )
    for configured, expected in ((60, 60), (3000, 300)):
        config = one_provider(**KINDS[LimitHeaders.OPENAI], limits={"rpm": configured})
        async with open_world(config, sandboxes={"up": sandbox}) as world:
            await keep_asking(world, seconds=10)
            before = world.sandbox.statistics()
            await keep_asking(world, seconds=60)
            after = world.sandbox.statistics()
            assert after.started - before.started == pytest.approx(expected, rel=0.03)
            assert sum(after.refused.values()) <= 3
