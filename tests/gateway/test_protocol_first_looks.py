"""What clients look at around a call: heads of answers, wrong paths, names from lists, no body."""

from __future__ import annotations

import json

import pytest
from spoken_errors import assert_spoken
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions

ANTHROPIC = {"anthropic-version": "2023-06-01"}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "fast", "messages": HELLO}),
        ("/v1/chat/completions", {"model": "fast", "messages": HELLO, "stream": True}),
        ("/v1/responses", {"model": "fast", "input": "hello"}),
        ("/v1/responses", {"model": "fast"}),
        ("/v1/models", None),
        ("/v1/nothing", None),
    ],
)
async def test_openais_clients_hear_the_version_and_how_long_it_took(
    path: str, body: object, autojump_clock: MockClock
) -> None:
    slow = {"up": SandboxOptions(latency_ms=1500)}
    async with open_world(sandboxes=slow) as world:
        method = "GET" if body is None else "POST"
        answer = await world.client.request(method, GATEWAY + path, json=body)
        assert answer.headers["openai-version"] == "2020-10-01"
        took = int(answer.headers["openai-processing-ms"])
        whole = answer.status_code == 200 and method == "POST"
        assert took == (pytest.approx(1500, abs=50) if whole else pytest.approx(0, abs=50))


@pytest.mark.parametrize("path", ["/v1/messages", "/api/chat", "/api/tags"])
async def test_nobody_else_hears_openais_headers(path: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        body = {"model": "fast", "messages": HELLO, "max_tokens": 20}
        method = "GET" if path == "/api/tags" else "POST"
        answer = await world.client.request(method, GATEWAY + path, json=body)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("openai-")]


@pytest.mark.parametrize(
    ("path", "headers", "dialect", "right"),
    [
        ("/v1/v1/chat/completions", {}, "openai", "/v1"),
        ("/v1/v1/models", {}, "openai", "/v1"),
        ("/v1/v1/models", ANTHROPIC, "anthropic", ":PORT"),
        ("/v1/v1/messages", ANTHROPIC, "anthropic", ":PORT"),
        ("/v1/v1/messages/count_tokens", {}, "openai", ":PORT"),
        ("/api/v1/chat/completions", {}, "ollama", "/v1"),
        ("/api/v1/messages", ANTHROPIC, "ollama", ":PORT"),
        ("/v1/api/chat", {}, "openai", ":PORT"),
        ("/chat/completions", {}, "openai", "/v1"),
    ],
)
async def test_a_path_under_a_wrong_base_is_told_the_right_one(
    path: str, headers: dict[str, str], dialect: str, right: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        answer = await world.client.post(GATEWAY + path, json={}, headers=headers)
        message = assert_spoken(dialect, 404, answer.status_code, answer.headers, answer.content)
        assert message.endswith(f"set the client's base URL to end in '{right}'")


async def test_every_model_is_served_by_the_name_that_ollamas_list_shows(
    autojump_clock: MockClock,
) -> None:
    """It shows a tag for each, also where the provider knows no tags."""
    async with open_world() as world:
        await ask(world, "up/sandbox-chat")
        listed = (await world.client.get(f"{GATEWAY}/api/tags")).json()["models"]
        names = [model["model"] for model in listed]
        assert {"fast:latest", "up/sandbox-chat:latest"} <= set(names)
        for name in names:
            assert (await ask(world, name))["model"] == name
            shown = await world.client.post(f"{GATEWAY}/api/show", json={"model": name})
            assert shown.status_code == 200


async def ask(world: World, model: str) -> dict[str, object]:
    body = {"model": model, "messages": HELLO, "stream": False}
    answer = await world.client.post(f"{GATEWAY}/api/chat", json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, object] = answer.json()
    return said


@pytest.mark.parametrize(
    "path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"]
)
async def test_no_body_is_told_in_ollamas_words(path: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer = await world.client.post(GATEWAY + path)
        assert (answer.status_code, answer.json()) == (400, {"error": "missing request body"})


async def test_no_body_names_itself_to_others_too(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for path, dialect in (("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")):
            answer = await world.client.post(GATEWAY + path)
            body = answer.content
            message = assert_spoken(dialect, 400, answer.status_code, answer.headers, body)
            assert message == "the request has no body: it must be a JSON object"


async def test_ollamas_clients_hear_of_no_cloud(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer = await world.client.get(f"{GATEWAY}/api/status")
        assert answer.json() == {"cloud": {"disabled": True, "source": "config"}}
        head = await world.client.head(f"{GATEWAY}/api/version")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("nothing", ["", []])
async def test_nothing_to_embed_is_refused_with_what_to_do(
    nothing: object, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        request = {"model": "fast", "input": nothing}
        answer = await world.client.post(f"{GATEWAY}/v1/embeddings", content=json.dumps(request))
        body = answer.content
        message = assert_spoken("openai", 400, answer.status_code, answer.headers, body)
        assert message.startswith("'input' must not be an empty ")
        assert message.endswith("send some text")
