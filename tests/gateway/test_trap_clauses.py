"""Traps of several clauses: those of them that only a whole gateway shows."""

from __future__ import annotations

import json

import pytest
from spoken_errors import assert_spoken
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions

UPSTREAMS: dict[str, dict[str, object]] = {
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
}
HELLO = [{"role": "user", "content": "hello"}]


def over(kind: str) -> dict[str, object]:
    return {
        "providers": {"up": {"kind": kind, **UPSTREAMS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }


def sent(world: World) -> dict[str, object]:
    """What the upstream was asked."""
    asked = [one for one in world.sandbox.requests if one.method == "POST"]
    body: dict[str, object] = json.loads(asked[-1].body)
    return body


KEPT = {"up": SandboxOptions(keep_requests=20)}


@pytest.mark.parametrize("keep_alive", [300, -1, 1.5, "5m", "-1s", "1h30m"])
@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_trap_42_how_long_to_keep_a_model_is_said_to_ollama_only(
    kind: str, keep_alive: object, autojump_clock: MockClock
) -> None:
    async with open_world(over(kind), sandboxes=KEPT) as world:
        for path, asked in (("chat", {"messages": HELLO}), ("generate", {"prompt": "hello"})):
            answer = await world.client.post(
                f"{GATEWAY}/api/{path}",
                json={"model": "fast", "stream": False, "keep_alive": keep_alive, **asked},
            )
            assert answer.status_code == 200
            assert answer.json()["done"] is True
            assert answer.headers["x-forebay-dropped"] == "keep_alive"
            assert "keep_alive" not in sent(world)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/completions", {"prompt": "hello"}),
        ("/v1/responses", {"input": "hello"}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 20}),
    ],
)
@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_trap_44_whoever_asks_another_api_than_ollamas_is_answered_whole(
    kind: str, path: str, asked: dict[str, object], autojump_clock: MockClock
) -> None:
    async with open_world(over(kind)) as world:
        answer = await world.client.post(GATEWAY + path, json={"model": "fast", **asked})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.json()["model"] in ("fast", "sandbox-chat")


async def test_trap_37_probabilities_that_anthropic_never_tells_are_refused_by_name(
    autojump_clock: MockClock,
) -> None:
    async with open_world(over("anthropic"), sandboxes=KEPT) as world:
        for fields, named in (({"logprobs": True}, "logprobs"), ({"top_logprobs": 3}, None)):
            answer = await world.ask(**fields)
            body = answer.content
            message = assert_spoken("openai", 400, answer.status_code, answer.headers, body)
            assert "logprobs" in message
            assert named in (None, answer.json()["error"]["param"])
        assert not [one for one in world.sandbox.requests if one.path == "/v1/messages"]


@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_trap_45_another_word_for_thinking_is_a_400_of_ollamas(
    kind: str, autojump_clock: MockClock
) -> None:
    async with open_world(over(kind)) as world:
        for think in ("weird", "", 1):
            request = {"model": "fast", "messages": HELLO, "think": think}
            answer = await world.client.post(f"{GATEWAY}/api/chat", json=request)
            body = answer.content
            message = assert_spoken("ollama", 400, answer.status_code, answer.headers, body)
            assert "think" in message
