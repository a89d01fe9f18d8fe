"""Errors that providers send with status 200, and what keeps their answers alive (OpenRouter,
DeepSeek)."""

from __future__ import annotations

import json

import pytest
from imitation import Imitated
from imitations.answering import SENTENCE, openai_chat
from imitations.kinds import StrictProvider
from imitations.tables import TABLES
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

ERROR = {
    "id": "gen-1",
    "object": "chat.completion.chunk",
    "provider": "DeepInfra",
    "error": {
        "code": 502,
        "message": "Provider disconnected unexpectedly",
        "metadata": {"provider_name": "DeepInfra", "raw": "closed"},
    },
    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
}
SSE = "text/event-stream"
QUESTION = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}


def frame(chunk: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def config_of(server: StrictProvider) -> dict[str, object]:
    return {
        "wait": {"max_wait_ms": 600_000},
        "providers": {"up": server.kind.settings()},
        "models": {"fast": {"targets": [f"up/{server.kind.model}"]}},
    }


async def ask(world: World, *, stream: bool) -> tuple[int, str]:
    url = f"{GATEWAY}/v1/chat/completions"
    answer = await world.client.post(url, json={**QUESTION, "stream": stream})
    return answer.status_code, answer.text


@pytest.mark.parametrize("code", [502, 429, 503])
async def test_an_error_in_a_stream_before_any_content_is_tried_again(
    code: int, autojump_clock: MockClock
) -> None:
    server = StrictProvider(TABLES["openrouter"])
    error = {**ERROR, "error": {"code": code, "message": "Provider returned error"}}
    server.next = [Imitated((b": OPENROUTER PROCESSING\n\n", frame(error)), content_type=SSE)]
    hosts = {"up.test": server.serve}
    async with open_world(config_of(server), sandboxes={}, hosts=hosts) as world:
        status, text = await ask(world, stream=True)
        assert status == 200
        assert "Provider returned error" not in text
        assert "[DONE]" in text
        assert len(server.calls) == 2


async def test_trap_76_an_error_instead_of_a_whole_answer_is_one(
    autojump_clock: MockClock,
) -> None:
    server = StrictProvider(TABLES["openrouter"])
    server.next = [Imitated(json.dumps({"error": ERROR["error"]}).encode())]
    hosts = {"up.test": server.serve}
    async with open_world(config_of(server), sandboxes={}, hosts=hosts) as world:
        status, text = await ask(world, stream=False)
        assert status == 200
        assert json.loads(text)["choices"][0]["message"]["content"] == SENTENCE
        assert len(server.calls) == 2


async def test_an_error_after_content_reaches_the_client_and_ends_the_stream(
    autojump_clock: MockClock,
) -> None:
    server = StrictProvider(TABLES["openrouter"])
    begun = {"id": "gen-1", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}
    server.next = [Imitated((frame(begun), frame(ERROR)), content_type=SSE)]
    hosts = {"up.test": server.serve}
    async with open_world(config_of(server), sandboxes={}, hosts=hosts) as world:
        status, received = await world.read_cut_stream("hello")
        assert status == 200
        assert "Hel" in received
        assert "Provider disconnected unexpectedly" in received
        assert "[DONE]" not in received
        assert len(server.calls) == 1


async def test_blank_lines_before_a_whole_answer_keep_it_alive_and_say_nothing(
    autojump_clock: MockClock,
) -> None:
    server = StrictProvider(TABLES["deepseek"])
    body = openai_chat({**QUESTION, "model": "deepseek-flash"}).body
    assert isinstance(body, bytes)
    server.next = [Imitated((b"\n", b"\n\n", body), pause=100.0)]
    hosts = {"up.test": server.serve}
    async with open_world(config_of(server), sandboxes={}, hosts=hosts) as world:
        status, text = await ask(world, stream=False)
        assert status == 200
        assert json.loads(text)["choices"][0]["message"]["content"] == SENTENCE
        assert len(server.calls) == 1
