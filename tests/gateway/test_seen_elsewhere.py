"""What other gateways were seen to get wrong: section Z of the traps, a test for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from spoken_errors import CHAT_PATHS, assert_spoken, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonObject, loads_object

UPSTREAMS: dict[str, dict[str, object]] = {
    "openai": {"base_url": "http://up.test/v1", "api_key": "k"},
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
}
ENDPOINTS = {
    **CHAT_PATHS,
    "/v1/completions": "openai",
    "/v1/embeddings": "openai",
    "/v1/responses": "openai",
    "/v1/messages/count_tokens": "anthropic",
    "/api/embed": "ollama",
    "/api/embeddings": "ollama",
}
VERSION = {"anthropic-version": "2023-06-01"}
TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
}


@asynccontextmanager
async def over(kind: str, **config: object) -> AsyncIterator[World]:
    """A world whose model ``fast`` is served by a provider of this kind."""
    settings = {
        "providers": {"up": {"kind": kind, **UPSTREAMS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
        **config,
    }
    boxes = {"up": SandboxOptions(keep_requests=20)}
    async with open_world(settings, sandboxes=boxes) as world:
        yield world


async def post(
    world: World, path: str, body: object, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await world.client.post(GATEWAY + path, content=content, headers=headers)


def spoken(answer: httpx.Response, dialect: str, status: int) -> str:
    return assert_spoken(dialect, status, answer.status_code, answer.headers, answer.content)


def chunks_of(answer: httpx.Response) -> list[Any]:
    """A stream of chat chunks, which ends with ``[DONE]``."""
    assert answer.status_code == 200
    *frames, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


async def chunks(world: World, **fields: object) -> list[Any]:
    return chunks_of(await world.ask(stream=True, **fields))  # type: ignore[arg-type]  # JSON


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_trap_z1_what_is_no_json_object_is_a_400(
    path: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    async with over("openai_compatible") as world:
        for body in (b"", b"{", b"[]", b"null", b"5", b'"text"', b"\xff\xfe", b"{'model': 1}"):
            spoken(await post(world, path, body), ENDPOINTS[path], 400)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/chat/completions", {"model": "fast"}, "messages"),
        ("/v1/messages", {"model": "fast", "max_tokens": 5}, "messages"),
        ("/v1/messages", {"model": "fast", "messages": [{"role": "user"}]}, "content"),
        ("/v1/completions", {"model": "fast"}, "prompt"),
        ("/v1/embeddings", {"model": "fast"}, "input"),
        ("/v1/messages/count_tokens", {"model": "fast"}, "messages"),
    ],
)
async def test_trap_z2_a_missing_field_is_a_400_that_names_it(
    path: str, body: JsonObject, field: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    async with over("openai_compatible") as world:
        assert field in spoken(await post(world, path, body), ENDPOINTS[path], 400)


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_trap_z3_every_4xx_has_the_shape_of_its_dialect(
    path: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    clients = {"red": {"key": "red-key", "models": ["up/other"]}, "blue": {"key": "blue-key"}}
    config = {"clients": clients}
    dialect = CHAT_PATHS[path]
    async with over("openai_compatible", **config) as world:
        for key, body, status in (
            ("wrong", request_of(path), 401),
            ("red-key", request_of(path), 403),
            ("blue-key", {**request_of(path), "model": "unheard-of"}, 404),
            ("blue-key", {**request_of(path), "model": 5}, 400),
        ):
            headers = {"authorization": f"Bearer {key}"}
            spoken(await post(world, path, body, headers), dialect, status)


@pytest.mark.parametrize(
    ("method", "path", "dialect", "status"),
    [
        ("GET", "/v1/chat/completions", "openai", 405),
        ("POST", "/v1/nothing", "openai", 404),
        ("DELETE", "/v1/messages", "anthropic", 405),
        ("POST", "/v1/messages/nothing", "anthropic", 404),
        ("PUT", "/api/chat", "ollama", 405),
        ("GET", "/api/nothing", "ollama", 404),
    ],
)
async def test_trap_z4_a_wrong_path_or_method_is_told_in_the_dialect(
    method: str, path: str, dialect: str, status: int, autojump_clock: MockClock
) -> None:
    """Section Z."""
    async with over("openai_compatible") as world:
        spoken(await world.client.request(method, GATEWAY + path), dialect, status)


async def test_trap_z5_an_anthropic_client_gets_anthropics_list(autojump_clock: MockClock) -> None:
    """Section Z."""
    async with over("openai_compatible") as world:
        listed = (await world.client.get(f"{GATEWAY}/v1/models", headers=VERSION)).json()
        assert set(listed) == {"data", "has_more", "first_id", "last_id"}
        assert all(model["type"] == "model" for model in listed["data"])
        assert listed["first_id"] == listed["data"][0]["id"]
        assert (await world.client.get(f"{GATEWAY}/v1/models")).json()["object"] == "list"


async def test_trap_z6_every_answer_has_the_id_of_its_request(autojump_clock: MockClock) -> None:
    """Section Z."""
    seen = set()
    async with over("openai_compatible") as world:
        for method, path, body in (
            ("POST", "/v1/chat/completions", request_of("/v1/chat/completions")),
            ("POST", "/v1/chat/completions", request_of("/v1/chat/completions", stream=True)),
            ("POST", "/v1/messages", request_of("/v1/messages")),
            ("POST", "/v1/messages", request_of("/v1/messages", stream=True)),
            ("POST", "/v1/messages", {}),
            ("GET", "/v1/models", None),
            ("GET", "/v1/nothing", None),
        ):
            answer = await world.client.request(method, GATEWAY + path, json=body)
            assert answer.headers["x-request-id"] == answer.headers["request-id"]
            seen.add(answer.headers["request-id"])
    assert len(seen) == 7


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_trap_z7_chunks_have_all_that_strict_readers_ask_for(
    kind: str, usage: bool, autojump_clock: MockClock
) -> None:
    """Section Z."""
    options = {"stream_options": {"include_usage": True}} if usage else {}
    async with over(kind) as world:
        said = await chunks(world, **options)
    assert len({chunk["id"] for chunk in said}) == 1
    if usage:
        *said, last = said
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] > 0
    assert [chunk["choices"][0]["finish_reason"] for chunk in said] == [
        *([None] * (len(said) - 1)),
        "stop",
    ]


@pytest.mark.parametrize("kind", ["openai", "openai_compatible"])
async def test_trap_z8_both_choices_of_a_stream_arrive_whole(
    kind: str, autojump_clock: MockClock
) -> None:
    """Section Z. Not even a field that OpenAI does not know may cost one of them."""
    async with over(kind) as world:
        whole = (await world.ask(n=2, top_k=5)).json()["choices"]
        said = await chunks(world, n=2, top_k=5)
    texts = ["", ""]
    ends: list[tuple[int, str]] = []
    for chunk in said:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                ends.append((choice["index"], choice["finish_reason"]))
    assert texts == [choice["message"]["content"] for choice in whole]
    assert sorted(ends) == [(0, "stop"), (1, "stop")]


@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_trap_z9_responses_are_real_ones_over_any_upstream(
    kind: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    body = {"model": "fast", "input": "hello"}
    async with over(kind) as world:
        whole = (await post(world, "/v1/responses", body)).json()
        streamed = await post(world, "/v1/responses", {**body, "stream": True})
    assert (whole["object"], whole["status"]) == ("response", "completed")
    assert whole["output"][-1]["content"][0]["type"] == "output_text"
    events = []
    for frame in streamed.text.strip().split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


async def test_trap_z10_a_developer_message_alone_is_served_by_anthropic(
    autojump_clock: MockClock,
) -> None:
    """Section Z."""
    async with over("anthropic") as world:
        body = {"model": "fast", "messages": [{"role": "developer", "content": "be brief"}]}
        answer = await post(world, "/v1/chat/completions", body)
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"]


async def test_trap_z11_a_tool_call_of_an_ollama_stream_arrives(autojump_clock: MockClock) -> None:
    """Section Z."""
    async with over("ollama") as world:
        said = await chunks(world, text="use the tool", tools=[TOOL])
    calls = [call for chunk in said for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["id"]
    assert calls[0]["function"]["name"] == "search"
    arguments = "".join(call["function"].get("arguments", "") for call in calls)
    assert set(loads_object(arguments.encode())) == {"text"}
    assert said[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_trap_z12_a_limit_is_filled_in_for_anthropic(autojump_clock: MockClock) -> None:
    """Section Z, and trap 12."""
    async with over("anthropic") as world:
        assert (await world.ask()).status_code == 200
        sent = loads_object(world.sandbox.requests[-1].body)
        assert isinstance(sent["max_tokens"], int)
        assert sent["max_tokens"] > 0


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_trap_z13_a_request_without_a_model_is_a_400(
    path: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    body = {
        "messages": [{"role": "user", "content": "hello"}],
        "prompt": "hello",
        "input": "hello",
        "max_tokens": 9,
    }
    async with over("openai_compatible") as world:
        assert "model" in spoken(await post(world, path, body), ENDPOINTS[path], 400)


async def test_trap_z14_no_body_or_a_needless_query_breaks_nothing(
    autojump_clock: MockClock,
) -> None:
    """Section Z."""
    async with over("openai_compatible") as world:
        cancel = await world.client.post(f"{GATEWAY}/v1/responses/resp_{'0' * 32}/cancel")
        assert 400 <= cancel.status_code < 500
        spoken(cancel, "openai", cancel.status_code)
        listed = await world.client.get(f"{GATEWAY}/v1/models?stream=true")
        assert listed.status_code == 200
        kept = await world.client.get(f"{GATEWAY}/v1/responses/resp_{'0' * 32}?stream=true")
        spoken(kept, "openai", kept.status_code)
        assert kept.status_code == 404


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_trap_z15_a_wrong_key_is_a_401_before_anything_is_read(
    path: str, autojump_clock: MockClock
) -> None:
    """Section Z."""
    clients = {"red": {"key": "red-key"}}
    async with over("openai_compatible", clients=clients) as world:
        for headers in ({"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}, {}):
            for body in (b"{", json.dumps({"model": "unheard-of"}).encode()):
                spoken(await post(world, path, body, headers), ENDPOINTS[path], 401)
