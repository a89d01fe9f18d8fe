"""How much context a model has is what its providers list, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.protocol.jsontext import JsonObject, dumps


def lists(
    models: list[JsonObject], *, below: str = "data"
) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    """A server that lists these models and does nothing else."""
    body = dumps({below: [*models]})
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"

    async def serve(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            await stream.send_all(answer % (len(body), body))

    return serve


CONFIG: dict[str, object] = {
    "providers": {
        "vllm": {"kind": "openai_compatible", "base_url": "http://vllm.test/v1"},
        "router": {"kind": "openai_compatible", "base_url": "http://router.test/v1"},
        "silent": {"kind": "openai_compatible", "base_url": "http://silent.test/v1"},
        "local": {"kind": "ollama", "hosts": ["http://big.test", "http://little.test"]},
    },
    "models": {
        "mixed": {"targets": ["vllm/m", "router/m", "silent/m"]},
        "quiet": {"targets": ["silent/m"]},
        "home": {"targets": ["local/m"]},
    },
}
SERVERS = {
    "vllm.test": lists([{"id": "m", "max_model_len": 2048}]),
    "router.test": lists([{"id": "m", "context_length": 131_072}]),
    "silent.test": lists([{"id": "m"}]),
    "big.test": lists(
        [{"model": "m:latest", "details": {"context_length": 65_536}}], below="models"
    ),
    "little.test": lists(
        [{"model": "m:latest", "details": {"context_length": 40_960}}], below="models"
    ),
}


async def shown(world: World, model: str) -> object:
    answer = await world.client.post(f"{GATEWAY}/api/show", json={"model": model})
    assert answer.status_code == 200
    info = answer.json()["model_info"]
    return info[f"{info['general.architecture']}.context_length"]


async def test_the_context_of_a_model_is_the_least_of_its_targets(
    autojump_clock: MockClock,
) -> None:
    async with open_world(CONFIG) as world:
        for host, serve in SERVERS.items():
            world.network.plug(host, serve)
        await trio.sleep(70)
        lengths = {
            "vllm/m": 2048,
            "router/m": 131_072,
            "local/m:latest": 40_960,
            "local/m": 40_960,
            "mixed": 2048,
            "home": 40_960,
            "home:latest": 40_960,
        }
        assert {name: await shown(world, name) for name in lengths} == lengths
        by_openai = (await world.client.get(f"{GATEWAY}/v1/models")).json()["data"]
        listed = {model["id"]: model.get("context_length") for model in by_openai}
        assert listed == {
            "mixed": 2048,
            "quiet": None,
            "home": 40_960,
            "vllm/m": 2048,
            "router/m": 131_072,
            "silent/m": None,
            "local/m:latest": 40_960,
        }


async def test_where_nobody_says_it_only_those_are_told_who_would_make_one_up(
    autojump_clock: MockClock,
) -> None:
    """VS Code takes 4,096 tokens for the context of a model that ``/api/show`` says none of."""
    async with open_world(CONFIG) as world:
        world.network.plug("silent.test", SERVERS["silent.test"])
        await trio.sleep(61)
        for name in ("silent/m", "quiet"):
            assert await shown(world, name) == 32_768
            by_openai = await world.client.get(f"{GATEWAY}/v1/models/{name}")
            assert "context_length" not in by_openai.json()
            headers = {"anthropic-version": "2023-06-01"}
            by_anthropic: httpx.Response = await world.client.get(
                f"{GATEWAY}/v1/models/{name}", headers=headers
            )
            assert "max_input_tokens" not in by_anthropic.json()
        tags = (await world.client.get(f"{GATEWAY}/api/tags")).json()["models"]
        assert [model["details"].get("context_length") for model in tags] == [None] * len(tags)
