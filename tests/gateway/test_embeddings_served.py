"""Embeddings through the gateway, in virtual time: translated, split, waited for, and joined."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import httpx
import pytest
import trio
from imitation import Imitated, Imitation, Received
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

from forebay.actors.providers import provider as provider_module
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import loads_object
from forebay.protocol.providers import PROFILES

OPENAI_STYLE: Mapping[str, object] = {
    "kind": "openai_compatible",
    "base_url": "http://up.test/v1",
}
OLLAMA: Mapping[str, object] = {"kind": "ollama", "hosts": ["http://up.test"]}
UPSTREAMS = {"openai": OPENAI_STYLE, "ollama": OLLAMA}
UPSTREAM_PATHS = {"openai": "/v1/embeddings", "ollama": "/api/embed"}

over_both = pytest.mark.parametrize("upstream", UPSTREAMS)


def over(upstream: str, **settings: object) -> dict[str, object]:
    config = one_provider()
    config["providers"] = {"up": {**UPSTREAMS[upstream], **settings}}
    return config


def kept() -> dict[str, SandboxOptions]:
    return {"up": SandboxOptions(keep_requests=100)}


async def embed(
    world: World, inputs: object, headers: Mapping[str, str] | None = None, **fields: object
) -> httpx.Response:
    """In OpenAI's API."""
    return await world.client.post(
        f"{GATEWAY}/v1/embeddings",
        json={"model": "fast", "input": inputs, **fields},
        headers=headers,
    )


async def embed_at_ollama(world: World, inputs: object, **fields: object) -> httpx.Response:
    return await world.client.post(
        f"{GATEWAY}/api/embed", json={"model": "fast", "input": inputs, **fields}
    )


async def direct(world: World, text: str, **fields: object) -> list[float]:
    """What the sandbox itself makes of a text."""
    answer = await world.client.post(
        "http://up.test/v1/embeddings", json={"model": "sandbox-chat", "input": text, **fields}
    )
    vector: list[float] = answer.json()["data"][0]["embedding"]
    return vector


def calls(world: World, upstream: str) -> list[dict[str, object]]:
    """The requests for embeddings that came to the sandbox through the gateway."""
    path = UPSTREAM_PATHS[upstream]
    return [
        dict(loads_object(request.body))
        for request in world.sandbox.requests
        if request.path == path and request.headers["user-agent"] == "forebay"
    ]


@over_both
async def test_vectors_come_in_the_order_of_the_texts(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(upstream), sandboxes=kept()) as world:
        answer = await embed(world, ["one", "two", "Grüße 🌍"])
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["object"] == "list"
        assert [item["index"] for item in body["data"]] == [0, 1, 2]
        for item, text in zip(body["data"], ("one", "two", "Grüße 🌍"), strict=True):
            assert item["object"] == "embedding"
            assert item["embedding"] == await direct(world, text)
        used = world.sandbox.statistics().input_tokens - 1 - 1 - 3
        assert body["usage"] == {"prompt_tokens": used, "total_tokens": used}
        assert answer.headers["x-forebay-target"].startswith("up/sandbox-chat")
        assert answer.headers["x-forebay-attempts"] == "1"
        assert len(calls(world, upstream)) == 1
        assert await world.is_at_rest()


@over_both
async def test_traps_71_and_72_the_encoding_is_the_one_that_was_asked_for(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(upstream)) as world:
        numbers = await direct(world, "one")
        for encoding in ("float", "base64"):
            answer = await embed(world, "one", encoding_format=encoding)
            vector = answer.json()["data"][0]["embedding"]
            if encoding == "base64":
                data = base64.b64decode(vector)
                vector = [*struct.unpack(f"<{len(data) // 4}f", data)]
            assert vector == numbers


@over_both
async def test_dimensions_go_along(upstream: str, autojump_clock: MockClock) -> None:
    async with open_world(over(upstream)) as world:
        answer = await embed(world, "one", dimensions=7)
        assert answer.json()["data"][0]["embedding"] == await direct(world, "one", dimensions=7)


@over_both
async def test_ollamas_clients_are_answered_over_both(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(upstream)) as world:
        answer = await embed_at_ollama(world, ["one", "two"])
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["embeddings"] == [await direct(world, "one"), await direct(world, "two")]
        assert body["prompt_eval_count"] == 2
        assert body["total_duration"] > 0
        older = await world.client.post(
            f"{GATEWAY}/api/embeddings", json={"model": "fast", "prompt": "one"}
        )
        assert older.json() == {"embedding": await direct(world, "one")}
        # Without anything to embed it only loads a model: nobody is asked.
        received = world.sandbox.statistics().received
        assert (await embed_at_ollama(world, [])).json()["embeddings"] == []
        assert world.sandbox.statistics().received == received


async def test_tokens_go_to_who_reads_them_and_are_refused_where_nobody_does(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over("openai"), sandboxes=kept()) as world:
        answer = await embed(world, [[1, 2, 3], [4]])
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["prompt_tokens"] == 4
    async with open_world(over("ollama")) as world:
        answer = await embed(world, [[1, 2, 3], [4]])
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "input"
        assert world.sandbox.statistics().received == 0
        assert await world.is_at_rest()


ODD = (
    b'{ "model" : "fast",\t"x_unknown":[1.0,1e3,-0,"\\u00e9\\/"],\n'
    b'  "input":["say \\"model\\": \\u2028 {x}", "two"], "model":"fast"}\r\n'
)


@over_both
async def test_bytes_of_one_api_pass_through(upstream: str, autojump_clock: MockClock) -> None:
    path = UPSTREAM_PATHS[upstream]
    async with open_world(over(upstream), sandboxes=kept()) as world:
        answer = await world.client.post(GATEWAY + path, content=ODD)
        assert answer.status_code == 200, answer.text
        (received,) = [one for one in world.sandbox.requests if one.path == path]
        target = answer.headers["x-forebay-target"].removeprefix("up/").encode()
        assert received.body == ODD.replace(b'"fast"', b'"' + target + b'"')
        straight = await world.client.post("http://up.test" + path, content=received.body)
        assert answer.content == straight.content
        assert answer.headers["content-type"] == straight.headers["content-type"]


async def test_more_inputs_than_an_api_takes_are_asked_in_several_calls(
    autojump_clock: MockClock,
) -> None:
    """Ollama's API takes any number, OpenAI's 2048."""
    texts = [f"text {number}" for number in range(4100)]
    async with open_world(over("openai"), sandboxes=kept()) as world:
        answer = await embed_at_ollama(world, texts)
        assert answer.status_code == 200, answer.text
        asked = [call["input"] for call in calls(world, "openai")]
        assert sorted(len(inputs) for inputs in asked if isinstance(inputs, list)) == [
            4,
            2048,
            2048,
        ]
        body = answer.json()
        assert len(body["embeddings"]) == len(texts)
        for number in (0, 2047, 2048, 4095, 4096, 4099):
            assert body["embeddings"][number] == await direct(world, texts[number])
        assert answer.headers["x-forebay-attempts"] == "3"
        assert answer.headers["x-forebay-target"] == "up/sandbox-chat"


@pytest.fixture
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of OpenAI's style take three inputs in one call."""
    profile = PROFILES["openai_compatible"]
    few = replace(profile, traits=replace(profile.traits, most_embedding_inputs=3))
    profiles = MappingProxyType({**PROFILES, "openai_compatible": few})
    monkeypatch.setattr(provider_module, "PROFILES", profiles)


def inputs_asked(world: World) -> list[list[str]]:
    asked: list[list[str]] = []
    for call in calls(world, "openai"):
        inputs = call["input"]
        asked.append([inputs] if isinstance(inputs, str) else cast("list[str]", inputs))
    return sorted(asked)


@pytest.mark.usefixtures("three_at_once")
async def test_a_server_that_takes_few_inputs_is_asked_several_times(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over("openai"), sandboxes=kept()) as world:
        texts = ["a", "b", "c", "d", "e", "f", "g"]
        answer = await embed(world, texts, encoding_format="base64", dimensions=5, user="u")
        assert answer.status_code == 200, answer.text
        assert inputs_asked(world) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
        assert {call["dimensions"] for call in calls(world, "openai")} == {5}
        body = answer.json()
        assert [item["index"] for item in body["data"]] == list(range(7))
        for item, text in zip(body["data"], texts, strict=True):
            numbers = struct.unpack("<5f", base64.b64decode(item["embedding"]))
            assert [*numbers] == await direct(world, text, dimensions=5)
        assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
        assert answer.headers["x-forebay-attempts"] == "3"
        # What fits is one call, in the client's own bytes.
        alone = await embed(world, ["a", "b", "c"])
        assert alone.headers["x-forebay-attempts"] == "1"


@pytest.mark.usefixtures("three_at_once")
async def test_all_targets_of_a_model_must_be_able_to_take_a_part(
    autojump_clock: MockClock,
) -> None:
    config = over("ollama")
    config["providers"] = {"up": UPSTREAMS["ollama"], "few": UPSTREAMS["openai"]}
    config["models"] = {"fast": {"targets": ["up/sandbox-chat", "few/sandbox-chat"]}}
    async with open_world(config) as world:
        answer = await embed(world, ["a", "b", "c", "d"])
        assert answer.headers["x-forebay-attempts"] == "2"
        assert len(answer.json()["data"]) == 4


@pytest.mark.usefixtures("three_at_once")
async def test_the_parts_wait_for_the_limit_and_for_a_refusal(autojump_clock: MockClock) -> None:
    limits = {"rpm": 60, "burst": 1}
    async with open_world(
        over("openai", limits=limits),
        sandboxes={"up": SandboxOptions(requests_per_minute=60, burst=1)},
    ) as world:
        began = trio.current_time()
        answer = await embed(world, [str(number) for number in range(12)])
        assert answer.status_code == 200
        assert round(trio.current_time() - began, 3) == 3.0
        assert answer.headers["x-forebay-waited-ms"] == "3000"
        assert world.sandbox.statistics().refused == {}
        assert await world.is_at_rest()
    async with open_world(over("openai")) as world:
        began = trio.current_time()
        texts = ["a", "b", "c", "[[fault: 429=7, times=1]]", "e", "f", "g"]
        answer = await embed(world, texts)
        assert answer.status_code == 200
        assert [item["index"] for item in answer.json()["data"]] == list(range(7))
        assert round(trio.current_time() - began, 3) == 7.0
        assert answer.headers["x-forebay-attempts"] == "4"
        assert await world.is_at_rest()


@pytest.mark.usefixtures("three_at_once")
async def test_one_part_that_fails_is_the_failure_of_all(autojump_clock: MockClock) -> None:
    async with open_world(over("openai")) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 1000}))
        began = trio.current_time()
        answer = await embed(world, ["a", "b", "c", "[[fault: 400]]", "e"])
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
        # The other part was under way, and is given up.
        assert trio.current_time() == began
        assert await world.is_at_rest()
        broken = await embed(world, ["a", "b", "c", "[[fault: 500]]"])
        assert broken.status_code == 502
        assert broken.headers["x-should-retry"] == "false"
        assert await world.is_at_rest()


@pytest.mark.usefixtures("three_at_once")
async def test_the_time_to_wait_is_that_of_the_whole_request(autojump_clock: MockClock) -> None:
    async with open_world(over("openai", limits={"rpm": 6, "burst": 1})) as world:
        began = trio.current_time()
        answer = await embed(
            world, [str(number) for number in range(12)], {"x-forebay-max-wait-ms": "15000"}
        )
        assert answer.status_code == 429
        assert round(trio.current_time() - began, 3) == 15.0
        assert int(answer.headers["retry-after"]) >= 1
        assert await world.is_at_rest()


@pytest.mark.usefixtures("three_at_once")
async def test_a_client_that_leaves_takes_all_parts_with_it(autojump_clock: MockClock) -> None:
    texts = [str(number) for number in range(30)]
    async with open_world(over("openai", limits={"rpm": 60, "burst": 1})) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 2000}))
        with trio.move_on_after(2.5):
            await embed(world, texts)
        assert await world.is_at_rest()
        assert world.sandbox.statistics().in_flight == 0
        started = world.sandbox.statistics().started
        await trio.sleep(30)
        assert world.sandbox.statistics().started == started == 3


async def test_a_held_answer_is_kept_alive_and_cut_where_it_fails(
    autojump_clock: MockClock,
) -> None:
    config = over("openai", limits={"rpm": 1.6, "burst": 1})
    config["wait"] = {"max_wait_ms": 100_000, "json_keepalive_after_ms": 20_000}
    keep = {"x-forebay-hold": "keepalive"}
    async with open_world(config) as world:
        await embed(world, "first")
        began = trio.current_time()
        answer = await embed(world, "second", keep)
        assert trio.current_time() - began == pytest.approx(37.5, abs=0.01)
        assert answer.content.startswith(b"\n\n{")
        assert len(answer.json()["data"]) == 1
        with pytest.raises(httpx.RemoteProtocolError):
            await embed(world, "third", {**keep, "x-forebay-max-wait-ms": "30000"})
        assert await world.is_at_rest()


async def test_a_call_that_breaks_is_made_again(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over("openai")) as world:
        for fault in ("garbage", "error-first", "500"):
            answer = await embed(world, f"[[fault: {fault}, times=1]] {fault}")
            assert answer.status_code == 200, fault
            assert answer.headers["x-forebay-attempts"] == "2", fault
        assert await world.is_at_rest()


async def test_an_answer_with_too_few_vectors_is_a_fault_of_the_upstream(
    autojump_clock: MockClock,
) -> None:
    """Nobody can tell which of the inputs was left out."""
    few = b'{"data":[{"index":0,"embedding":[1.0]}]}'
    both = b'{"data":[{"index":1,"embedding":[1.0]},{"index":0,"embedding":[2.0]}]}'
    answers = iter([few, both])

    def answered(_: Received) -> Imitated:
        return Imitated(next(answers, few))

    upstream = Imitation({"POST /v1/embeddings": answered})
    async with open_world(over("openai")) as world:
        world.network.plug("up.test", upstream.serve)
        await trio.sleep(90)  # until the connection that listed the models is too old to be used
        answer = await embed(world, ["a", "b"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-attempts"] == "2"
        assert [item["embedding"] for item in answer.json()["data"]] == [[2.0], [1.0]]
        usage = answer.json()["usage"]
        assert usage["prompt_tokens"] == usage["total_tokens"] > 0
        broken = await embed(world, ["a", "b"])
        assert broken.status_code == 502
        assert "1 vectors for 2 inputs" in broken.json()["error"]["message"]
        assert await world.is_at_rest()


async def test_a_model_without_a_target_that_embeds_says_so(autojump_clock: MockClock) -> None:
    config = one_provider()
    config["providers"] = {
        "up": {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k"}
    }
    async with open_world(config) as world:
        answer = await embed(world, "one")
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == "model"
        assert "makes embeddings" in error["message"]
        told = await embed_at_ollama(world, "one")
        assert (told.status_code, list(told.json())) == (400, ["error"])
        assert world.sandbox.statistics().received == 0


async def test_a_server_with_a_bound_of_its_own_is_asked_for_no_more_at_once(
    autojump_clock: MockClock,
) -> None:
    """OpenVINO's model server takes 500 inputs."""
    config = {
        "providers": {"up": {"kind": "openvino", "base_url": "http://up.test/v1"}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    async with open_world(config, sandboxes={"up": SandboxOptions(keep_requests=10)}) as world:
        texts = [f"text {number}" for number in range(1100)]
        answer = await embed(world, texts)
        assert answer.status_code == 200, answer.text
        bodies = [
            loads_object(each.body)
            for each in world.sandbox.requests
            if each.path == "/v1/embeddings"
        ]
        inputs = [cast("list[str]", body["input"]) for body in bodies]
        assert sorted(map(len, inputs)) == [100, 500, 500]
        assert [item["index"] for item in answer.json()["data"]] == list(range(1100))
        assert await world.is_at_rest()
